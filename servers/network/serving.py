"""Listen, serve, and end without losing a call.

At the first SIGTERM or SIGINT nothing new is taken (`/ready` says so), calls under way have GRACE_S to finish, streams
are ended, and the process leaves with exit code 0. What is not done by then is cut off, as a kill would: every tool
leaves a state on disk from which the same call goes on, and trainings are processes of their own. A second signal ends
at once.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

import anyio
import uvicorn

from servers.network.entrance import Entrance
from servers.network.patience import PatientProtocol
from servers.network.request_log import say

GRACE_S = 25.0  # longer than a tool waits for a job, shorter than supervisors wait before they kill
MAX_CONNECTIONS = 512
KEEP_ALIVE_S = 65  # longer than reverse proxies keep a connection, or they would use one that is being closed
MAX_HEADER_BYTES = 32 * 1024
LAST_WORDS_S = 2  # for answers that are written already


class _Server(uvicorn.Server):
    """Uvicorn, which leaves the signals to us."""

    def __init__(self, entrance: Entrance) -> None:
        super().__init__(
            uvicorn.Config(
                entrance,
                http=PatientProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=LAST_WORDS_S,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            )
        )
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class House:
    """What is served, where, and what is said when it is."""

    entrance: Entrance
    bound: socket.socket
    greeting: str


async def serve(house: House, stop: anyio.Event, on_start: Callable[[], None], grace_s: float) -> int:
    """Serve until `stop` is set, and let what is under way finish.

    Args:
        house: What, and where.
        stop: Set to end.
        on_start: Called when requests are taken.
        grace_s: For calls under way.

    Returns:
        How many calls were cut off. Their threads still work: the process has to be left without waiting for them.
    """
    traffic = house.entrance.traffic
    async with AsyncExitStack() as stack:
        for mounted in house.entrance.mounted.values():
            await stack.enter_async_context(mounted.manager.run())
        server = _Server(house.entrance)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [house.bound])
            await server.listens.wait()
            on_start()
            await stop.wait()
            traffic.close()
            with anyio.move_on_after(grace_s):
                await traffic.quiet()
            cut = traffic.calls
            traffic.end()
            server.should_exit = True
        if cut:
            stack.pop_all()  # closing would wait for the threads
    return cut


def run(prepare: Callable[[], Awaitable[House]], grace_s: float = GRACE_S) -> int:
    """Serve until a signal says to stop, and then for at most `grace_s` seconds; the exit code."""

    async def until_stopped() -> int:
        house, stop = await prepare(), anyio.Event()

        def on_signal(number: int) -> None:
            if stop.is_set():
                say("etude: stopped at once")
                os._exit(128 + number)
            under_way = house.entrance.traffic.calls
            say(
                f"etude: stopping; calls under way ({under_way}) have {grace_s:g} s" if under_way else "etude: stopping"
            )
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
        if cut := await serve(house, stop, lambda: say(house.greeting), grace_s):
            say(f"etude: stopped; calls cut off: {cut}; the same calls go on from what is on disk")
            os._exit(0)
        say("etude: stopped")
        return 0

    return anyio.run(until_stopped)
