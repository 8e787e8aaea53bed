"""NautilusTrader's side of the footprint benchmark; runs in the peer's own environment.

A strategy as a good user would write it: trade ticks into a footprint dictionary, and at each bar's close delta, point of
control, diagonal imbalances, and a market order with a bracket when flat. Tick objects are built before the clock starts,
logging and the risk engine are off: only `engine.run` is timed. `--empty` runs a strategy that does nothing with its ticks.

Prints one JSON line: ns per tick, version, and (with `--out`) writes bars, fills and profit for the equality check.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import nautilus_trader
import numpy as np
from nautilus_common import INSTRUMENT_ID, VENUE, build_engine, to_ticks, trade_ticks
from nautilus_trader.model.enums import AggressorSide, OrderSide
from nautilus_trader.model.objects import Quantity
from nautilus_trader.trading.strategy import Strategy

BUYER = AggressorSide.BUYER
SELLER = AggressorSide.SELLER


class Empty(Strategy):
    def on_start(self) -> None:
        self.subscribe_trade_ticks(INSTRUMENT_ID)

    def on_trade_tick(self, tick) -> None:
        pass


class Footprint(Strategy):
    def __init__(self, rule: dict, tick_raw: int) -> None:
        super().__init__()
        self.rule = rule
        self.tick_raw = tick_raw
        self.bar_ns = rule["bar_ns"]
        self.end = 0
        self.levels: dict[int, list[int]] = {}
        self.bars: list[tuple] = []
        self.fills: list[tuple] = []
        self.is_working = False
        self.closed_ns = 0

    def on_start(self) -> None:
        self.instrument = self.cache.instrument(INSTRUMENT_ID)
        self.subscribe_trade_ticks(INSTRUMENT_ID)

    def on_trade_tick(self, tick) -> None:
        ts = tick.ts_event
        raw = tick.price.raw
        if ts >= self.end:
            if self.levels:
                self.close_bar(tick)
            self.end = ts - ts % self.bar_ns + self.bar_ns
            self.open = self.high = self.low = raw
            self.volume = 0
            self.levels = {}
        size = int(tick.size)
        level = self.levels.get(raw)
        if level is None:
            level = self.levels[raw] = [0, 0]
            if raw > self.high:
                self.high = raw
            elif raw < self.low:
                self.low = raw
        side = tick.aggressor_side
        if side == BUYER:
            level[1] += size
        elif side == SELLER:
            level[0] += size
        self.close = raw
        self.volume += size

    def close_bar(self, tick) -> None:
        levels, step = self.levels, self.tick_raw
        ratio, least = self.rule["imbalance_ratio"], self.rule["imbalance_lots"]
        bid_volume = ask_volume = buy = sell = 0
        poc, most, off = 0, -1, 0
        middle = self.high + self.low
        for raw in sorted(levels):
            bid, ask = levels[raw]
            bid_volume += bid
            ask_volume += ask
            if bid + ask >= most:
                away = abs(2 * raw - middle)
                if bid + ask > most or away < off:
                    poc, most, off = raw, bid + ask, away
            if ask >= least:
                below = levels.get(raw - step)
                if ask >= ratio * max(below[0] if below else 0, 1):
                    buy += 1
            if bid >= least:
                above = levels.get(raw + step)
                if bid >= ratio * max(above[1] if above else 0, 1):
                    sell += 1
        delta = ask_volume - bid_volume
        prices = (self.open, self.high, self.low, self.close)
        self.bars.append(
            (self.end, *(p // step for p in prices), self.volume, bid_volume, ask_volume, delta, poc // step, buy, sell)
        )
        # A position that this very tick closed was open when the bar ended.
        if not self.is_working and self.closed_ns < tick.ts_event and abs(delta) >= self.rule["delta_lots"]:
            self.enter(OrderSide.BUY if delta > 0 else OrderSide.SELL, tick.price)

    def enter(self, side, price) -> None:
        sign = 1 if side == OrderSide.BUY else -1
        px, tick = float(price), self.rule["tick_size"]
        bracket = self.order_factory.bracket(
            instrument_id=INSTRUMENT_ID,
            order_side=side,
            quantity=Quantity.from_int(1),
            sl_trigger_price=self.instrument.make_price(px - sign * self.rule["stop_ticks"] * tick),
            tp_price=self.instrument.make_price(px + sign * self.rule["target_ticks"] * tick),
            tp_post_only=False,
        )
        self.is_working = True
        self.submit_order_list(bracket)

    def on_order_filled(self, event) -> None:
        sign = 1 if event.order_side == OrderSide.BUY else -1
        self.fills.append((event.ts_event, sign, int(event.last_qty), to_ticks(event.last_px, self.rule["tick_size"])))

    def on_position_closed(self, event) -> None:
        self.is_working = False
        self.closed_ns = event.ts_event


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tape", type=Path)
    parser.add_argument("rule", type=Path)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rule = json.loads(args.rule.read_text())
    columns = {name: np.load(args.tape / f"{name}.npy") for name in ("ts", "price", "size", "side")}
    if args.rows:
        columns = {name: values[: args.rows] for name, values in columns.items()}
    ticks = trade_ticks(columns, rule["tick_size"])
    figures = []
    strategy = None
    for _ in range(args.repeat):
        engine, instrument = build_engine(rule["tick_size"], rule["tick_value"], is_stock=False)
        strategy = Empty() if args.empty else Footprint(rule, instrument.price_increment.raw)
        engine.add_strategy(strategy)
        engine.add_data(ticks, validate=False, sort=False)
        began = time.perf_counter_ns()
        engine.run()
        figures.append((time.perf_counter_ns() - began) / len(ticks))
        if args.out and isinstance(strategy, Footprint):
            # A position's money is counted from its own fills, by the framework.
            profit = sum(p.realized_pnl.as_double() for p in engine.cache.positions(venue=VENUE) if p.is_closed)
            strategy_out = {"bars": strategy.bars, "fills": strategy.fills, "profit": profit}
            args.out.write_text(json.dumps(strategy_out))
        engine.dispose()
    print(json.dumps({"ns_per_tick": figures, "version": nautilus_trader.__version__, "ticks": len(ticks)}))


if __name__ == "__main__":
    main()
