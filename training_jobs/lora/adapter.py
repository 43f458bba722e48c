"""A saved adapter: what lies in `model/`, how it gets there, and how it comes back.

The folder is what the PEFT library reads, the tokenizer with its chat template, and `adapter.json`. It names the base
as others know it and nothing of the machine that trained it, so the same training leaves the same bytes.
"""

from pathlib import Path
from typing import Any

from peft import PeftModel, load_peft_weights, set_peft_model_state_dict
from safetensors import SafetensorError
from transformers import AutoTokenizer

from servers.core.disk import read_json, write_json
from servers.core.job_files import write_wire
from servers.core.lora import DESCRIPTION_FILE, LoraDescription
from training_jobs.lora.base import Base

CONFIG, WEIGHTS, TOKENIZER_CONFIG = "adapter_config.json", "adapter_model.safetensors", "tokenizer_config.json"
OF_THIS_MACHINE = ("name_or_path", "is_local", "local_files_only")


def save_adapter(model: Any, base: Base, description: LoraDescription, folder: Path) -> None:
    """Write the folder anew."""
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # the library's card, with this machine's paths
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode)  # as readable as the rest of the artifacts
    config = read_json(folder / CONFIG) | {"base_model_name_or_path": base.name, "revision": base.revision}
    write_json(folder / CONFIG, dict(sorted(config.items())))
    base.tokenizer.save_pretrained(folder)
    words = {k: v for k, v in read_json(folder / TOKENIZER_CONFIG).items() if k not in OF_THIS_MACHINE}
    write_json(folder / TOKENIZER_CONFIG, dict(sorted(words.items())))
    write_wire(folder / DESCRIPTION_FILE, description)


def read_back(model: Any, folder: Path) -> None:
    """Give the adapter of a model the weights that were saved."""
    set_peft_model_state_dict(model, load_peft_weights(str(folder), device=str(model.device)))


def put_on(base: Base, folder: Path) -> tuple[Any, Any]:
    """The base with a saved adapter, and the tokenizer that was saved with it.

    Raises:
        ValueError: the adapter does not fit the base, or its files are damaged.
    """
    try:
        model = PeftModel.from_pretrained(base.model, str(folder))
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"the adapter in {folder} cannot be put on {base.name!r}: {reason}") from error
    return model.eval(), tokenizer
