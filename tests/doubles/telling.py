"""A room whose one tool works for a while and says how far it is, over stdio or HTTP.

    python -m tests.doubles.telling FOLDER [PORT]

At the end of each call it writes `done-N` into the folder, whether or not anybody still listens.
"""

import sys
import time
from pathlib import Path

from servers.core.progress import tell
from servers.core.workspace import Workspace
from servers.room import Room, run_stdio


def telling_room(folder: Path) -> Room:
    room = Room("eval", "For a test.", Workspace(folder))

    @room.reads()
    def work(steps: list[tuple[float, float | None, str]], pause_s: float, number: int = 0) -> int:
        """Tell of each step, and pause. Next: work."""
        for done, total, words in steps:
            tell(done, total, words)
            time.sleep(pause_s)
        (folder / f"done-{number}").touch()
        return len(steps)

    return room


if __name__ == "__main__":
    place, *port = sys.argv[1:]
    if port:
        telling_room(Path(place)).server.run("streamable-http", host="127.0.0.1", port=int(port[0]))
    else:
        run_stdio(lambda: telling_room(Path(place)).server)
