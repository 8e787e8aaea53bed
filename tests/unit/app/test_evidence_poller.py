"""The look for evidence in the store: the latest of the market's present, silence told once, a dead store no obstacle."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from example_scouts import READING, SNAPSHOT
from fakes.commands import wait_for
from sovereign.app.readers import EvidencePoller
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.live import Seen
from sovereign.store.store import Store


class Market:
    """A clock that is set by hand."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.now

    def wait_look(self) -> None:
        """Wait until a look that began after this moment is over: the clock is asked at the beginning of each."""
        asked = self.asked
        wait_for(lambda: self.asked >= asked + 2, "a look")


def poller(store: Store, market: Market, limit: float = 5.0) -> EvidencePoller:
    return EvidencePoller(
        store,
        ("NVDA", "JPM"),
        market,
        every_s=0.01,
        limits_min={"tape": limit},
        is_awaited=lambda scout, ts: scout == "tape" and ts >= 0,
    )


def wait(look: EvidencePoller, seconds: float = 60.0) -> Seen:
    """Return the next piece that says anything."""
    found: list[Seen] = []

    def has_any() -> bool:
        seen = look()
        if seen != Seen():
            found.append(seen)
        return bool(found)

    wait_for(has_any, "evidence", seconds)
    return found[0]


def test_evidence_when_the_market_goes_on_then_is_the_latest_of_each_symbol_and_nothing_of_later(store_url):
    market = Market(100)
    with Store(store_url) as store:
        store.scouts.add_snapshots([replace(SNAPSHOT, ts=ts) for ts in (40, 90, 150)])
        store.scouts.add_snapshots([replace(SNAPSHOT, symbol="JPM", ts=70), replace(SNAPSHOT, symbol="CAT", ts=70)])
        store.scouts.add_reading(replace(READING, ts=95))
        look = poller(store, market)
        try:
            seen = wait(look)
            assert [(one.symbol, one.ts) for one in seen.snapshots] == [("JPM", 70), ("NVDA", 90)]
            assert [(one.symbol, one.ts, one.filings) for one in seen.readings] == [("NVDA", 95, READING.filings)]
            market.wait_look()
            assert look() == Seen()  # told once
            market.now = 200
            assert [(one.symbol, one.ts) for one in wait(look).snapshots] == [("NVDA", 150)]
        finally:
            look.close()


def test_scout_when_silent_then_said_once_and_once_when_it_is_back(tmp_path):
    market = Market(0)
    with Store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        look = poller(store, market)
        try:
            market.wait_look()
            market.now = 6 * NS_PER_MINUTE
            assert list(wait(look).silent) == ["scout:tape"]
            market.wait_look()
            assert look() == Seen()
            store.scouts.add_snapshots([replace(SNAPSHOT, ts=market.now)])
            found = [wait(look), wait(look)]
            assert [one.ts for seen in found for one in seen.snapshots] == [market.now]
            assert [list(seen.back) for seen in found] == [[], ["scout:tape"]]
        finally:
            look.close()


def test_store_when_it_does_not_answer_then_the_look_goes_on_and_what_was_told_grows_old(tmp_path, monkeypatch):
    market = Market(100)
    with Store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        store.scouts.add_snapshots([replace(SNAPSHOT, ts=90)])
        look = poller(store, market)
        try:
            assert wait(look).snapshots

            def dead(*_: object) -> None:
                raise OperationalError("select", {}, Exception("the database is gone"))

            monkeypatch.setattr(store.scouts, "latest_snapshots", dead)
            market.now = 7 * NS_PER_MINUTE
            assert "no data" in wait(look).silent["scout:tape"]
        finally:
            look.close()


def test_reading_when_its_evidence_cannot_be_read_then_the_look_goes_on_and_the_next_one_is_told(tmp_path):
    market = Market(100)
    with Store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        store.scouts.add_reading(replace(READING, ts=95))
        with store.scouts._database.writing() as connection:
            connection.execute(text("UPDATE news_readings SET evidence = '{'"))
        look = poller(store, market)
        try:
            market.wait_look()
            assert look() == Seen()
            store.scouts.add_reading(replace(READING, ts=99))
            assert [one.ts for one in wait(look).readings] == [99]
        finally:
            look.close()
