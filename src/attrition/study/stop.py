"""Being asked to stop: ctrl-C, SIGTERM and a time limit end a study between two steps, where everything is whole."""

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
    """A study was asked to stop, and did.

    Attributes:
        number: of the signal.
        kept: what is kept and how to go on, in sentences.
    """

    def __init__(self, number: int, kept: str = "") -> None:
        super().__init__(kept)
        self.number, self.kept = number, kept

    @property
    def exit_code(self) -> int:
        """As shells have it: 130 for ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


class TimeUp(Stopped):
    """The time limit of a study came before its end. The exit code is 0: the command did what it was asked to do."""

    def __init__(self, kept: str = "") -> None:
        super().__init__(0, kept)

    @property
    def exit_code(self) -> int:
        """0."""
        return 0


class StopRequests:
    """Inside, the first SIGINT or SIGTERM is remembered for the next `check`, and a second one raises at once.

    With a time limit, `check` stops the study too when the time is up. Former handlers come back at the end. A signal that the
    process ignores stays ignored, and outside the main thread, which alone may receive signals, nothing is changed.

    >>> with StopRequests() as requests:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     requests.asked
    True
    """

    def __init__(self, seconds: float | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """Requests to stop, from now on.

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
        """Whether there is a time limit."""
        return self._end is not None

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for, or the time is up."""
        return self._asked is not None or self._is_late(0.0)

    def check_time_for(self, seconds: float | None) -> None:
        """Stop here, if something that takes so many seconds would end after the time limit; None stands for not known.

        Raises:
            TimeUp: it would.
        """
        if self._is_late(seconds or 0.0):
            raise TimeUp

    def check(self) -> None:
        """Stop here, if that was asked for.

        Raises:
            Stopped: it was.
        """
        if self._asked is not None:
            raise Stopped(self._asked)
        self.check_time_for(0.0)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What happens inside may be given up anywhere: even the first signal raises at once."""
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
