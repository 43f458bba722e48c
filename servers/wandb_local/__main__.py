"""`python -m servers.wandb_local --artifacts artifacts` serves stdio over `artifacts/tracking/local.db`."""

import sys

from servers.core.tracking import LocalTracker
from servers.core.workspace import Workspace
from servers.room import server_arguments, settings_from
from servers.wandb_local.server import build_server


def main() -> int:
    what = "Serve the local tracking database over stdio, as the official W&B MCP server would."
    try:
        settings = settings_from(server_arguments("wandb_local", what).parse_args())
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return 2
    build_server(LocalTracker(Workspace(settings.artifacts).tracking_file)).run("stdio")
    return 0


if __name__ == "__main__":
    sys.exit(main())
