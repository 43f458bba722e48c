"""Start a command with keys from a file, for a client that knows neither references nor the shell's variables.

    python -m servers.clients.with_keys FILE NAME,NAME -- COMMAND …

The file holds lines such as `WANDB_API_KEY=…`, and belongs to one person: it is refused where others may read it. The
command gets the named variables and no other of the file, and takes this process's place.
"""

import os
import stat
import sys
from pathlib import Path

USAGE = 2


def variables(file: Path, names: list[str]) -> dict[str, str]:
    """The named variables of the file.

    Raises:
        ValueError: the file cannot be used, or lacks one; one line that says what to do, without any value.
    """
    try:
        mode = file.stat().st_mode
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read the keys in {str(file)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"the keys in {str(file)!r} are no UTF-8") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ValueError(f"others may read the keys in {str(file)!r}; chmod 600 {str(file)!r}")
    pairs = (line.removeprefix("export ").partition("=") for line in map(str.strip, lines) if not line.startswith("#"))
    known = {name.strip(): _unquoted(value.strip()) for name, mark, value in pairs if mark}
    for name in names:
        if not known.get(name):
            raise ValueError(f"{str(file)!r} has no line {name}=…; add it, or make the client's entries anew")
    return {name: known[name] for name in names}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def main() -> int:
    words = sys.argv[1:]
    if len(words) < 4 or words[2] != "--":
        print("with_keys: needs FILE NAME,NAME -- COMMAND", file=sys.stderr)
        return USAGE
    try:
        given = variables(Path(words[0]), words[1].split(","))
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return USAGE
    try:
        os.execvpe(words[3], words[3:], os.environ | given)
    except OSError as error:
        print(f"etude: cannot start {words[3]!r}: {error.strerror}", file=sys.stderr)
        return USAGE


if __name__ == "__main__":
    sys.exit(main())
