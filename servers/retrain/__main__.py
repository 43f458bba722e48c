"""`python -m servers.retrain` serves stdio."""

import sys

from servers.retrain.server import build_room
from servers.room import serve

if __name__ == "__main__":
    sys.exit(serve("retrain", "Serve the retrain tools over stdio.", build_room, sys.argv[1:]))
