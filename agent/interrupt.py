"""Ctrl-C, SIGTERM and a closed terminal: the first lets the work close what it opened, a second ends at once."""

import os
import signal
import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import anyio

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h\n"

Result = TypeVar("Result")


class Interrupted(Exception):
    """The work was ended by a signal, and has closed what it opened."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell calls it: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal."""
        return 128 + self.number


class Interruptible:
    """Work that a signal ends.

    Args:
        on_first: Called when the first signal has come, before anything is closed.
    """

    def __init__(self, on_first: Callable[[int], None]) -> None:
        self._on_first = on_first
        self._number: int | None = None
        self._loop: AbstractEventLoop | None = None
        self._scope: anyio.CancelScope | None = None

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do the work in an event loop of its own.

        Raises:
            Interrupted: a signal came.
        """
        with self._listening():
            try:
                return anyio.run(self._scoped, work)
            except Exception as error:
                if self._number is not None:  # whatever closing brought to light
                    raise Interrupted(self._number) from error
                raise

    async def _scoped(self, work: Callable[[], Awaitable[Result]]) -> Result:
        with anyio.CancelScope() as self._scope:
            self._loop = get_running_loop()
            try:
                return await work()
            finally:
                self._loop = None
        assert self._number is not None  # nothing else cancels this scope
        raise Interrupted(self._number)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # which alone hears of signals
            yield
            return
        # What is ignored stays so: nohup asks for it.
        heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._heard) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, _: FrameType | None) -> None:
        if self._number is not None:
            self._end_at_once(number)
        self._number = number
        if self._loop is None:  # not begun, or over already
            raise Interrupted(number)
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        assert self._number is not None and self._scope is not None
        self._on_first(self._number)
        self._scope.cancel()

    @staticmethod
    def _end_at_once(number: int) -> None:
        """The servers end by themselves, as their stdin is closed with this process."""
        if os.isatty(2):
            os.write(2, SHOW_CURSOR)
        os._exit(128 + number)
