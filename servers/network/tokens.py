"""Bearer tokens: one that may do everything, one that may only read.

A token comes from the environment or from a file, never from the command line, which every user of the machine can
list. It is taken out of the environment at once, so that no job inherits it, and what is kept is its digest.
"""

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Role = Literal["read-write", "read-only"]

TOKEN, READ_TOKEN = "ETUDE_TOKEN", "ETUDE_READ_TOKEN"
MIN_CHARS = 32  # of hexadecimal digits, 128 bits
MIN_DIFFERENT = 8
MAX_CHARS = 1024
_FORM = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # as RFC 6750 writes a Bearer token
MAKE_ONE = "make one with: openssl rand -hex 32"


@dataclass(frozen=True)
class Tokens:
    """Which tokens open the server; none at all, and everybody who reaches it may do everything."""

    digests: Mapping[Role, bytes] = field(default_factory=dict, repr=False)
    """SHA-256 of each token."""

    def __bool__(self) -> bool:
        return bool(self.digests)

    def role_of(self, header: str | None) -> Role | None:
        """What the bearer of an Authorization header may do; None for a header that opens nothing.

        Takes the same time whichever token is compared, and however much of it is right.
        """
        scheme, _, given = (header or "").partition(" ")
        digest = hashlib.sha256(given.strip(" ").encode()).digest()
        found: Role | None = None
        for role, known in self.digests.items():
            if hmac.compare_digest(digest, known) and scheme.lower() == "bearer":
                found = role
        return found


@dataclass(frozen=True)
class TokenSource:
    """Where one token comes from: a file, or else a variable of the environment."""

    role: Role
    variable: str
    is_named: bool = False
    """Whether the variable was asked for, so that it has to be set."""
    file: Path | None = None

    def read(self, environment: MutableMapping[str, str]) -> str | None:
        """The token, taken out of the environment; None where there is none.

        Raises:
            ValueError: it is not fit to be one, or others can read its file.
        """
        given = environment.pop(self.variable, None)
        if self.file is not None:
            return _fit(_read_private(self.file), str(self.file))
        if given is None and self.is_named:
            raise ValueError(f"the variable {self.variable!r} is not set; export it, or leave its option out")
        return None if given is None else _fit(given, self.variable)


def read_tokens(sources: tuple[TokenSource, ...], environment: MutableMapping[str, str]) -> Tokens:
    """The tokens that the sources hold.

    Raises:
        ValueError: one is not fit to be one, or two are equal; one line that does not say it.
    """
    found = {source.role: token for source in sources if (token := source.read(environment)) is not None}
    if len(set(found.values())) < len(found):
        raise ValueError("the read-only token equals the read-write one; " + MAKE_ONE)
    return Tokens({role: hashlib.sha256(token.encode()).digest() for role, token in found.items()})


def _fit(token: str, where: str) -> str:
    if not _FORM.fullmatch(token):
        raise ValueError(f"the token in {where} holds what no Bearer token can; {MAKE_ONE}")
    if len(token) < MIN_CHARS or len(set(token)) < MIN_DIFFERENT:
        raise ValueError(f"the token in {where} can be guessed: it takes {MIN_CHARS} random characters; {MAKE_ONE}")
    if len(token) > MAX_CHARS:
        raise ValueError(f"the token in {where} is over {MAX_CHARS} characters; {MAKE_ONE}")
    return token


def _read_private(file: Path) -> str:
    """What a file holds, without the line break at its end; refused where others can read or change it."""
    try:
        with file.open(encoding="ascii") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise ValueError(f"others can read the token file {str(file)!r}; chmod 600 it, and make a new token")
            return opened.read(2 * MAX_CHARS).rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"cannot read the token file {str(file)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"the token in {file} holds what no Bearer token can; {MAKE_ONE}") from error
