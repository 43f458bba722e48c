"""`python -m servers.eval` serves stdio; `… import SOURCE` brings data in, `… verify CYCLE` recomputes a verdict."""

import sys

from servers.eval import importing, verify_command
from servers.eval.server import build_room
from servers.room import serve

WHAT = "Serve the eval tools over stdio; `import SOURCE` brings data in, `verify CYCLE` recomputes a verdict."


def main() -> int:
    if sys.argv[1:2] == ["import"]:
        return importing.run(sys.argv[2:])
    if sys.argv[1:2] == ["verify"]:
        return verify_command.run(sys.argv[2:])
    return serve("eval", WHAT, build_room, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
