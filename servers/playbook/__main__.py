"""`python -m servers.playbook` serves stdio; `… report [CYCLE]` writes a report page anew, or shows all cycles."""

import argparse
import sys
from pathlib import Path

from servers.core.cycle_files import opening
from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.playbook.closing import render_again
from servers.playbook.cycles import newest
from servers.playbook.server import build_room
from servers.room import run_stdio, server_arguments, settings_from

WHAT = "Serve the playbook tools over stdio; `report [CYCLE]` writes the report page anew and prints its path."


def main() -> int:
    parser = server_arguments("playbook", WHAT)
    parser.add_argument("word", nargs="?", choices=["report"], help="what to do instead of serving")
    parser.add_argument("cycle", nargs="?", help="cycle to report on (default: the newest)")
    parser.add_argument("--serve", action="store_true", help="with report: show all cycles as a site on this machine")
    parser.add_argument("--port", type=_port, help="with --serve: 0 for any that is free")
    parser.add_argument("--open", action="store_true", help="with --serve: show it in your browser")
    parser.add_argument("--site", type=Path, help="with report: write the site into this folder")
    arguments = parser.parse_args()
    if not arguments.serve and (arguments.open or arguments.port is not None):
        print("etude report: --port and --open go with --serve; try etude report --help", file=sys.stderr)
        return 2
    if arguments.serve and arguments.site:
        print("etude report: --serve shows the site, --site writes it; take one of the two", file=sys.stderr)
        return 2
    try:
        settings = settings_from(arguments)
        workspace, task = settings.open()
        if arguments.word == "report":
            if arguments.serve or arguments.site:
                return _site(workspace, task, Services.here(settings), arguments)
            print(render_again(workspace, task, Services.here(settings), arguments.cycle or newest(workspace)))
            return 0
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return 2
    run_stdio(lambda: build_room(workspace, task, Services.here(settings)).server)
    return 0


def _site(workspace: Workspace, task: Task, services: Services, arguments: argparse.Namespace) -> int:
    # Here, because the template engine and the web server take a while, and serving stdio needs neither.
    from servers.playbook.site.addresses import HOME
    from servers.playbook.site.command import PORT, serve, write_site
    from servers.playbook.site.site import Site

    if arguments.cycle:
        opening(workspace, arguments.cycle)  # refuses one that is not there
    if arguments.site is not None:
        return write_site(Site(workspace, task, services, is_served=False), arguments.site)
    first = f"cycles/{arguments.cycle}" if arguments.cycle else HOME
    port = PORT if arguments.port is None else arguments.port
    return serve(Site(workspace, task, services), port, first, arguments.open)


def _port(text: str) -> int:
    """A number that a port can have."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number up to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
