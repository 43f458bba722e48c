"""The `lora` family, low-rank adapters on a language model: what a recipe may say, and what an adapter says of itself.

Nothing here needs torch; what trains one and answers with it is `training_jobs/lora/`.
"""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from servers.core.disk import read_json
from servers.core.task import Task
from servers.core.wire import Wire

FAMILY = "lora"
DESCRIPTION_FILE = "adapter.json"
SYSTEM = "You read numbers from texts and answer in JSON."
"""The system message, for a base whose chat template would else put in its own."""


class LoraHparams(Wire):
    """What may be changed about an adapter's training; the defaults are the first project's where it set them."""

    learning_rate: float = Field(2e-5, ge=1e-7, le=1e-2)
    """At the end of the warm-up; from there it falls to 0 in a straight line."""
    epochs: int = Field(2, ge=1, le=20)
    """How often each row is learned from."""
    lora_r: int = Field(16, ge=1, le=256)
    """Rank of the adapter."""
    lora_alpha: int = Field(32, ge=1, le=512)
    """The adapter's part is scaled by lora_alpha / lora_r."""
    lora_dropout: float = Field(0.05, ge=0, le=0.5)
    """Share of the adapter's inputs that are left out at random while training."""
    batch_size: int = Field(8, ge=1, le=256)
    """Rows on the device at once."""
    gradient_accumulation: int = Field(2, ge=1, le=256)
    """Batches in one step of the optimizer."""
    max_length: int = Field(1024, ge=32, le=32768)
    """Most tokens in prompt and answer together; a longer row is refused: it would be learned without its end."""
    warmup_share: float = Field(0.03, ge=0, le=0.5)
    """Share of all steps in which the learning rate rises to its value."""
    weight_decay: float = Field(0.0, ge=0, le=0.5)
    """Share by which a step of learning rate 1 shrinks the adapter's weights."""
    max_grad_norm: float = Field(1.0, ge=0.01, le=100)
    """Longer gradients are shortened to this."""


class LoraDescription(Wire):
    """`adapter.json`: the readable half of a saved adapter."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    family: str = FAMILY
    base: str
    """What it was trained on: a repository of the Hub, or the name of a folder."""
    base_revision: str | None
    """Commit of the repository; null for a folder."""
    system: str | None
    """The system message before each question; null where the chat has none."""
    prompt: str
    """Of the task that it was trained for."""
    names: list[str]
    low: float
    high: float
    hparams: LoraHparams


def read_description(folder: Path, model_id: str, task: Task) -> LoraDescription:
    """What a saved adapter says of itself.

    Raises:
        ValueError: there is none, or it was trained for another question than the task's.
    """
    try:
        read: Any = read_json(folder / DESCRIPTION_FILE)
        found = LoraDescription.model_validate(read)
    except (FileNotFoundError, ValidationError) as error:
        raise ValueError(f"{folder} holds no adapter of family {FAMILY!r}; train one with start_retrain") from error
    asked = (task.names, task.scale.low, task.scale.high, task.prompt)
    if (found.names, found.low, found.high, found.prompt) != asked:
        raise ValueError(
            f"{model_id!r} was trained for {', '.join(found.names)} from {found.low:g} to {found.high:g}, or with "
            f"another prompt, which is not what task {task.name!r} asks for; train again"
        )
    return found
