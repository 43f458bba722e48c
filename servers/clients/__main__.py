"""`python -m servers.clients`: what a chat client needs to reach the servers."""

import sys

from servers.clients.command import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
