"""What becomes of the servers that a client has already: kept, found to be the same, renewed, or in the way.

An entry of a name that we need is replaced only where it is ours, which its command shows. What a person or the client
added to it (`disabled`, a list of tools that need no question, a variable) stays.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from servers.clients.entries import input_id
from servers.clients.wanted import KEYS, LOOPBACK, QUIET, ROOMS, SETTINGS, TOKEN

HIDDEN = "(not shown)"
# What an entry of ours may say; anything else in one was added by somebody.
_OURS = {
    "type", "transport", "command", "args", "env", "url", "headers",
    "api_key_env", "startup_timeout_sec", "tool_timeout_sec",
}  # fmt: skip
_VARIABLES = {*KEYS, *SETTINGS, *QUIET, TOKEN}
_REFERENCE = re.compile(r"(Bearer )?\$\{[A-Za-z0-9_:-]+\}")
_LOOKS_SECRET = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.~+=-]{16,}")  # keys, and what is signed
_PAIR = re.compile(r"[^:/\\\s]+:(?!//)[^:/\\]*[^0-9:/\\][^:/\\]*")  # user:password; no port, path or address
_SECRET_WORD = re.compile(r"key|token|secret|pass|pwd|\bpat\b|_pat\b|cred|cookie|header|auth|bearer", re.IGNORECASE)
_SHORT_SECRETS = frozenset({"-k", "-p", "-u", "-t", "-a", "-H"})  # before a key, a password, a user, a header


@dataclass(frozen=True)
class Merged:
    """One entry, as it is to stand in the file."""

    name: str
    state: Literal["new", "same", "renewed", "in the way", "replaced"]
    entry: dict[str, Any]
    diff: str = ""
    """What changes, without any value that may be a secret."""


def merged(have: Mapping[str, Any], wanted: Mapping[str, dict[str, Any]], may_replace: bool) -> list[Merged]:
    """What becomes of each wanted entry, in their order.

    Args:
        have: The servers that stand there, by name.
        wanted: The entries that are to stand there, by name.
        may_replace: Whether an entry that is not ours may be replaced.
    """
    return [_one(name, have.get(name), entry, may_replace) for name, entry in wanted.items()]


def _one(name: str, old: Any, new: dict[str, Any], may_replace: bool) -> Merged:
    if old is None:
        return Merged(name, "new", new)
    ours = is_ours(old) or _is_open_here(name, old)
    if ours:
        new = _with_additions(old, new)
    if old == new:
        return Merged(name, "same", new)
    state: Literal["renewed", "replaced", "in the way"] = "renewed" if ours else "replaced"
    if not ours and not may_replace:
        state = "in the way"
    return Merged(name, state, new, _difference(old, new))


def is_ours(entry: Any) -> bool:
    """Whether an entry starts one of Étude's servers, or anything by Étude's wrapper, or is opened by Étude's token."""
    if not isinstance(entry, dict) or not isinstance(entry.get("args", []), list):
        return False
    command = entry.get("command", "")
    words = [
        *map(str, command if isinstance(command, list) and command else [command]),
        *map(str, entry.get("args", [])),
    ]
    if any(
        TOKEN in str(said) or input_id(TOKEN) in str(said) for said in (entry.get("headers"), entry.get("api_key_env"))
    ):
        return True
    starts = PurePath(words[0]).name == "etude" and words[1:2] == ["serve"]
    return starts or any(
        first == "-m" and (second == "agent.cli" or second.startswith("servers.")) for first, second in pairwise(words)
    )


def _is_open_here(name: str, entry: Any) -> bool:
    """Whether an entry of Étude's name leads, without a token, to where `etude serve` is found on this machine."""
    if not (name == "etude" or name.startswith("etude-")) or not isinstance(entry, dict) or entry.get("headers"):
        return False
    args = entry.get("args", [])
    return any(map(_is_here, [entry.get("url"), *(args if isinstance(args, list) else [])]))


def _is_here(word: Any) -> bool:
    try:
        parts = urlsplit(str(word))
    except ValueError:
        return False
    rooms = {"/mcp", *(f"/{room}/mcp" for room in ROOMS)}
    return parts.scheme == "http" and parts.hostname in LOOPBACK and parts.path in rooms


def _with_additions(old: Mapping[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    added = {key: value for key, value in old.items() if key not in _OURS}
    variables = {name: value for name, value in (old.get("env") or {}).items() if name not in _VARIABLES}
    env = {"env": new.get("env", {}) | variables} if variables else {}
    return new | env | added


def _difference(old: Any, new: Any) -> str:
    before, after = (json.dumps(shown(one), indent=2, ensure_ascii=False).splitlines() for one in (old, new))
    return "\n".join(difflib.unified_diff(before, after, "there now", "from etude", lineterm="", n=9))


def shown(entry: Any) -> Any:
    """An entry without anything that may be a secret: what stands in somebody's file is not ours to print."""
    if not isinstance(entry, dict):
        return HIDDEN
    return {key: _shown_value(key, value) for key, value in entry.items()}


def _shown_value(key: str, value: Any) -> Any:
    if key in ("command", "type", "transport", "startup_timeout_sec", "tool_timeout_sec", "api_key_env", "disabled"):
        words = value if isinstance(value, list) else [value]
        shown_words = _shown_words([str(word) for word in words])
        return shown_words if isinstance(value, list) else shown_words[0] if isinstance(value, str) else _plain(value)
    if key == "args" and isinstance(value, list):
        return _shown_words([str(word) for word in value])
    if key == "url" and isinstance(value, str):
        return _shown_url(value)
    if isinstance(value, dict):
        return {name: _shown_setting(name, said) for name, said in value.items()}
    return HIDDEN


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) else HIDDEN


def _shown_setting(name: str, said: Any) -> Any:
    is_known = isinstance(said, str) and (_REFERENCE.fullmatch(said) is not None or QUIET.get(name) == said)
    return said if is_known else HIDDEN


def _shown_words(words: list[str]) -> list[str]:
    """Arguments, without those that follow, hold, or look like a secret."""
    told, hide = [], False
    for word in words:
        name, mark, _ = word.partition("=")
        if _REFERENCE.fullmatch(word.removeprefix("Authorization:")):
            told.append(word)
        elif hide or _LOOKS_SECRET.fullmatch(word) or _PAIR.fullmatch(word):
            told.append(HIDDEN)
        elif "://" in word:
            told.append(_shown_url(word))
        elif _SECRET_WORD.search(name) and (mark or " " in word):
            told.append(f"{name}={HIDDEN}" if mark and " " not in name else HIDDEN)
        else:
            told.append(word)
        hide = word in _SHORT_SECRETS or (word.startswith("-") and not mark and _SECRET_WORD.search(word) is not None)
    return told


def _shown_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    hidden = f"?{HIDDEN}" if parts.query else ""
    # Some services know their user by a part of the path.
    path = "/".join(HIDDEN if _LOOKS_SECRET.fullmatch(part) else part for part in parts.path.split("/"))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", "")) + hidden
