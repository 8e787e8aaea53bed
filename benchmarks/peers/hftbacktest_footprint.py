"""hftbacktest's side of the footprint benchmark; runs in the peer's own environment.

A trades feed and a footprint in the compiled loop: dense arrays over the session's prices, and at each bar's close delta,
point of control and diagonal imbalances. No orders: on a feed without a book the framework has no price to fill them at, so
the peer does less work than we do. Two loops are offered: one wakes at every event (as a strategy does that looks at each
trade), one sleeps for `--sleep-ms` and then reads the trades that came. Events are built, and the loop compiled, before the
clock starts.

Prints one JSON line: ns per tick, version, and (with `--out`) writes bars for the equality check.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path

import hftbacktest as hbt
import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest
from numba import njit

SENT = hbt.TRADE_EVENT | hbt.EXCH_EVENT | hbt.LOCAL_EVENT
BUY = SENT | hbt.BUY_EVENT
SELL = SENT | hbt.SELL_EVENT


@njit
def close_bar(bid, ask, low, high, ratio, least, out):
    bid_volume = ask_volume = buy = sell = 0
    poc, most, off = low, -1, 0
    for p in range(low, high + 1):
        b, a = bid[p], ask[p]
        bid_volume += b
        ask_volume += a
        away = abs(2 * p - low - high)
        if b + a > most or (b + a == most and away < off):
            poc, most, off = p, b + a, away
        if a >= least and a >= ratio * max(bid[p - 1], 1):
            buy += 1
        if b >= least and b >= ratio * max(ask[p + 1], 1):
            sell += 1
    out[5] = bid_volume + ask_volume
    out[6], out[7], out[8], out[9], out[10], out[11] = bid_volume, ask_volume, ask_volume - bid_volume, poc, buy, sell
    bid[low : high + 1] = 0
    ask[low : high + 1] = 0


@njit
def footprint(backtest, sleep_ns, inverse_tick, base, width, bar_ns, ratio, least, bars):
    bid, ask = np.zeros(width, np.int64), np.zeros(width, np.int64)
    end, n, o, h, lo, c = 0, 0, 0, 0, 0, 0
    total = 0
    code = 0
    while True:
        code = backtest.elapse(sleep_ns) if sleep_ns else backtest.wait_next_feed(False, 86_400_000_000_000)
        trades = backtest.last_trades(0)
        for k in range(len(trades)):
            trade = trades[k]
            ts = trade.local_ts
            p = int(trade.px * inverse_tick + 0.5) - base
            if ts >= end:
                if end:
                    bars[n, 0], bars[n, 1], bars[n, 2], bars[n, 3], bars[n, 4] = end, o, h, lo, c
                    close_bar(bid, ask, lo, h, ratio, least, bars[n])
                    n += 1
                end = ts - ts % bar_ns + bar_ns
                o = h = lo = p
            size = int(trade.qty)
            if trade.ev & hbt.BUY_EVENT == hbt.BUY_EVENT:
                ask[p] += size
            else:
                bid[p] += size
            h = max(h, p)
            lo = min(lo, p)
            c = p
        total += len(trades)
        backtest.clear_last_trades(0)
        if code != 0 and (sleep_ns or code != 2):
            break
    return n, total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tape", type=Path)
    parser.add_argument("rule", type=Path)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--sleep-ms", type=float, default=0.0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rule = json.loads(args.rule.read_text())
    columns = {name: np.load(args.tape / f"{name}.npy") for name in ("ts", "price", "size", "side")}
    rows = args.rows or len(columns["ts"])
    columns = {name: values[:rows] for name, values in columns.items()}
    events = np.zeros(rows, hbt.types.event_dtype if hasattr(hbt.types, "event_dtype") else hbt.binding.event_dtype)
    events["ev"] = np.where(columns["side"] > 0, BUY, SELL)
    events["exch_ts"] = events["local_ts"] = columns["ts"]
    events["px"] = columns["price"] * rule["tick_size"]
    events["qty"] = columns["size"]
    base = int(columns["price"].min()) - 2
    width = int(columns["price"].max()) - base + 3
    bars = np.zeros((int(columns["ts"][-1] - columns["ts"][0]) // rule["bar_ns"] + 3, 12), np.int64)
    figures = []
    n = 0
    for turn in range(args.repeat + 1):
        asset = (
            BacktestAsset()
            .data(events)
            .linear_asset(1.0)
            .constant_order_latency(0, 0)
            .risk_adverse_queue_model()
            .no_partial_fill_exchange()
            .trading_value_fee_model(0, 0)
            .tick_size(rule["tick_size"])
            .lot_size(1)
            .last_trades_capacity(1_000_000)
        )
        backtest = HashMapMarketDepthBacktest([asset])
        bars[:] = 0
        began = time.perf_counter_ns()
        n, total = footprint(
            backtest,
            int(args.sleep_ms * 1e6),
            1 / rule["tick_size"],
            base,
            width,
            rule["bar_ns"],
            rule["imbalance_ratio"],
            rule["imbalance_lots"],
            bars,
        )
        spent = (time.perf_counter_ns() - began) / rows
        backtest.close()
        if total != rows:
            raise SystemExit(f"the loop saw {total} of {rows} trades")
        if turn:  # the first turn compiles
            figures.append(spent)
    if args.out:
        found = bars[:n].copy()
        for column in (1, 2, 3, 4, 9):
            found[:, column] += base
        args.out.write_text(json.dumps({"bars": found.tolist()}))
    print(json.dumps({"ns_per_tick": figures, "version": version("hftbacktest"), "ticks": rows}))


if __name__ == "__main__":
    main()
