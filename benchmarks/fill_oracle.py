"""Our simulated broker against NautilusTrader on one neutral order script, and the name of every difference.

A difference gets a name only when the rule behind that name predicts the peer's fills from the tape and the script; anything
else is "unexplained", and the tests allow none. The names are documented in docs/reference/oracle.md.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.session import NEVER
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import FillModel
from sovereign.execution.report import ExecutionReport

PROGRAM = Path(__file__).parent / "peers" / "nautilus_fills.py"
Tape = list[tuple[int, int, int]]
Fills = dict[str, Tape]
"""Fills by order id, each (time, quantity, price in ticks); children are `<id>-S` and `<id>-T`."""


def matching_model(*, crosses_spread: bool) -> FillModel:
    """Return our assumptions that correspond to the peer's: no queue, no slippage, a touch fills by the traded volume."""
    return FillModel(
        crosses_spread=crosses_spread,
        unquoted_spread_ticks=0,
        market_slippage_ticks=0,
        stop_slippage_ticks=0,
        through_ticks=1,
        queue_lots=0,
        participation_frac=1.0,
        depth_lots=0,
    )


def _order(spec: Mapping[str, Any], latency_ns: int) -> Order:
    kind = OrderType(spec["type"])
    return Order(
        client_order_id=spec["id"],
        instrument=find_instrument("ES"),
        tape="ES",
        side=Side(spec["side"]),
        order_type=kind,
        quantity=spec["quantity"],
        submitted_ns=spec["sent_ns"],
        active_ns=spec["sent_ns"] + latency_ns,
        role=OrderRole.ENTRY,
        limit_ticks=spec["price_ticks"] if kind is OrderType.LIMIT else None,
        stop_ticks=spec["price_ticks"] if kind is OrderType.STOP else None,
        time_in_force=TimeInForce(spec["time_in_force"]),
        expire_ns=spec["expire_ns"],
        bracket=Bracket(**spec["bracket"]) if spec["bracket"] else None,
    )


def run_ours(script: Mapping[str, Any], trades: Trades) -> Fills:
    """Run a script through the simulated broker; time goes from one thing that happens to the next."""
    broker = SimulatedBroker(matching_model(crosses_spread=script["crosses_spread"]), script["latency_ns"])
    fills: Fills = defaultdict(list)

    def book(reports: list[ExecutionReport]) -> None:
        for report in reports:
            if report.trade_id:
                fills[report.client_order_id].append((report.ts, report.quantity, report.price_ticks))

    waiting = list(script["orders"])[::-1]
    row = 0
    while True:
        moment = min(waiting[-1]["sent_ns"] if waiting else NEVER, broker.next_time_ns)
        stop = int(np.searchsorted(trades.ts, moment, side="left"))
        while row < stop and broker.next_time_ns >= moment:
            index = broker.next_event("ES", trades, row, stop)
            if index < stop:
                book(broker.take("ES", trades, index))
                row = index + 1
            else:
                broker.advance("ES", trades, row, stop)
                row = stop
        if broker.next_time_ns < moment:  # a fill scheduled something earlier
            continue
        if moment == NEVER:
            return dict(fills)
        book(broker.on_time(moment))
        while waiting and waiting[-1]["sent_ns"] == moment:
            broker.submit(_order(waiting.pop(), script["latency_ns"]), moment)


def run_peer(python: Path, script: Mapping[str, Any], trades: Trades, folder: Path, *, is_stock: bool) -> Fills:
    """Run a script through NautilusTrader in its own environment (`python`); `folder` takes the exchanged files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ts", "price", "size", "side", "bid", "ask"):
        values = getattr(trades, name)
        if values is not None:
            np.save(folder / f"{name}.npy", values)
    (folder / "script.json").write_text(json.dumps(script))
    out = folder / "fills.json"
    command = [str(python), str(PROGRAM), str(folder), str(folder / "script.json"), str(out)]
    subprocess.run([*command, "--stock"] if is_stock else command, check=True, capture_output=True, text=True)
    fills: Fills = defaultdict(list)
    for fill in json.loads(out.read_text())["fills"]:
        fills[fill["id"]].append((fill["ts"], fill["quantity"], fill["price_ticks"]))
    return dict(fills)


def merge(fills: Tape) -> Tape:
    """Join consecutive fills of one time and price: how many messages an execution came in is nobody's money."""
    merged: Tape = []
    for ts, quantity, price in fills:
        if merged and merged[-1][0] == ts and merged[-1][2] == price:
            merged[-1] = (ts, merged[-1][1] + quantity, price)
        else:
            merged.append((ts, quantity, price))
    return merged


class Comparison:
    """Both sides' fills of one script, and what became of each order that filled on either."""

    def __init__(self, script: Mapping[str, Any], trades: Trades, ours: Fills, theirs: Fills) -> None:
        self.trades = trades
        self.ours = {name: merge(fills) for name, fills in ours.items()}
        self.theirs = {name: merge(fills) for name, fills in theirs.items()}
        self.specs: dict[str, Mapping[str, Any]] = {spec["id"]: spec for spec in script["orders"]}
        self.names = {name: self._explain(name) for name in sorted(set(ours) | set(theirs))}
        self.counts = Counter(self.names.values())

    def unexplained(self) -> list[str]:
        """Describe each order whose difference no rule predicts."""
        return [
            f"{name}: {self.specs[name[:5]]} ours {self.ours.get(name)} theirs {self.theirs.get(name)}"
            for name, what in self.names.items()
            if what == "unexplained"
        ]

    def _explain(self, name: str) -> str:
        ours, theirs = self.ours.get(name, []), self.theirs.get(name, [])
        if ours == theirs:
            return "equal"
        for rule in (
            self._is_depth,
            self._is_gap,
            self._is_shadowed,
            self._is_expiry_tick,
            self._is_orphaned,
            self._is_partial_child,
            self._follows_entry,
        ):
            if rule(name, ours, theirs):
                return rule.__name__.removeprefix("_is_").removeprefix("_")
        return "unexplained"

    def _sign(self, name: str) -> int:
        sign = 1 if self.specs[name[:5]]["side"] == "BUY" else -1
        return -sign if "-" in name else sign

    def _kind(self, name: str) -> str:
        if name.endswith("-S"):
            return "STOP"
        return "LIMIT" if name.endswith("-T") else str(self.specs[name]["type"])

    def _rows_at(self, ts: int) -> range:
        start, stop = np.searchsorted(self.trades.ts, [ts, ts + 1])
        return range(int(start), int(stop))

    def _is_depth(self, name: str, ours: Tape, theirs: Tape) -> bool:
        """The peer gives a taker no more than the last trade's size at its price, and the rest one tick worse."""
        if len(ours) != 1:
            # Ours took a part at once and rested with the others: the peer's part was the trade's size.
            return self._is_part_taken(name, ours, theirs)
        ts, quantity, price = ours[0]
        sizes = {int(self.trades.size[row]) for row in self._rows_at(ts)}
        return any(
            theirs == [(ts, size, price), (ts, quantity - size, price + self._sign(name))] for size in sizes if size < quantity
        ) or self._is_part_taken(name, ours, theirs)

    def _is_part_taken(self, name: str, ours: Tape, theirs: Tape) -> bool:
        if self._kind(name) == "STOP" or not ours or not theirs:
            return False
        ts, quantity, price = ours[0]
        is_part = theirs[0][0] == ts and theirs[0][2] == price and theirs[0][1] < quantity
        is_size = theirs[0][1] in {int(self.trades.size[row]) for row in self._rows_at(ts)}
        # An immediate order is over after the part; a limit at the market rests with the others.
        rests = "-" not in name and price == self.specs[name]["price_ticks"]
        return is_part and is_size and (rests or self.specs[name[:5]]["time_in_force"] == "IOC")

    def _is_gap(self, name: str, ours: Tape, theirs: Tape) -> bool:
        """The peer fills a stop at its trigger although the tape never traded there: ours is the first price beyond."""
        if self._kind(name) != "STOP" or len(ours) != 1 or not theirs:
            return False
        ts, quantity, price = ours[0]
        sign = self._sign(name)
        trigger = theirs[0][2]
        if (price - trigger) * sign <= 0 or ("-" not in name and trigger != self.specs[name]["price_ticks"]):
            return False
        sizes = {int(self.trades.size[row]) for row in self._rows_at(ts)}
        return theirs == [(ts, quantity, trigger)] or any(
            theirs == [(ts, size, trigger), (ts, quantity - size, trigger + sign)] for size in sizes if size < quantity
        )

    def _is_shadowed(self, name: str, ours: Tape, theirs: Tape) -> bool:
        """Within one tick the peer moves its market to the price of an order it has just filled.

        A less generous limit of the same side then misses that tick (it fills later, or not at all), and a market order pays
        the trigger of the stop before it.
        """
        if self._kind(name) == "MARKET" and len(ours) == 1 and theirs:
            return self._has_fill(name, "STOP", ours[0][0], lambda price: price == theirs[0][2] != ours[0][2])
        if self._kind(name) != "LIMIT" or not ours:
            return False
        common = 0
        while common < min(len(ours), len(theirs)) and ours[common] == theirs[common]:
            common += 1
        if common == len(ours):
            return False
        ts, _, price = ours[common]
        if common < len(theirs) and theirs[common][0] < ts:
            return False
        sign = self._sign(name)
        return self._has_fill(name, "LIMIT", ts, lambda filled: (filled - price) * sign > 0)

    def _has_fill(self, name: str, kind: str, ts: int, test: Callable[[int], bool]) -> bool:
        """Say whether the peer filled another order of that kind and the same side at `ts`, at a price that passes."""
        return any(
            fill[0] == ts and test(fill[2])
            for other, fills in self.theirs.items()
            if other != name and self._kind(other) == kind and self._sign(other) == self._sign(name)
            for fill in fills
        )

    def _is_expiry_tick(self, name: str, ours: Tape, theirs: Tape) -> bool:
        """The peer matches the first tick at or after a good-till time before it expires the order."""
        expire = self.specs[name[:5]]["expire_ns"]
        if expire is None or "-" in name or theirs[: len(ours)] != ours:
            return False
        row = int(np.searchsorted(self.trades.ts, expire, side="left"))
        return row < len(self.trades) and all(fill[0] == self.trades.ts[row] for fill in theirs[len(ours) :])

    def _is_orphaned(self, name: str, ours: Tape, theirs: Tape) -> bool:
        """A partly filled entry expires or is canceled: the peer cancels its children too and leaves what was filled bare."""
        if "-" not in name or theirs or not ours:
            return False
        entry = name[:5]
        filled = sum(quantity for _, quantity, _ in self.theirs.get(entry, []))
        return 0 < filled < self.specs[entry]["quantity"] and self.specs[entry]["time_in_force"] in ("GTD", "IOC")

    def _is_partial_child(self, name: str, ours: Tape, theirs: Tape) -> bool:
        """A target that fills in parts: the peer shrinks it for the fill and again for the position, and closes too little."""
        if "-" not in name or not ours or not theirs or theirs[0][::2] != ours[0][::2]:
            return False
        entry = sum(quantity for _, quantity, _ in self.theirs.get(name[:5], []))
        return sum(quantity for _, quantity, _ in theirs) < entry

    def _follows_entry(self, name: str, ours: Tape, theirs: Tape) -> bool:
        """A child differs because its entry, or its sibling, was filled differently for a reason already named."""
        if "-" not in name:
            return False
        family = [n for n in (name[:5], f"{name[:5]}-S", f"{name[:5]}-T") if n != name]
        return any(self.ours.get(n, []) != self.theirs.get(n, []) for n in family)
