"""A stdio proxy that writes down the method of every request and notification its client sends.

python -m tests.doubles.recording_proxy LOG COMMAND [ARGUMENT …]
"""

import json
import os
import subprocess
import sys
import threading
from typing import BinaryIO


def _copy(source: BinaryIO, sink: BinaryIO) -> None:
    while chunk := source.readline():
        sink.write(chunk)
        sink.flush()


def main() -> int:
    log, *command = sys.argv[1:]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None and server.stdout is not None
        back = threading.Thread(target=_copy, args=(server.stdout, sys.stdout.buffer), daemon=True)
        back.start()
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        while line := sys.stdin.buffer.readline():
            message = json.loads(line)
            os.write(handle, (json.dumps({"method": message.get("method"), "id": message.get("id")}) + "\n").encode())
            server.stdin.write(line)
            server.stdin.flush()
        os.close(handle)
        server.stdin.close()
        back.join(timeout=10)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main())
