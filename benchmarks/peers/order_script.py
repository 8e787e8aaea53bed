"""The neutral order script: random orders that any engine can be asked to run on a tape. NumPy only.

A script is one JSON object:

- `tick_size`, `tick_value`: of the instrument; every price is an integer number of ticks;
- `latency_ns`: from sending an order to the venue acting on it;
- `crosses_spread`: whether takers pay the prevailing quote of the tape's row (it then has `bid` and `ask`) or the traded price;
- `orders`: a list in sending order, each with

  | key | meaning |
  |---|---|
  | `id` | client order id |
  | `sent_ns` | when it is sent: the time of a tick of the tape |
  | `type` | MARKET, LIMIT or STOP |
  | `side` | BUY or SELL |
  | `quantity` | units |
  | `price_ticks` | limit price or stop trigger; null for MARKET |
  | `time_in_force` | GTC, IOC or GTD |
  | `expire_ns` | for GTD, else null |
  | `bracket` | null, or `{"stop_ticks", "target_ticks"}`: distances from the average fill of the entry |

Fills come back as `{"id", "ts", "quantity", "price_ticks"}`, those of a bracket's children under `<id>-S` and `<id>-T`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

KINDS = ("MARKET", "LIMIT", "STOP", "BRACKET")


def random_script(
    ts: np.ndarray,
    price: np.ndarray,
    count: int,
    seed: int,
    *,
    kinds: tuple[str, ...] = KINDS,
    times_in_force: tuple[str, ...] = ("GTC", "GTC", "GTC", "IOC", "GTD"),
    largest: int = 4,
    reach: int = 12,
) -> dict[str, Any]:
    """Draw `count` orders sent at random ticks, limits and stops up to `reach` ticks either side of the last price.

    Some limits are marketable and some stops already beyond when they arrive, on purpose. A bracket's entry is a market or a
    limit order. Only limits take a time in force other than GTC.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.integers(0, len(ts) - 1, count))
    orders: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        kind = str(rng.choice(kinds))
        entry = str(rng.choice(("MARKET", "LIMIT"))) if kind == "BRACKET" else kind
        sign = 1 if rng.random() < 0.5 else -1
        away = int(rng.integers(-2, reach + 1))
        price_ticks = None
        if entry == "LIMIT":
            price_ticks = int(price[row]) - sign * away
        elif entry == "STOP":
            price_ticks = int(price[row]) + sign * away
        time_in_force = str(rng.choice(times_in_force)) if entry == "LIMIT" else "GTC"
        life_ns = int(rng.integers(1, 600)) * 1_000_000_000
        distances = {"stop_ticks": int(rng.integers(2, reach + 5)), "target_ticks": int(rng.integers(2, reach + 9))}
        orders.append(
            {
                "id": f"O{number:04d}",
                "sent_ns": int(ts[row]),
                "type": entry,
                "side": "BUY" if sign > 0 else "SELL",
                "quantity": int(rng.integers(1, largest + 1)),
                "price_ticks": price_ticks,
                "time_in_force": time_in_force,
                "expire_ns": int(ts[row]) + life_ns if time_in_force == "GTD" else None,
                "bracket": distances if kind == "BRACKET" else None,
            }
        )
    return {"tick_size": 0.25, "tick_value": 12.5, "latency_ns": 1, "crosses_spread": False, "orders": orders}
