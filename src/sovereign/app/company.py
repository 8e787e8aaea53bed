"""What keeps a session company when its strategy listens to scouts or decides in rounds: evidence, record, briefing, one round.

Everything here hangs beside the session: the decision thread asks for evidence that waits and lets new rows be picked up, and
nothing of it can keep it waiting. For a strategy that wants none of this it does nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sovereign.app.readers import EvidencePoller
from sovereign.app.rounds import OneRound
from sovereign.app.scout_desk import is_awaited, silence_limits
from sovereign.core.port import EvidenceListener

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.scout_desk import ScoutDesk
    from sovereign.app.task import Task
    from sovereign.app.tug_record import TugRecorder
    from sovereign.core.instrument import Instrument
    from sovereign.core.port import SignalStream, Sink, Strategy
    from sovereign.core.session import Session
    from sovereign.engine.conductor import Conductor
    from sovereign.engine.live import Heartbeat, Seen
    from sovereign.store.store import Store

_logger = logging.getLogger("sovereign.session")


class Company:
    """One session's company.

    Parameters
    ----------
    scouts : of the process; None when they run elsewhere. stop : ends the process. say : tells a person at the terminal.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        task: Task,
        strategy: Strategy,
        scouts: ScoutDesk | None,
        stop: Callable[[str], object],
        say: Callable[[str], object],
    ) -> None:
        from sovereign.strategies.tug_of_war import TugOfWarStrategy

        self._settings, self._store, self._task, self._strategy = settings, store, task, strategy
        self._tug = strategy if isinstance(strategy, TugOfWarStrategy) else None
        self._scouts, self._stop, self._say = scouts, stop, say
        self._later: Callable[[Callable[[], object]], object] = _nothing
        self._recorder: TugRecorder | None = None
        self._round: OneRound | None = None
        self._poller: EvidencePoller | None = None
        self._conductor: Conductor | None = None
        self._symbols: tuple[str, ...] = ()
        self._is_briefed = False

    def begin(self, session: Session, instruments: Sequence[Instrument], market_ns: Callable[[], int]) -> None:
        """Begin with a session, whose market's present is `market_ns` (UTC ns)."""
        from sovereign.app.plan import strategy_section
        from sovereign.app.tug_record import TugRecorder
        from sovereign.strategies import benchmarks_of

        section = strategy_section(self._settings, self._task.strategy)
        self._symbols = tuple(instrument.symbol for instrument in instruments)
        if self._tug is not None:
            self._recorder = TugRecorder(self._store.scouts, self._task.place, self._tug, session, self._hand_on)
        if self._scouts is not None:
            benchmarks = benchmarks_of(section)
            self._scouts.watch(market_ns, [symbol for symbol in self._symbols if symbol not in benchmarks], session)
        if isinstance(self._strategy, EvidenceListener):
            self._poller = EvidencePoller(
                self._store,
                self._symbols,
                market_ns,
                every_s=self._settings.session.evidence_every_s,
                limits_min=silence_limits(section),
                is_awaited=partial(is_awaited, session),
            )
            if self._scouts is not None:
                self._scouts.on_kept = self._poller.look_now
        if self._task.is_once and self._task.round_minutes is not None:
            patience_s = self._settings.live.in_flight_grace_s
            self._round = OneRound(session, self._task.round_minutes, self._stop, patience_s)

    def use_writer(self, later: Callable[[Callable[[], object]], object]) -> None:
        """Take the way by which work reaches the store's writer."""
        self._later = later

    def use_conductor(self, conductor: Conductor) -> None:
        """Take the conductor, which stands where the recording ends."""
        self._conductor = conductor

    def sink(self, run: Any) -> Any:
        """Return the run's sink, with the strategy's own record beside it where there is one."""
        from sovereign.app.tug_record import Both

        return run if self._recorder is None else Both(run, self._recorder)

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Readers that are to hear nothing of a replay."""
        return () if self._round is None else (self._round,)

    def follow(self, symbol: str, stream: SignalStream) -> SignalStream:
        """Take note of an instrument's signals."""
        return stream if self._recorder is None else self._recorder.follow(symbol, stream)

    def _hand_on(self, work: Callable[[], object]) -> None:
        self._later(work)

    # Called by the decision thread

    def evidence(self) -> Seen:
        """Return what scouts have seen since the last call."""
        from sovereign.engine.live import Seen

        return Seen() if self._poller is None else self._poller()

    def look(self, sign: Heartbeat) -> None:
        """Pick up what is new."""
        if self._recorder is not None:
            self._recorder.look()
        conductor = self._conductor
        if conductor is None or conductor.session is None:
            return
        if not self._is_briefed and sign.ts >= conductor.session.open_ns:  # not the evening before
            self._is_briefed = True
            self._later(partial(self._brief, sign.ts))
        if self._round is not None:
            waits = bool(conductor.engine.executor.in_flight(sign.ts))
            self._round.look(sign.ts, sign.until_ns, is_waiting=waits)

    def end(self) -> None:
        """Pick up what is left when the session is over."""
        if self._recorder is not None:
            self._recorder.look()

    def close(self) -> None:
        """End what runs; the scouts go on."""
        if self._poller is not None:
            self._poller.close()

    # Called by the store's writer

    def _brief(self, ts: int) -> None:
        """Tell what stands for and against trading today."""
        from sovereign.app.briefing import briefing

        if self._tug is None:
            return
        sectors = {symbol: tuple(groups) for symbol, groups in self._settings.risk.sectors.items()}
        for line in briefing(self._tug, self._store.scouts, self._symbols, sectors, ts):
            self._say(f"  {line}")
            _logger.info("%s", line)

    # What came of it

    @property
    def rounds(self) -> int:
        """Rounds that were asked for and decided."""
        return int(self._round is not None and self._round.is_made)

    @property
    def decisions(self) -> tuple[dict[str, Any], ...]:
        """Decisions of the round that was asked for."""
        return () if self._round is None else tuple(self._round.decisions)


def _nothing(_: Callable[[], object]) -> None:
    """No writer yet."""
