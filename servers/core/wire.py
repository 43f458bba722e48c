"""The base of every typed value that crosses a process or lands on disk."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Frozen, strict about unknown fields; the string under a field becomes its schema description."""

    # A refused value may be a sealed row's: errors name the field, never its content.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)
