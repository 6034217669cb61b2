"""Stops a study between two steps on Ctrl-C, SIGTERM or a time limit."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Raised when a study stops on request.

    Attributes:
        number: of the signal.
        kept: what is saved and how to resume, in sentences.
    """

    def __init__(self, number: int, kept: str = "") -> None:
        super().__init__(kept)
        self.number, self.kept = number, kept

    @property
    def exit_code(self) -> int:
        """Return the exit code that shells use: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


class TimeUp(Stopped):
    """Raised when a study stops at its time limit. The exit code is 0, because the command did what was asked."""

    def __init__(self, kept: str = "") -> None:
        super().__init__(0, kept)

    @property
    def exit_code(self) -> int:
        """Return 0."""
        return 0


class StopRequests:
    """Context manager: the first SIGINT or SIGTERM waits for the next `check`, the second one raises at once.

    `check` also raises when the time limit is reached. The previous handlers return at the end. An ignored signal stays
    ignored. Outside the main thread nothing changes, because only the main thread may handle signals.

    >>> with StopRequests() as requests:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     requests.asked
    True
    """

    def __init__(self, seconds: float | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """Start the time limit.

        Args:
            seconds: the time limit; None for none.
            now: the clock.
        """
        self._now = now
        self._end = None if seconds is None else now() + seconds
        self._asked: int | None = None
        self._at_once = False
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> StopRequests:
        self._asked = None  # a worker enters once for each unit
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    @property
    def limited(self) -> bool:
        """Return whether there is a time limit."""
        return self._end is not None

    @property
    def asked(self) -> bool:
        """Return whether a signal came or the time is up."""
        return self._asked is not None or self._is_late(0.0)

    def check_time_for(self, seconds: float | None) -> None:
        """Raise if work of `seconds` would end after the time limit; None means unknown.

        Raises:
            TimeUp: the work would end too late.
        """
        if self._is_late(seconds or 0.0):
            raise TimeUp

    def check(self) -> None:
        """Raise if a signal came or the time is up.

        Raises:
            Stopped: a stop was requested.
        """
        if self._asked is not None:
            raise Stopped(self._asked)
        self.check_time_for(0.0)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Context manager for work that may be interrupted anywhere: even the first signal raises at once."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _is_late(self, seconds: float) -> bool:
        return self._end is not None and self._now() + seconds >= self._end

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self._at_once or self._asked is not None:
            raise Stopped(number)
        self._asked = number
