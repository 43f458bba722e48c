"""Keep keys out of words: a service may echo in an error what it was sent."""

import base64
import re
from collections.abc import Iterator, Mapping

HIDDEN = "[key]"
LEAST_CHARS = 6  # what is shorter is no key, and stands in ordinary words
_NAMES = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)$")


def redacted(text: str, environment: Mapping[str, str]) -> str:
    """`text` without the keys in the environment, plain or as basic authentication sends them."""
    for form in _forms(environment):
        text = text.replace(form, HIDDEN)
    return text


def _forms(environment: Mapping[str, str]) -> Iterator[str]:
    keys = {value for name, value in environment.items() if _NAMES.search(name) and len(value) >= LEAST_CHARS}
    for key in sorted(keys, key=len, reverse=True):  # one may begin with another
        yield key
        yield base64.b64encode(f"api:{key}".encode()).decode()
