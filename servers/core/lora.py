"""The family `lora`: an adapter on a language model that answers in strict JSON."""

from pydantic import Field

from servers.core.wire import Wire

FAMILY = "lora"


class LoraHparams(Wire):
    """What may be changed about an adapter's training; the defaults are the first project's."""

    learning_rate: float = Field(2e-5, ge=1e-7, le=1e-2)
    epochs: int = Field(2, ge=1, le=20)
    """Passes over the train rows."""
    lora_r: int = Field(16, ge=1, le=256)
    """Rank of the adapter."""
    lora_alpha: int = Field(32, ge=1, le=1024)
    """What the adapter is scaled by, over its rank."""
    lora_dropout: float = Field(0.05, ge=0, le=0.5)
    batch_size: int = Field(8, ge=1, le=256)
    """Rows of one step."""
