"""`python -m servers.sync`: bring W&B up to date."""

import os
import sys

from servers.sync.command import run

if __name__ == "__main__":
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything was sent and answered; the SDKs' threads would take seconds more to notice
