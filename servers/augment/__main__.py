"""`python -m servers.augment` serves stdio."""

import sys

from servers.augment.server import build_room
from servers.room import serve

if __name__ == "__main__":
    sys.exit(serve("augment", "Serve the augment tools over stdio.", build_room, sys.argv[1:]))
