"""The council on paper: a session at the venue that is killed on the way goes on, trades, and remembers each trade once.

That it goes on the same, byte for byte, is shown in `property/test_council_laws.py`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes.commands import done, sovereign, wait_for
from sovereign.store.episodes import SqlEpisodeBook
from sovereign.store.store import Store

QUICK = {
    "bar_seconds": 60,
    "regime.window_bars": 4,
    "regime.prior_bars": 4,
    "regime.min_history_bars": 3,
    "turn.range_bars": 5,
    "turn.trend_bars": 4,
    "profile.window_bars": 5,
    "sentiment.min_score": 0.1,
    "wyckoff.base_confidence": 0.9,
    "position.min_confidence": 0.1,
    "position.max_bars": 2,
}
"""A council that has seen enough after a few bars, and holds what it buys for two more."""
SET = [word for key, value in QUICK.items() for word in ("--set", f"strategies.council.{key}={value}")]
SET += ["--set", "venue.state=data/venue", "--set", "execution.latency_ms=250", "--set", "risk.min_reward_to_cost=0"]
TICKS = "synthetic.ticks_per_session=40000"
RECORDING = "data/sessions/paper-council-20251117.rec"
ENOUGH_S = 300.0
KILLED_AT = 150_000  # bytes of the recording, about half of it


@contextmanager
def venue(folder: Path) -> Iterator[None]:
    words = (
        "--symbol",
        "SPY",
        "--seconds",
        "3000",
        "--offset",
        "600",
        "--pace",
        "lockstep",
        "--latency",
        "250",
        "--slice",
        "2000",
        "--port",
        "0",
    )
    more = ("--accounts", "paper:30000", "--set", "venue.state=data/venue", "--set", TICKS)
    with sovereign(folder, "venue", *words, *more) as running:
        running.said('"url"')
        yield


def trade(folder: Path) -> None:
    code, out, err = done(folder, "run", "council", "--once", "--interval", "0", *SET, seconds=ENOUGH_S)
    assert code == 0, err
    assert "the session closed" in out


def kill_on_the_way(folder: Path, size: int) -> None:
    recording = folder / RECORDING
    with sovereign(folder, "run", "council", "--once", "--interval", "0", *SET) as session:
        wait_for(
            lambda: recording.is_file() and recording.stat().st_size > size,
            f"{size} bytes of the recording",
            ENOUGH_S,
            session.alive,
        )
        session.process.send_signal(signal.SIGKILL)


def test_run_when_killed_on_the_way_then_goes_on_trades_and_remembers_each_trade_once(tmp_path: Path) -> None:
    with venue(tmp_path):
        kill_on_the_way(tmp_path, KILLED_AT)
        trade(tmp_path)
    code, _, err = done(tmp_path, "audit", "verify", *SET, seconds=ENOUGH_S)
    assert code == 0, err
    with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
        (run,) = store.runs()
        name = run.record.id
        trades, decisions = store.trades(name), store.table(name, "decisions")
        episodes = SqlEpisodeBook(store.database, "paper").closed_before("council", 2**62, 1_000)
        # The part that was told twice was told the same: the chain of the first process is the beginning of the second's.
        assert store.live.verify_audit(name).is_whole
        assert not [notice for notice in store.live.notices(account="paper") if "differs from the stored" in notice.notice.text]
    assert len(trades) >= 2
    assert [(e.side, e.closed_ns) for e in episodes] == [(t.side.sign, t.exit_ns) for t in trades]
    assert {e.outcome for e in episodes} <= {0.0, 0.5, 1.0}
    assert any(decision["verdict"] == "APPROVED" for decision in decisions)
