"""Being asked to stop: ctrl-C and SIGTERM end a study between two steps, where everything is whole."""

from __future__ import annotations

import signal
import threading
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


class StopRequests:
    """Inside, the first SIGINT or SIGTERM is remembered for the next `check`, and a second one raises at once.

    Former handlers come back at the end. A signal that the process ignores stays ignored, and outside the main thread, which
    alone may receive signals, nothing is changed.

    >>> with StopRequests() as requests:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     requests.asked
    True
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._at_once = False
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> StopRequests:
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
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked is not None

    def check(self) -> None:
        """Stop here, if that was asked for.

        Raises:
            Stopped: it was.
        """
        if self._asked is not None:
            raise Stopped(self._asked)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What happens inside may be given up anywhere: even the first signal raises at once."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self._at_once or self._asked is not None:
            raise Stopped(number)
        self._asked = number
