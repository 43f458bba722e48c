"""The words of a prompt: a text of its own, the rules that hold in all of them, and documents that go along.

A prompt is read by whatever model a person's client has, which knows nothing of this house. So the texts say which
tools to call and what to say to the person, and each ends with the same rules.
"""

from functools import cache
from pathlib import Path
from string import Template
from typing import Literal

from mcp.types import Annotations, EmbeddedResource, TextResourceContents

Name = Literal["run_cycle", "explain_failures", "review_promotion", "plan_next_cycle"]
Said = list[str | EmbeddedResource]
"""What a prompt's function returns: its words, and documents beside them."""

HERE = Path(__file__).parent


def words(name: Name, **values: object) -> str:
    """A prompt's text with values in it, and the rules below it."""
    return _text(name).substitute(values) + "\n" + _text("rules").template


def beside(uri: str, mime: str, text: str) -> EmbeddedResource:
    """A document that goes along with a prompt's words; it can be read again at its URI."""
    contents = TextResourceContents(uri=uri, mime_type=mime, text=text)
    return EmbeddedResource(type="resource", resource=contents, annotations=Annotations(audience=["assistant"]))


@cache
def _text(name: str) -> Template:
    return Template((HERE / f"{name}.md").read_text(encoding="utf-8"))
