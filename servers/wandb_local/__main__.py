"""`python -m servers.wandb_local --artifacts artifacts` serves stdio over `artifacts/tracking/local.db`."""

import sys

from servers.core.workspace import Workspace
from servers.room import run_stdio, server_arguments, settings_from
from servers.wandb_local.server import build_room


def main() -> int:
    what = "Serve the local tracking database over stdio, as the official W&B MCP server would."
    try:
        settings = settings_from(server_arguments("wandb_local", what).parse_args())
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return 2
    run_stdio(lambda: build_room(Workspace(settings.artifacts)).server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
