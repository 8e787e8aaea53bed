"""Where a run is shown: a full screen that is redrawn at a steady rate, or a few plain lines when nobody watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sovereign.app.console.picture import Head, Picture, take
from sovereign.app.console.state import ConsoleState
from sovereign.app.console.view import ASCII, Marks, Painter, progress_line

if TYPE_CHECKING:
    from sovereign.research.backtest import Passage

_FRAME_S = 0.11
_SPINNER = "|/-\\"


class _Watching:
    # What both watchers share: the last passage, and pictures of it.
    def __init__(self) -> None:
        self.state = ConsoleState()
        self._head: Head | None = None
        self._passage: Passage | None = None
        self._now_ns: int | None = None
        self._speed: Callable[[], float] = float
        self._span: Callable[[str], tuple[int, int]] = lambda _: (0, 0)

    def now_ns(self) -> int | None:
        """Return the market time last seen, None before the first block."""
        return self._now_ns

    def _see(self, passage: Passage) -> None:
        self._passage = passage
        # The last block of a session promises its end; the market's time is that of its last trade.
        last = self._span(passage.block.symbol)[1]
        self._now_ns = min(passage.block.until_ns, last) if last else passage.block.until_ns

    def _picture(self, now_ns: int) -> Picture | None:
        if self._passage is None or self._head is None:
            return None
        first, last = self._span(self._passage.block.symbol)
        done = (now_ns - first) / (last - first) if last > first else 1.0
        return take(self._head, self.state, self._passage, now_ns, self._speed(), done)


class Screen(_Watching):
    """A full-screen view of a run, drawn from the run's own thread, so that it never sees half a change."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.console = console or Console()
        self._clock = clock
        self._due = 0.0
        is_plain = not (self.console.encoding or "").lower().startswith("utf")
        self._painter = Painter(ASCII if is_plain else Marks())
        self._live = Live(console=self.console, screen=True, auto_refresh=False, vertical_overflow="crop")
        self._words = ""
        self._note = ""
        self._drawn: Picture | None = None
        self._has_begun = threading.Event()
        self._splash: threading.Thread | None = None

    @contextmanager
    def open(self, title: str) -> Iterator[Screen]:
        """Take the terminal over, with a sign of life at once, and give it back whatever happens."""
        self._words = f"{title}\n\nloading"
        with self._live:
            self._splash = threading.Thread(target=self._show_splash, daemon=True, name="splash")
            self._splash.start()
            try:
                yield self
            finally:
                self._end_splash()

    def begin(self, head: Head, is_compiled: bool, speed: Callable[[], float], span: Callable[[str], tuple[int, int]]) -> None:
        """Learn what is going to run, and how fast."""
        self._head, self._speed, self._span = head, speed, span
        what = "preparing the session" if is_compiled else "compiling, first start only (about half a minute)"
        self._words = f"{head.strategy}: {head.label}\n\n{what}"

    def on_block(self, passage: Passage) -> None:
        """See a block that has been worked through."""
        is_first = self._passage is None or self._passage.session is not passage.session
        self._note = ""
        self._see(passage)
        if self._splash is not None:
            self._end_splash()
        self._draw(self._now_ns or 0, force=is_first)

    def on_wait(self, market_ns: int) -> None:
        """See market time pass while nothing happens."""
        self._draw(market_ns)

    def finish(self, note: str) -> None:
        """Draw the end of the last session, and say what still goes on."""
        if self._drawn is None:
            return
        self._note = note
        state = self.state
        # The engine has closed its session: money as it is now, the market as it was last.
        if self._passage is not None:
            account = self._passage.engine.account
            self._drawn = replace(self._drawn, balance=account.balance, day_pnl=account.balance - account.day_start_balance)
        self._show(
            replace(
                self._drawn,
                now_ns=self._now_ns or self._drawn.now_ns,
                done_frac=1.0,
                decided=state.decided,
                closed=state.closed,
                decisions=tuple(state.decisions),
                trades=tuple(state.trades),
                notices=tuple(state.notices),
            )
        )

    def _draw(self, now_ns: int, *, force: bool = False) -> None:
        wall = self._clock()
        if wall < self._due and not force:
            return
        picture = self._picture(now_ns)
        if picture is None:
            return
        self._due = wall + _FRAME_S
        self._drawn = picture
        self._show(picture)

    def _show(self, picture: Picture) -> None:
        size = self.console.size
        self._live.update(self._painter.draw(picture, size.width, size.height, self._note), refresh=True)

    def _show_splash(self) -> None:
        started = self._clock()
        turn = 0
        while not self._has_begun.is_set():
            waited = self._clock() - started
            sign = _SPINNER[turn % len(_SPINNER)]
            self._live.update(Text(f"\n {self._words} {sign} {waited:.0f} s", no_wrap=True), refresh=True)
            turn += 1
            self._has_begun.wait(0.12)

    def _end_splash(self) -> None:
        self._has_begun.set()
        if self._splash is not None:
            self._splash.join()
            self._splash = None


class Lines(_Watching):
    """A few plain lines on the way through a session, for logs and pipes."""

    def __init__(self, write: Callable[[str], None], lines: int = 8) -> None:
        super().__init__()
        self._write = write
        self._lines = lines
        self._next = 0.0

    def begin(self, head: Head, is_compiled: bool, speed: Callable[[], float], span: Callable[[str], tuple[int, int]]) -> None:
        """Learn what is going to run, and how fast."""
        self._head, self._speed, self._span = head, speed, span
        self._write(f"{head.strategy}: {head.label}, run {head.run_id}")
        if not is_compiled:
            self._write("compiling, first start only (about half a minute)")

    def on_block(self, passage: Passage) -> None:
        """See a block that has been worked through."""
        if self._passage is None or self._passage.session is not passage.session:
            self._next = 0.0
        self._see(passage)
        now = self._now_ns or 0
        first, last = self._span(passage.block.symbol)
        done = (now - first) / (last - first) if last > first else 1.0
        if done < self._next:
            return
        picture = self._picture(now)
        if picture is not None:
            self._write(progress_line(picture))
        self._next = (int(done * self._lines) + 1) / self._lines if done < 1 else 2.0

    def on_wait(self, market_ns: int) -> None:
        """Nothing to say while nothing happens."""
