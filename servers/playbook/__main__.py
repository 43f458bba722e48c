"""`python -m servers.playbook` serves stdio; `… report [CYCLE]` writes a cycle's report page anew."""

import sys

from servers.core.services import Services
from servers.playbook.closing import render_again
from servers.playbook.cycles import newest
from servers.playbook.server import build_room
from servers.room import run_stdio, server_arguments, settings_from

WHAT = "Serve the playbook tools over stdio; `report [CYCLE]` writes the report page anew and prints its path."


def main() -> int:
    parser = server_arguments("playbook", WHAT)
    parser.add_argument("word", nargs="?", choices=["report"], help="what to do instead of serving")
    parser.add_argument("cycle", nargs="?", help="cycle to report on (default: the newest)")
    arguments = parser.parse_args()
    try:
        settings = settings_from(arguments)
        workspace, task = settings.open()
        if arguments.word == "report":
            print(render_again(workspace, task, Services.here(settings), arguments.cycle or newest(workspace)))
            return 0
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return 2
    run_stdio(lambda: build_room(workspace, task, Services.here(settings)).server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
