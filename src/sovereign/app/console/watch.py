"""A recorded run that somebody watches: the plan's own run, on a paced feed, with a watcher among its readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.app.console.pacing import MAX_SPEED, PacedFeed, Pacer
from sovereign.app.console.picture import Head
from sovereign.app.console.screen import Lines, Screen
from sovereign.app.plan import now_ns
from sovereign.core.errors import UsageError
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, Session, from_ns
from sovereign.research.backtest import run_backtest
from sovereign.research.runner import Finished, Plan, run_recorded

if TYPE_CHECKING:
    from datetime import time

    from sovereign.store.store import Store

_LONGEST_BLOCK_NS = NS_PER_SECOND
_UNPACED_BLOCK_NS = 30 * NS_PER_SECOND
_BLOCK_WALL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a run passes.

    Parameters
    ----------
    speed : market seconds a second; 0 as fast as it goes; None to make each session last `seconds`.
    seconds : length of a session on the wall, when `speed` is None.
    from_time : wall-clock time of the exchange until which a session passes at once; None begins with its first trade.
    """

    speed: float | None = None
    seconds: float = 20.0
    from_time: time | None = None


class Watched:
    """A plan on its way before a watcher: `feed` is its own, paced."""

    def __init__(self, plan: Plan, pace: Pace, watcher: Screen | Lines) -> None:
        self._plan, self._watcher = plan, watcher
        self._pacer = Pacer(pace.speed or MAX_SPEED, watcher.on_wait)
        self.feed = PacedFeed(
            plan.feed,
            self._pacer,
            _block_ns(pace),
            from_ns=None if pace.from_time is None else _from_ns(pace.from_time),
            speed_of=None if pace.speed is not None else lambda span: span / NS_PER_SECOND / pace.seconds,
        )
        self._run_id = ""

    def begin(self, run_id: str) -> None:
        """Tell the watcher what runs, and compile what it needs before anything is paced."""
        from sovereign.kernels.compile import is_cached
        from sovereign.kernels.order_flow import advance

        plan, self._run_id, is_compiled = self._plan, run_id, is_cached(advance)
        label = "SIMULATED data" if plan.feed.is_simulated else "recorded data"
        head = Head(strategy=plan.recipe.strategy, label=label, run_id=run_id)
        self._watcher.begin(head, is_compiled, lambda: self._pacer.speed, lambda symbol: self.feed.spans.get(symbol, (0, 0)))
        if not is_compiled:
            warm_up(plan)

    def stopped(self) -> str:
        """Return where it was when it was interrupted, and what is kept."""
        return _stopped(self._watcher, self._run_id)


def watch(
    plan: Plan,
    store: Store,
    folder: Path,
    pace: Pace,
    watcher: Screen | Lines,
) -> Finished:
    """Run a plan before a watcher, from ledger to report.

    Raises
    ------
    KeyboardInterrupt : the run was interrupted; what was run stays in the ledger, and the message says where.
    """
    watched = Watched(plan, pace, watcher)

    def over(session: Session) -> None:
        if isinstance(watcher, Screen):
            tests = "testing the strategy, " if plan.is_tested else ""
            is_last = session.trade_date >= plan.end
            watcher.finish(f"session over: {tests}writing the report" if is_last else "session over")

    try:
        return run_recorded(
            replace(plan, feed=watched.feed),
            store,
            folder,
            now_ns,
            sinks=(watcher.state,),
            on_session=over,
            on_block=watcher.on_block,
            on_start=watched.begin,
        )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(watched.stopped()) from stop


def warm_up(plan: Plan) -> None:
    """Compile everything a session needs on a simulated one, so that nothing stops to compile in its middle."""
    from sovereign.feeds.synthetic import PortfolioMarket, SyntheticConfig, SyntheticFeed, SyntheticMarket

    if len(plan.instruments) > 1:
        names = [instrument.symbol for instrument in plan.instruments]
        shares = PortfolioMarket(names, plan.calendar, plan.start, 2, plan.evidence.null_seed, plan.portfolio_market)
        run_backtest(plan.recipe, shares)
        return
    market = SyntheticMarket(SyntheticConfig(), plan.evidence.null_seed)
    run_backtest(plan.recipe, SyntheticFeed(market, plan.instruments[0], plan.calendar, plan.start, 2))


def _block_ns(pace: Pace) -> int:
    # As fine as the eye can tell and no finer: a block costs some tens of microseconds a lane.
    if pace.speed is None:
        return _LONGEST_BLOCK_NS
    if pace.speed == MAX_SPEED:
        return _UNPACED_BLOCK_NS
    return max(1, min(_LONGEST_BLOCK_NS, int(pace.speed * _BLOCK_WALL_S * NS_PER_SECOND)))


def _from_ns(clock: time) -> Callable[[Session], int]:
    def begin(session: Session) -> int:
        wanted = session.at(clock)
        if wanted >= session.close_ns:  # an evening time belongs to the night before the trade date
            wanted -= 24 * 60 * NS_PER_MINUTE
        if not session.open_ns <= wanted < session.close_ns:
            opened, closed = (from_ns(ts, session.zone).strftime("%H:%M") for ts in (session.open_ns, session.close_ns))
            raise UsageError(
                f"--from-time was {clock:%H:%M}; the session of {session.trade_date} lasts from {opened} to {closed} "
                f"({session.zone})"
            )
        return wanted

    return begin


def _stopped(watcher: Screen | Lines, run_id: str) -> str:
    session, seen = watcher.state.session, watcher.now_ns()
    where = f" at {from_ns(seen, session.zone):%Y-%m-%d %H:%M:%S %Z}" if session is not None and seen is not None else ""
    return f"stopped{where}; what was run is kept as {run_id} (sovereign runs show {run_id})"
