"""The base of every typed value that crosses a process or lands on disk."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Frozen, strict about unknown fields; the string under a field becomes its schema description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="null")
