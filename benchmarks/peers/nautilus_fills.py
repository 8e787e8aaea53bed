"""NautilusTrader runs a neutral order script (see order_script.py) on a tape; runs in its own environment.

Two passes. A bracket's prices are absolute in the framework and distances from the fill in the script, so the first pass runs
the entries alone, and the second runs the framework's own brackets (one triggers two, which cancel each other) at prices
counted from the fills of the first.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import nautilus_trader
import numpy as np
import pandas as pd
from nautilus_common import INSTRUMENT_ID, build_engine, quote_tick, to_ticks, trade_ticks
from nautilus_trader.model.enums import OrderSide, OrderType, TimeInForce
from nautilus_trader.model.objects import Quantity
from nautilus_trader.trading.strategy import Strategy

TYPES = {"MARKET": OrderType.MARKET, "LIMIT": OrderType.LIMIT, "STOP": OrderType.STOP_MARKET}
FORCES = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "GTD": TimeInForce.GTD}


class Script(Strategy):
    def __init__(self, script: dict, entry_averages: dict[str, int] | None) -> None:
        super().__init__()
        self.script = script
        self.orders = script["orders"]
        self.entry_averages = entry_averages
        self.next = 0
        self.names: dict[str, str] = {}
        self.fills: list[dict] = []

    def on_start(self) -> None:
        self.instrument = self.cache.instrument(INSTRUMENT_ID)
        self.subscribe_trade_ticks(INSTRUMENT_ID)

    def price(self, ticks: int):
        return self.instrument.make_price(ticks * self.script["tick_size"])

    def on_trade_tick(self, tick) -> None:
        while self.next < len(self.orders) and self.orders[self.next]["sent_ns"] <= tick.ts_event:
            self.send(self.orders[self.next])
            self.next += 1

    def send(self, order: dict) -> None:
        side = OrderSide.BUY if order["side"] == "BUY" else OrderSide.SELL
        quantity = Quantity.from_int(order["quantity"])
        terms = {"instrument_id": INSTRUMENT_ID, "order_side": side, "quantity": quantity}
        expire = pd.Timestamp(order["expire_ns"], tz="UTC") if order["expire_ns"] else None
        force = FORCES[order["time_in_force"]]
        average = (self.entry_averages or {}).get(order["id"])
        if order["bracket"] and average is not None:
            sign = 1 if order["side"] == "BUY" else -1
            entry_price = {}
            if order["type"] == "LIMIT":
                entry_price = {"entry_price": self.price(order["price_ticks"])}
            bracket = self.order_factory.bracket(
                **terms,
                **entry_price,
                entry_order_type=TYPES[order["type"]],
                time_in_force=force,
                expire_time=expire,
                sl_trigger_price=self.price(average - sign * order["bracket"]["stop_ticks"]),
                tp_price=self.price(average + sign * order["bracket"]["target_ticks"]),
                tp_post_only=False,
                entry_post_only=False,
            )
            for part, suffix in zip(bracket.orders, ("", "-S", "-T"), strict=True):
                self.names[part.client_order_id.value] = order["id"] + suffix
            self.submit_order_list(bracket)
            return
        if order["type"] == "MARKET":
            sent = self.order_factory.market(**terms)
        elif order["type"] == "LIMIT":
            sent = self.order_factory.limit(
                **terms, price=self.price(order["price_ticks"]), time_in_force=force, expire_time=expire
            )
        else:
            sent = self.order_factory.stop_market(**terms, trigger_price=self.price(order["price_ticks"]))
        self.names[sent.client_order_id.value] = order["id"]
        self.submit_order(sent)

    def on_order_filled(self, event) -> None:
        self.fills.append(
            {
                "id": self.names[event.client_order_id.value],
                "ts": event.ts_event,
                "quantity": int(event.last_qty),
                "price_ticks": to_ticks(event.last_px, self.script["tick_size"]),
            }
        )


def run(script: dict, columns: dict, *, is_stock: bool, entry_averages: dict[str, int] | None) -> list[dict]:
    engine, _ = build_engine(script["tick_size"], script["tick_value"], is_stock=is_stock, latency_ns=script["latency_ns"])
    strategy = Script(script, entry_averages)
    engine.add_strategy(strategy)
    trades = trade_ticks(columns, script["tick_size"])
    if script["crosses_spread"]:
        # The quote that prevailed at a trade is shown just before it, so that takers meet it when the row comes.
        data = []
        for trade, ts, bid, ask in zip(trades, columns["ts"], columns["bid"], columns["ask"], strict=True):
            data.extend((quote_tick(int(ts), int(bid), int(ask), script["tick_size"]), trade))
    else:
        data = trades
    engine.add_data(data, validate=False, sort=False)
    engine.run()
    engine.dispose()
    return strategy.fills


def average_ticks(fills: list[dict]) -> dict[str, int]:
    """Average fill by order, to the nearest tick, a half upwards."""
    filled: dict[str, tuple[int, int]] = {}
    for fill in fills:
        quantity, cost = filled.get(fill["id"], (0, 0))
        filled[fill["id"]] = (quantity + fill["quantity"], cost + fill["quantity"] * fill["price_ticks"])
    return {name: (2 * cost + quantity) // (2 * quantity) for name, (quantity, cost) in filled.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tape", type=Path, help="folder with ts.npy, price.npy, size.npy, side.npy (bid.npy, ask.npy)")
    parser.add_argument("script", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stock", action="store_true", help="keep the framework's own fill model")
    args = parser.parse_args()
    script = json.loads(args.script.read_text())
    names = ("ts", "price", "size", "side", *(("bid", "ask") if script["crosses_spread"] else ()))
    columns = {name: np.load(args.tape / f"{name}.npy") for name in names}
    alone = run(script, columns, is_stock=args.stock, entry_averages=None)
    fills = run(script, columns, is_stock=args.stock, entry_averages=average_ticks(alone))
    args.out.write_text(json.dumps({"version": nautilus_trader.__version__, "fills": fills}))


if __name__ == "__main__":
    main()
