"""The market of any run: read from the recording of a session, or made again from the run's own data.

A demonstration is made again from its seed, a backtest or replay from the catalog; a run of neither shows the bars that the
store keeps. What was made again says so in `source`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sovereign.app.dashboard.replica import Health, NewStream, Replica
from sovereign.core.errors import SovereignError
from sovereign.core.instrument import Instrument
from sovereign.core.port import EvidenceListener, SignalStream, Strategy

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.core.port import Feed
    from sovereign.core.session import Session
    from sovereign.research.live import EarlierBars
    from sovereign.store.runs import StoredRun
    from sovereign.store.store import Store

_KEPT = 6
_SESSION_KINDS = ("paper", "live")
_DEMO = "demo"
_OTHER_BEGIN = "what its signals began with is not what it was, so bars and regimes may differ from those it decided on"
_NEEDED = ("risk", "strategies", "synthetic", "schedule", "execution")


def settings_of(run: StoredRun) -> Settings | None:
    """Return the settings a run was made with; None when this version cannot read them."""
    from pydantic import ValidationError

    from sovereign.app.configuration import Settings

    config = run.record.config
    try:
        return Settings.model_validate(config)
    except ValidationError:
        pass
    # Of another version: whatever of it still means something.
    kept = {}
    for name in _NEEDED:
        try:
            Settings.model_validate({name: config[name]})
            kept[name] = config[name]
        except (ValidationError, KeyError):
            continue
    return Settings.model_validate(kept) if "risk" in kept and "strategies" in kept else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Whose signals are shown, and what they began with: bars of the catalog, then recordings of sessions, oldest first.

    `earlier` are the sessions of a demonstration, made again; it has neither of the others.
    """

    strategy: Strategy
    bars: EarlierBars | None = None
    warm: tuple[Path, ...] = ()
    earlier: Feed | None = None

    def new_stream(self, instrument: Instrument) -> SignalStream:
        """Return the signals of an instrument as a session found them."""
        from sovereign.research.backtest import warm
        from sovereign.research.live import warmed_stream

        stream = warmed_stream(self.strategy, self.warm, instrument, bars=self.bars)
        if self.earlier is not None:
            warm(stream, self.earlier, instrument.symbol)
        return stream

    @property
    def listener(self) -> EvidenceListener | None:
        """The strategy, when it looks at what scouts have seen."""
        return self.strategy if isinstance(self.strategy, EvidenceListener) else None


def strategy_of(settings: Settings | None, name: str) -> Strategy | None:
    """Return a strategy that has signals, from the settings of a run; None for one without."""
    from sovereign.app.plan import strategy_section
    from sovereign.strategies import load_strategy

    if settings is None:
        return None
    try:
        strategy = load_strategy(name, strategy_section(settings, name))
    except SovereignError:
        return None
    return strategy if hasattr(strategy, "signal_stream") else None


class Rebuilt(Replica):
    """The market of one session of a run, made again from a feed. It is whole from the start."""

    def __init__(self, session: Session, feed: Feed, new_stream: NewStream | None) -> None:
        from sovereign.engine.conductor import opened
        from sovereign.engine.inputs import Opening

        super().__init__(Path(), new_stream)
        nothing = Opening(balance=Decimal(0), high_water_mark=Decimal(0))
        self._open(opened(session, feed.instruments(session), nothing))
        while not self._warm_up():
            pass
        self.opening = None
        for block in feed.blocks(session):
            self.tapes[block.symbol].take(block.trades, 0, block.until_ns)
        self._close()
        self.now_ns = session.close_ns

    def look(self) -> bool:
        """Nothing is ever new."""
        return False

    def parts(self, _: int | None = None) -> dict[str, Health]:
        """Nothing was said of any part."""
        return {}


class Markets:
    """Markets of runs, the latest few kept. Safe to use from several threads.

    Parameters
    ----------
    settings : of the dashboard itself: where the catalog lies.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Replica] = OrderedDict()
        self._making: dict[tuple[str, str], threading.Lock] = {}

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for replica in self._kept.values():
                replica.close()
            self._kept.clear()

    def of(self, run: StoredRun, day: date | None = None, *, budget_s: float | None = None) -> Replica | None:
        """Return the market of a run's session (default: its last); None when nothing of it can be had.

        It is up to date, unless reading took longer than `budget_s` (None: as long as it takes): then `is_behind` is set, and
        the next call reads on.
        """
        wanted = day or run.record.end
        key = (run.id, "" if wanted is None else wanted.isoformat())
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                replica = self._kept.get(key)
                if replica is not None:
                    self._kept.move_to_end(key)
            if replica is None:
                replica = self._make(run, wanted)
                if replica is None:
                    return None
                with self._lock:
                    self._kept[key] = replica
                    while len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)[1].close()
        begin = time.monotonic()
        while replica.look() and replica.is_behind:
            if budget_s is not None and time.monotonic() - begin >= budget_s:
                break
        return replica

    def _make(self, run: StoredRun, day: date | None) -> Replica | None:
        record = run.record
        own = settings_of(run)
        if record.kind in _SESSION_KINDS:
            return self._recorded(run, own)
        # The recording of a demonstration goes on over its sessions: at its end, and by default, it is at the last one.
        if record.kind == _DEMO and day == record.end and (found := self._recorded(run, own)) is not None:
            return found
        if own is None or day is None:
            return None
        try:
            return self._again(run, own, day)
        except SovereignError:  # data that is gone, or of another version: the bars of the store have to do
            return None

    def _recorded(self, run: StoredRun, own: Settings | None) -> Replica | None:
        from sovereign.store.recording import read_header

        try:
            session = self._store.live.session(run.id)
            path = Path(session.recording_path)
            header = read_header(path)
            earlier = self._shown_earlier(run, own, header.get("earlier")) if run.record.kind == _DEMO else None
        except SovereignError:
            return None
        strategy = strategy_of(own, run.record.strategy)
        if own is None or strategy is None:
            return Replica(path, None)
        warm = [path.parent / name for name in header.get("warm_up", ())]
        present = tuple(file for file in warm if file.is_file())
        bars, is_same = self._bars(own, header)
        signals = Signals(strategy=strategy, bars=bars, warm=present, earlier=earlier)
        note = "" if is_same and len(present) == len(warm) else _OTHER_BEGIN
        return Replica(path, signals.new_stream, signals.listener, note)

    def _bars(self, own: Settings, header: Mapping[str, Any]) -> tuple[EarlierBars | None, bool]:
        """Return the catalog's bars that warmed a session's signals up, and whether they are still the same."""
        from sovereign.app.warm_up import named_bars

        wanted = header.get("warm_up_bars")
        if wanted is None:
            return None, True
        found = named_bars(own.model_copy(update={"data": self._settings.data}), wanted["symbols"], header)
        return (None, False) if found is None else (found.feed, found.name == wanted)

    @staticmethod
    def _shown_earlier(run: StoredRun, own: Settings | None, count: int | None) -> Feed | None:
        """Return the sessions that a demonstration's signals were shown before it began."""
        from sovereign.app.demonstration.plan import demo_plan

        record = run.record
        if own is None or record.seed is None or record.start is None:
            return None
        plan = demo_plan(own, record.strategy, record.symbols[0], record.seed, record.start, 1, count, is_tested=False)
        return plan.warm_up

    def _again(self, run: StoredRun, own: Settings, day: date) -> Replica | None:
        from sovereign.app.plan import open_catalog
        from sovereign.feeds.calendar import calendar_for
        from sovereign.feeds.historical import HistoricalFeed
        from sovereign.feeds.synthetic import SyntheticFeed, SyntheticMarket

        record = run.record
        if not record.instruments or len(record.symbols) != 1:
            return None
        from sovereign.core.instrument import find_instrument

        instrument = find_instrument(record.symbols[0])
        calendar = calendar_for(instrument.calendar)
        feed: Feed
        if record.seed is not None and record.is_simulated:
            feed = SyntheticFeed(SyntheticMarket(own.synthetic, record.seed), instrument, calendar, day, 1)
        elif not record.is_simulated:
            feed = HistoricalFeed(open_catalog(self._settings), record.symbols[0], day, day, calendar)
        else:
            return None
        session = next(iter(feed.sessions()), None)
        strategy = strategy_of(own, record.strategy)
        return None if session is None else Rebuilt(session, feed, None if strategy is None else strategy.signal_stream)


def stored_bars(store: Store, run: StoredRun, symbol: str, day: date | None, at: int | None) -> list[dict[str, Any]]:
    """Return the bars that the store keeps of a symbol in a run's session, without footprints; prices in ticks."""
    from sqlalchemy import select

    from sovereign.store import schema
    from sovereign.store.outcome import BAR

    table = schema.bars
    query = select(table.c.data, table.c.trade_date).where(table.c.run_key == run.key, table.c.symbol == symbol)
    if day is not None:
        query = query.where(table.c.trade_date == day.isoformat())
    with store.database.reading() as connection:
        row = connection.execute(query.order_by(table.c.trade_date.desc()).limit(1)).first()
    if row is None:
        return []
    bars = np.frombuffer(row.data, BAR)
    if at is not None:
        bars = bars[: int(np.searchsorted(bars["known_at"], at, side="right"))]
    empty = dict.fromkeys(
        ("volume", "trades", "delta", "cumulative_delta", "poc", "value_area_low", "value_area_high", "vwap", "regime")
    )
    return [
        {
            "index": index,
            "is_open": False,
            "open_ms": None,
            "close_ms": int(bar["known_at"]) / 1e6,
            **{name: int(bar[name]) for name in ("open", "high", "low", "close")},
            **empty,
            "cells": [],
            "patterns": [],
        }
        for index, bar in enumerate(bars)
    ]
