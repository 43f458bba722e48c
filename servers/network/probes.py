"""`/health`: the process lives. `/ready`: it can work. Both answer without a token, and say nothing private."""

import tempfile
import time
from collections.abc import Callable

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from servers.core.settings import Settings
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.network.traffic import Traffic

HEALTH, READY = "/health", "/ready"
KEPT_S = 2.0  # what was found is said again for so long, because anybody may ask
STOPPING, NO_FOLDER, NO_TASK = (
    "the server is being stopped",
    "the artifacts folder cannot be written to",
    "the task cannot be read",
)


class Probes:
    """What a supervisor or a load balancer asks.

    Args:
        settings: Where the server works, and for which task.
        traffic: Whether it is being stopped.
        clock: Seconds, monotonic.
    """

    def __init__(self, settings: Settings, traffic: Traffic, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._traffic, self.clock = settings, traffic, clock
        self._found: tuple[float, list[str]] | None = None

    async def answer(self, path: str) -> Response | None:
        """What a probe gets; None for a path that is none."""
        if path == HEALTH:
            return JSONResponse({"status": "alive"})
        if path != READY:
            return None
        reasons = [STOPPING] if self._traffic.is_closing else await self._look()
        if reasons:
            return JSONResponse({"status": "not ready", "reasons": reasons}, 503, {"Retry-After": "5"})
        return JSONResponse({"status": "ready"})

    async def _look(self) -> list[str]:
        if self._found is None or self.clock() - self._found[0] > KEPT_S:
            self._found = (self.clock(), await to_thread.run_sync(self._reasons))
        return self._found[1]

    def _reasons(self) -> list[str]:
        """Why no work can be done; a reason names no path, because anybody may read it."""
        reasons = []
        try:
            load_task(self._settings.task)
        except ValueError:
            reasons.append(NO_TASK)
        try:
            folder = Workspace(self._settings.artifacts).root
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:  # without a name, so that nothing is left
                file.write(b"\n")
        except OSError:
            reasons.append(NO_FOLDER)
        return reasons
