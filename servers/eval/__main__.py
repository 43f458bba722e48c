"""`python -m servers.eval` serves stdio; `python -m servers.eval import SOURCE …` brings data in."""

import sys

from servers.eval import importing
from servers.eval.server import build_room
from servers.room import serve


def main() -> int:
    if sys.argv[1:2] == ["import"]:
        return importing.run(sys.argv[2:])
    return serve("eval", "Serve the eval tools over stdio; `import SOURCE` brings data in.", build_room, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
