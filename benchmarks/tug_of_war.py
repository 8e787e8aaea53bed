"""Ten symbols and a year of minute bars through the whole tug of war, against a crossing of averages elsewhere.

`python -m benchmarks.tug_of_war` prints a table. Ours: every signal, the regime, the risk door, brackets and the account, on
one clock, the two benchmarks read beside the ten; from bars in memory to the last session's end, after a run that is not timed
and in which the bars are checked. What is timed is processor time, on one core, which other programs of the machine disturb
least. As the ledger, the reader of the audit stream takes by the session what was refused; it reads none of it.
Peers: two averages and an order when they cross, on the same ten symbols, from arrays in memory as well. Nobody is timed on
other bars: the digest of the bars that our strategy's rows hold must be that of the peers'. A machine's speed drifts; so ours
and backtesting.py take turns, a run of ours after every second symbol of theirs, and what they took is compared by the round.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np

from benchmarks import environment, peer
from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.core.columns import Bars
from sovereign.core.decision import KeptRefusals
from sovereign.core.event import DecisionMade, RowsClosed
from sovereign.core.session import NS_PER_MINUTE
from sovereign.feeds.bars import Paths
from sovereign.feeds.calendar import calendar_for
from sovereign.research.backtest import Recipe, main_lane, run_backtest
from sovereign.research.portfolio import GivenSessions

BENCHMARKS = ("SPY", "QQQ")
SHARES = ("NVDA", "CRWD", "LLY", "TSM", "JPM", "NEE", "CAT", "SONY", "PLTR", "MSTR")
FIELDS = ("open", "high", "low", "close", "volume")
FAST, SLOW = 10, 20
LEAST = 10.0
RUNS = 5  # of ours a round, each after two of the ten symbols of backtesting.py


def make_bars(sessions: list[Any], seed: int = 1) -> list[dict[str, Bars]]:
    """Return correlated walks with volume, minute by minute, full sessions only."""
    rng = np.random.default_rng(seed)
    symbols = (*BENCHMARKS, *SHARES)
    price = dict.fromkeys(symbols, 20_000)
    found = []
    for number, session in enumerate(sessions):
        count = int((session.regular_close_ns - session.regular_open_ns) // NS_PER_MINUTE)
        ts = session.regular_open_ns + NS_PER_MINUTE * np.arange(1, count + 1, dtype=np.int64)
        scale = (6.0, 6.0, 12.0)[number // 20 % 3]
        common, day = rng.normal(0, scale, count), {}
        for symbol in symbols:
            steps = (0.7 * common + rng.normal(0, scale, count)) * price[symbol] / 20_000
            close = np.maximum(100, price[symbol] + np.cumsum(steps)).round().astype(np.int32)
            opens = np.concatenate([[price[symbol]], close[:-1]]).astype(np.int32)
            reach = rng.integers(0, 8, (2, count)).astype(np.int32)
            volume = rng.lognormal(8, 0.6, count).astype(np.int64) + 4
            high, low = np.maximum(opens, close) + reach[0], np.minimum(opens, close) - reach[1]
            day[symbol] = Bars(ts, opens, high.astype(np.int32), low.astype(np.int32), close, volume)
            price[symbol] = int(close[-1])
        found.append(day)
    return found


def digest_of(columns: dict[str, dict[str, list[np.ndarray]]]) -> str:
    digest = hashlib.sha256()
    for symbol in SHARES:
        for name in FIELDS:
            digest.update(np.concatenate(columns[symbol][name]).astype(np.int64).tobytes())
    return digest.hexdigest()


class Reader:
    """A reader of the audit stream: it counts the decisions, and where it is asked to, keeps the bars that the rows hold."""

    def __init__(self, *, keeps_bars: bool) -> None:
        self._keeps_bars = keeps_bars
        self.bars = 0
        self.columns: dict[str, dict[str, list[np.ndarray]]] = {s: {f: [] for f in FIELDS} for s in SHARES}
        self.decisions = 0

    def hearer(self, kind: type) -> Any:
        return self if kind in (RowsClosed, DecisionMade) else None

    def __call__(self, event: Any) -> None:
        if type(event) is RowsClosed and event.symbol in self.columns:
            self.bars += len(event.rows)
            for name in FIELDS if self._keeps_bars else ():
                self.columns[event.symbol][name].append(event.rows[name].copy())
        elif type(event) is DecisionMade:
            self.decisions += 1

    def on_refused(self, refused: KeptRefusals) -> None:
        self.decisions += len(refused)


def recipe() -> Recipe:
    """The strategy with its defaults; the regime is read on half hours, since a year is too short for daily ones."""
    settings = load_settings(environment={}, strategy="tug_of_war").settings
    plain = recipe_of(settings, "tug_of_war")
    config = plain.strategy_config.model_copy(
        update={
            "bar_seconds": 60,
            "without": ("earnings",),
            "market": plain.strategy_config.market.model_copy(update={"bar_seconds": 1_800}),
        }
    )
    return replace(plain, strategy_config=config, risk=plain.risk.no_fresher_than(60))


def ours(sessions: list[Any], days: list[dict[str, Bars]], *, keeps_bars: bool = False) -> dict[str, Any]:
    """Run the strategy over all sessions; with the digest of the bars that its rows hold, where they are kept."""
    used, reader = recipe(), Reader(keeps_bars=keeps_bars)
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)  # as `sovereign backtest` does
    began = time.process_time()
    paths = Paths(60)
    feed = GivenSessions(sessions, [{s: paths.of(b) for s, b in day.items()} for day in days])
    outcome = run_backtest(used, feed, lanes=(main_lane(used.execution),), sinks=(reader,))
    seconds = time.process_time() - began
    trades = len(next(iter(outcome.lanes.values())).trades)
    if reader.decisions != len(outcome.tables.decisions):
        raise RuntimeError(f"{reader.decisions} decisions were told and {len(outcome.tables.decisions)} were kept")
    found = {"seconds": seconds, "bars": reader.bars, "trades": trades, "decisions": reader.decisions}
    return {**found, "digest": digest_of(reader.columns)} if keeps_bars else found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tug_of_war", description=__doc__)
    parser.add_argument("--sessions", type=int, default=252, help="sessions of 390 minutes")
    parser.add_argument(
        "--repeat", type=int, default=3, help="rounds, five runs of ours and ten symbols of the peer's by turns"
    )
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    held = calendar_for("XNYS").sessions(date(2024, 1, 2), date(2026, 6, 30))
    sessions = [session for session in held if not session.is_early_close][: args.sessions]
    days = make_bars(sessions)
    with tempfile.TemporaryDirectory(prefix="sovereign-tug-") as scratch:
        file = Path(scratch) / "bars.npz"
        given = {n: np.stack([np.concatenate([getattr(day[s], n) for day in days]) for s in SHARES]) for n in FIELDS}
        ts = np.concatenate([day[SHARES[0]].ts for day in days])
        np.savez(file, ts=ts, **{n: v if n == "volume" else v / 100 for n, v in given.items()})
        checked = ours(sessions, days, keeps_bars=True)  # not timed
        rounds: list[dict[str, list[dict[str, Any]]]] = []
        for _ in range(args.repeat):
            found: dict[str, list[dict[str, Any]]] = {"ours": [], "backtesting": [], "vectorbt": []}
            theirs = turns_of("backtesting", file, len(SHARES))
            for _ in range(RUNS):
                found["backtesting"] += list(islice(theirs, len(SHARES) // RUNS))
                timed = {**checked, **ours(sessions, days)}
                if any(timed[name] != checked[name] for name in ("bars", "trades", "decisions")):
                    raise RuntimeError(f"a run was not that whose bars were checked: {timed} against {checked}")
                found["ours"].append(timed)
            found["vectorbt"] = list(turns_of("vectorbt", file, 1))
            rounds.append(found)
            for name, parts in found.items():
                print(f"{name}:", *[f"{part['seconds']:.2f} s" for part in parts], flush=True)
    return show(rounds)


def turns_of(name: str, file: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield what a peer says, part by part; nothing where it cannot be had."""
    try:
        yield from peer.turns(environment.ensure(name), f"{name}_cross.py", file, str(FAST), str(SLOW), count=count)
    except environment.PeerUnavailableError as why:
        print(f"{name}: {why}")


def total(parts: list[dict[str, Any]], name: str) -> Any:
    return sum(part[name] for part in parts)


def show(rounds: list[dict[str, list[dict[str, Any]]]]) -> int:
    mine = rounds[0]["ours"][0]
    # Of each round, the mean: what the peer took in the same minutes is a sum as well.
    took = [total(each["ours"], "seconds") / len(each["ours"]) for each in rounds]
    print(
        f"ours: {median(took):.2f} s, {mine['bars']:,} bars, {mine['decisions']:,} decisions, {mine['trades']} trades; "
        f"{', '.join(f'{each:.2f}' for each in took)}"
    )
    is_met = True
    for name in ("backtesting", "vectorbt"):
        theirs = [each[name] for each in rounds]
        if not all(theirs):
            continue
        last, bars = theirs[-1][-1], total(theirs[-1], "bars")
        if last["digest"] != mine["digest"] or bars != mine["bars"]:
            print(f"{name}: not compared, its bars differ ({bars:,} against {mine['bars']:,})")
            is_met = False
            continue
        seconds = [total(parts, "seconds") for parts in theirs]
        ratios = [of_peer / of_ours for of_peer, of_ours in zip(seconds, took, strict=True)]
        ratio, said = median(ratios), ", ".join(f"{each:.2f}" for each in ratios)
        wanted = f" (wanted at least {LEAST:g})" if name == "backtesting" else ""
        is_met &= name != "backtesting" or ratio >= LEAST
        trades = total(theirs[-1], "trades")
        print(f"{name} {last['version']}: {median(seconds):.2f} s, {trades} trades; peer/ours {ratio:.2f}{wanted}; {said}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
