"""A stand-in for sudo, for tests that are root: what it starts runs as another user, on the caller's own streams.

As a program (`sudo -n -u USER COMMAND`) it hands its three streams and its words to the test's process, which is root
and knows which commands, without arguments, may be run as which user. As sudo does by default, it passes on
hardly anything of the environment and sets umask 022.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

SOCKET = Path(sys.argv[0]).with_name("sudo.socket")
DENIED = 1


class Sudo:
    """Answers the program for as long as the `with` block lasts.

    Args:
        program: Where the program is put.
        python: What runs it; anybody must be able to.
        allowed: What may be asked for, word by word.
        user: Number of the user that the command then runs as.
        group: Number of that user's group.
    """

    def __init__(self, program: Path, python: Path, allowed: list[list[str]], user: int, group: int) -> None:
        self._allowed, self._user, self._group = allowed, user, group
        program.write_text(f"#!{python}\n{Path(__file__).read_text()}")
        program.chmod(0o755)
        self._listener = socket.socket(socket.AF_UNIX)
        place = program.with_name(SOCKET.name)
        self._listener.bind(str(place))
        place.chmod(0o666)
        self._thread = threading.Thread(target=self._answer_all)

    def __enter__(self) -> Self:
        self._listener.listen()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _answer_all(self) -> None:
        serving: list[threading.Thread] = []
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                break
            serving.append(threading.Thread(target=self._answer, args=(caller,)))
            serving[-1].start()
        for thread in serving:
            thread.join()

    def _answer(self, caller: socket.socket) -> None:
        with caller:
            said, streams, _, _ = socket.recv_fds(caller, 65536, 3)
            asked = json.loads(said)
            code = DENIED
            try:
                if asked["words"] in self._allowed:
                    stdin, stdout, stderr = streams
                    code = subprocess.run(
                        asked["words"][-1:], stdin=stdin, stdout=stdout, stderr=stderr, cwd=asked["cwd"], check=False,
                        env={"PATH": "/usr/bin:/bin"}, user=self._user, group=self._group, extra_groups=[], umask=0o022,
                    ).returncode  # fmt: skip
            finally:
                for stream in streams:
                    os.close(stream)
                with suppress(BrokenPipeError):  # a client that stops its server does not wait for it for ever
                    caller.sendall(bytes([code & 0xFF]))


def main() -> int:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(SOCKET))
        asked = {"words": sys.argv[1:], "cwd": os.getcwd()}
        socket.send_fds(line, [json.dumps(asked).encode()], [0, 1, 2])
        for stream in (0, 1):  # the command has them now; its end must be theirs
            os.close(stream)
        return line.recv(1)[0]


if __name__ == "__main__":
    sys.exit(main())
