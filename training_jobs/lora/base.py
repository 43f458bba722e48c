"""The base of an adapter: a language model from the Hub or a folder, on the device and in the numbers that suit it.

Ministral 3 comes as a wrapper with eyes (`Mistral3ForConditionalGeneration`) or as its text model alone; both are
taken, and only the text tower is ever trained.
"""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    FineGrainedFP8Config,
)
from transformers.utils.logging import disable_progress_bar

TEXT_TOWER = r"(?!.*vision).*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
"""The linear layers of the text tower, matched against their whole names."""


@dataclass(frozen=True)
class Base:
    """A base in memory."""

    model: Any
    tokenizer: Any
    name: str
    """Repository of the Hub, or a folder's name without this machine's way to it."""
    revision: str | None
    """Commit of the repository; None for a folder."""


def device() -> torch.device:
    """The first NVIDIA GPU that this process may use, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def number_type() -> torch.dtype:
    """BF16 on a GPU that computes in it, FP16 on an older one, FP32 on the CPU."""
    if device().type == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def base_name(base: str) -> str:
    """What a base is called elsewhere: a folder by its name alone."""
    return Path(base).resolve().name if Path(base).is_dir() else base


def load_base(base: str, revision: str | None, dtype: torch.dtype | None = None) -> Base:
    """Load a base and its tokenizer.

    Args:
        base: A repository of the Hub, or a folder.
        revision: Commit, branch or tag of the repository; None for the newest.
        dtype: Of the weights; what suits the device where not given.

    Raises:
        ValueError: there is no such base, or it cannot be read; one line that says what to do.
    """
    # Its advice on the tokenizer and on FP8 is what is done here already.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(base, revision=revision)
        kind = AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM
        model = kind.from_pretrained(
            base, revision=revision, dtype=dtype or number_type(), quantization_config=_dequantised(config)
        )
        # The flag mends tokenizers that were published with a wrong pattern, and does nothing to others.
        tokenizer = AutoTokenizer.from_pretrained(base, revision=revision, fix_mistral_regex=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(
            f"cannot load the base {base!r} at {revision or 'its newest revision'}: {reason} "
            "Give a folder, or a repository of the Hub that HF_TOKEN may read ([model] base)"
        ) from error
    if tokenizer.chat_template is None or tokenizer.eos_token_id is None:
        raise ValueError(
            f"the base {base!r} has no chat template or no end token; give an instruct model ([model] base)"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    commit = None if Path(base).is_dir() else getattr(config, "_commit_hash", None)
    return Base(model.to(device()), tokenizer, base_name(base), commit)


def _dequantised(config: Any) -> Any:
    """How to read FP8 weights: as the numbers they stand for. Not every GPU can use them, and no adapter needs them."""
    stated = getattr(config, "quantization_config", None)
    if stated is None:
        return None
    method = stated.get("quant_method") if isinstance(stated, dict) else stated.quant_method
    if method != "fp8":
        raise ValueError(f"its weights are quantised by {method!r}, which no adapter is trained on here.")
    kept = stated.get("modules_to_not_convert") if isinstance(stated, dict) else stated.modules_to_not_convert
    return FineGrainedFP8Config(dequantize=True, modules_to_not_convert=kept)


@contextmanager
def device_memory() -> Iterator[None]:
    """Give the GPU's memory back for whoever comes next in this process, and say what to do where it is too small."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ValueError(
            "the GPU's memory is too small; for a training halve batch_size and double gradient_accumulation, "
            "or lower max_length"
        ) from error
    finally:
        gc.collect()
        torch.cuda.empty_cache()
