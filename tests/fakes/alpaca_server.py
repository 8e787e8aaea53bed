"""A local server that speaks as Alpaca does: trading and data over REST, market data and trade updates over WebSocket.

Shapes are those that its client (alpaca-py) reads and Alpaca documents; where an answer's words are ours, no test depends on
them. Everything runs in one thread of its own; every public method may be called from any other. Faults are queued with
`fail`; lines are broken with `drop`, silenced with `is_mute`, and refused with other keys.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgpack
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from sovereign.feeds.alpaca.client import AlpacaKeys
from sovereign.feeds.alpaca.configuration import AlpacaConfig
from sovereign.feeds.alpaca.history import time_ns

KEYS = AlpacaKeys("PKTESTKEYTESTKEY0001", "secretsecretsecretsecretsecret")
_OPEN = ("new", "accepted", "partially_filled", "held", "pending_new", "pending_cancel")


def stamp(ts: int | None = None) -> str:
    """Return a time as Alpaca writes it."""
    ts = time.time_ns() if ts is None else ts
    seconds, rest = divmod(ts, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


@dataclass
class Fault:
    """What happens to one request: `status` answers with it, 0 lets it pass; `keep` does what was asked for all the same.

    `swallow` does it and breaks the connection without an answer. `meanwhile` is done before anything is answered.
    """

    status: int = 0
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    swallow: bool = False
    keep: bool = False
    meanwhile: Callable[[], Any] = lambda: None


class AlpacaServer:
    """Alpaca on a free loopback port, for one account.

    Attributes
    ----------
    prices : what a market order, and a marketable limit, trades at, by symbol; without one they rest.
    immediate : how many shares of an IOC order are filled, by symbol; the rest is canceled. Default: all.
    history : rows by kind (`trades`, `quotes`, `bars`) and symbol; what is streamed is added to it.
    requests : (method, path, fields) as they came.
    """

    def __init__(self, cash: str = "100000") -> None:
        self.cash = Decimal(cash)
        self.prices: dict[str, str] = {}
        self.immediate: dict[str, int] = {}
        self.history: dict[str, dict[str, list[dict[str, Any]]]] = {"trades": {}, "quotes": {}, "bars": {}}
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.subscribed: list[dict[str, Any]] = []
        self.logins: list[str] = []
        self.is_mute = False
        self.is_shut = False
        self.page_rows = 10_000
        self.keys = KEYS
        self._faults: dict[tuple[str, str], deque[Fault]] = {}
        self._orders: dict[str, dict[str, Any]] = {}
        self._activities: list[dict[str, Any]] = []
        self._positions: dict[str, tuple[int, Decimal]] = {}
        self._lines: dict[str, list[_Line]] = {"data": [], "updates": []}
        self._trade_ids = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="alpaca-server", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def config(self, **changes: Any) -> AlpacaConfig:
        """Return settings that lead here, with waits as short as a test needs."""
        quick = {
            "data_url": self.address,
            "stream_url": f"ws://127.0.0.1:{self.port}",
            "paper_url": self.address,
            "live_url": f"http://127.0.0.1:{self.port}/",
            "request_s": 10.0,
            "first_message_s": 30.0,
            "stale_s": 20.0,
            "backoff_first_s": 0.02,
            "backoff_most_s": 0.1,
            "settle_s": 0.05,
            "flush_ms": 10,
            "promise_delay_ms": 50,
            "release_s": 20.0,
        }
        return AlpacaConfig.model_validate({**quick, "live_url": self.address, **changes})

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def _call(self, act: Callable[..., Any], *arguments: Any) -> Any:
        async def call() -> Any:
            return act(*arguments)

        return self._do(call())

    # What a test does to it.

    def fail(self, method: str, path: str, *faults: Fault | int) -> None:
        """Queue faults for requests whose path begins with `path`; a number is a status."""
        queue = self._faults.setdefault((method, path), deque())
        queue.extend(fault if isinstance(fault, Fault) else Fault(status=fault) for fault in faults)

    def drop(self, line: str) -> None:
        """Reset the `data` or `updates` streams; what happens until the client is back is not told."""
        self._call(lambda: [one.abort() for one in list(self._lines[line])])

    def listeners(self, line: str) -> int:
        """Return how many streams listen."""
        return int(self._call(lambda: sum(one.is_listening for one in self._lines[line])))

    def posted(self) -> list[dict[str, Any]]:
        """Return the orders that were sent, as often as they came."""
        return [fields for method, path, fields in self.requests if (method, path) == ("POST", "/v2/orders")]

    def asked(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(of == path for _, of, _ in self.requests)

    def trade(self, symbol: str, price: float, size: int = 100, ts: int | None = None, conditions: Iterable[str] = "@") -> int:
        """Let a trade print: into history, and to whoever listens. Return its time."""
        return int(self._call(self._trade, symbol, price, size, ts, list(conditions)))

    def quote(self, symbol: str, bid: float, ask: float, sizes: tuple[int, int] = (3, 5), ts: int | None = None) -> int:
        """Let the best quote change. Return its time."""
        return int(self._call(self._quote, symbol, bid, ask, sizes, ts))

    def order(self, client_order_id: str) -> dict[str, Any]:
        """Return an order, by its client order id, as it stands."""
        found = [body for body in self._orders.values() if body["client_order_id"] == client_order_id]
        return dict(found[0])

    def orders(self) -> list[dict[str, Any]]:
        """Return all orders and legs."""
        return [dict(body) for body in self._orders.values()]

    def legs(self, client_order_id: str) -> list[dict[str, Any]]:
        """Return the orders that Alpaca made beside an order."""
        body = self.order(client_order_id)
        return [dict(self._orders[leg]) for leg in body["_legs"]]

    def fill(self, body: dict[str, Any], quantity: int, price: str) -> None:
        """Fill a part of a working order."""
        self._call(self._fill, self._orders[body["id"]], quantity, Decimal(price))

    def hold(self, symbol: str, quantity: int, price: str) -> None:
        """Give the account a position."""
        self._call(self._positions.__setitem__, symbol, (quantity, Decimal(price)))

    def position(self, symbol: str) -> int:
        return self._positions.get(symbol, (0, Decimal(0)))[0]

    def reject(self, body: dict[str, Any], reason: str = "") -> None:
        """Reject an order that was taken."""
        self._call(self._close, self._orders[body["id"]], "rejected", reason)

    # The market.

    def _trade(self, symbol: str, price: float, size: int, ts: int | None, conditions: list[str]) -> int:
        ts = time.time_ns() if ts is None else ts
        self._trade_ids += 1
        row = {"x": "V", "p": price, "s": size, "c": conditions, "i": self._trade_ids, "z": "C"}
        self.history["trades"].setdefault(symbol, []).append({**row, "t": stamp(ts)})
        self._publish("trades", symbol, {"T": "t", "S": symbol, **row, "t": msgpack.Timestamp.from_unix_nano(ts)})
        return ts

    def _quote(self, symbol: str, bid: float, ask: float, sizes: tuple[int, int], ts: int | None) -> int:
        ts = time.time_ns() if ts is None else ts
        row = {"bx": "V", "bp": bid, "bs": sizes[0], "ax": "V", "ap": ask, "as": sizes[1], "c": ["R"], "z": "C"}
        self.history["quotes"].setdefault(symbol, []).append({**row, "t": stamp(ts)})
        self._publish("quotes", symbol, {"T": "q", "S": symbol, **row, "t": msgpack.Timestamp.from_unix_nano(ts)})
        return ts

    def _publish(self, channel: str, symbol: str, message: dict[str, Any]) -> None:
        for line in self._lines["data"]:
            if symbol in line.channels.get(channel, ()) and not self.is_mute:
                line.send(msgpack.packb([message]))

    # The broker.

    def _tell(self, event: str, body: dict[str, Any], **more: Any) -> None:
        data = {"event": event, "order": self._seen(body, nested=False), "timestamp": stamp(), **more}
        message = json.dumps({"stream": "trade_updates", "data": data}).encode()
        for line in self._lines["updates"]:
            if line.is_listening:
                line.send(message)

    def _seen(self, body: dict[str, Any], nested: bool) -> dict[str, Any]:
        seen = {name: value for name, value in body.items() if not name.startswith("_")}
        seen["legs"] = [self._seen(self._orders[leg], nested) for leg in body["_legs"]] if nested and body["_legs"] else None
        return seen

    def _make(self, fields: dict[str, Any], status: str, **changes: Any) -> dict[str, Any]:
        now = stamp()
        text = {name: None if fields.get(name) is None else str(fields[name]) for name in ("limit_price", "stop_price")}
        body = {
            "id": str(uuid.uuid4()),
            "client_order_id": fields.get("client_order_id") or str(uuid.uuid4()),
            "created_at": now,
            "updated_at": now,
            "submitted_at": now,
            "symbol": fields["symbol"],
            "asset_class": "us_equity",
            "qty": str(int(float(fields["qty"]))),
            "filled_qty": "0",
            "filled_avg_price": None,
            "order_class": fields.get("order_class") or "",
            "type": fields["type"],
            "order_type": fields["type"],
            "side": fields["side"],
            "time_in_force": fields["time_in_force"],
            **text,
            "status": status,
            "extended_hours": False,
            "_legs": [],
            "_sibling": None,
            "_parent": None,
            **changes,
        }
        self._orders[body["id"]] = body
        return body

    def _leg(self, parent: dict[str, Any], kind: str, price: Any, status: str, side: str) -> dict[str, Any]:
        prices = {"limit_price": price} if kind == "limit" else {"stop_price": price}
        fields = {**{n: parent[n] for n in ("symbol", "qty", "order_class", "time_in_force")}, "type": kind, "side": side}
        leg = self._make({**fields, **prices}, status, _parent=parent["id"])
        parent["_legs"].append(leg["id"])
        return leg

    def _available(self, symbol: str) -> int:
        """Return the shares of a long position that no working sell order holds; of a pair one leg counts."""
        held = 0
        for body in self._orders.values():
            if body["symbol"] == symbol and body["side"] == "sell" and body["status"] in _OPEN and body["_parent"] is None:
                held += int(body["qty"]) - int(body["filled_qty"])
            elif body["_parent"] and self._orders[body["_parent"]]["side"] == "buy" and body["status"] in _OPEN:
                entry = self._orders[body["_parent"]]
                if entry["status"] == "filled" and body["symbol"] == symbol and body["type"] == "stop":
                    held += int(body["qty"])
        return self.position(symbol) - held

    def _post(self, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if any(body["client_order_id"] == fields.get("client_order_id") for body in self._orders.values()):
            return 422, {"code": 40010001, "message": "client_order_id must be unique"}
        if fields.get("order_class") in ("bracket", "oco", "oto") and fields["time_in_force"] not in ("day", "gtc"):
            return 422, {"code": 42210000, "message": "advanced orders must be day or gtc"}
        if float(fields["qty"]) % 1:
            return 422, {"code": 42210000, "message": "fractional orders must be DAY orders"}
        quantity = int(float(fields["qty"]))
        is_long = self.position(fields["symbol"]) > 0  # without shares, a sale is a short one
        if fields["side"] == "sell" and is_long and quantity > (free := self._available(fields["symbol"])):
            text = f"insufficient qty available for order (requested: {quantity}, available: {free})"
            return 403, {"code": 40310000, "message": text}
        price = fields.get("limit_price") or self.prices.get(fields["symbol"], 0)
        if fields["side"] == "buy" and Decimal(str(price)) * quantity > self.cash * 4:
            return 403, {"code": 40310000, "message": "insufficient buying power"}
        if fields.get("order_class") == "oco":
            fields = {**fields, "limit_price": fields["take_profit"]["limit_price"]}
        body = self._make(fields, "new")
        if fields.get("order_class") == "oco":
            stop = self._leg(body, "stop", fields["stop_loss"]["stop_price"], "held", body["side"])
            body["_sibling"], stop["_sibling"] = stop["id"], body["id"]
        elif fields.get("order_class") in ("bracket", "oto"):
            side = "sell" if body["side"] == "buy" else "buy"
            legs = [self._leg(body, "stop", fields["stop_loss"]["stop_price"], "held", side)]
            if fields.get("take_profit"):
                legs.append(self._leg(body, "limit", fields["take_profit"]["limit_price"], "held", side))
                legs[0]["_sibling"], legs[1]["_sibling"] = legs[1]["id"], legs[0]["id"]
        self._loop.call_soon(self._arrive, body)
        return 200, self._seen(body, nested=True)

    def _arrive(self, body: dict[str, Any]) -> None:
        if body["status"] not in _OPEN:
            return
        self._tell("new", body)
        symbol = body["symbol"]
        price = self.prices.get(symbol)
        is_marketable = body["type"] == "market"
        if price is not None and body["type"] == "limit":
            limit, at = Decimal(body["limit_price"]), Decimal(price)
            is_marketable = limit >= at if body["side"] == "buy" else limit <= at
        quantity = int(body["qty"])
        if body["time_in_force"] in ("ioc", "fok"):
            quantity = min(quantity, self.immediate.get(symbol, quantity))
        if is_marketable and price is not None and quantity:
            self._fill(body, quantity, Decimal(price))
        if body["time_in_force"] in ("ioc", "fok") and body["status"] in _OPEN:
            self._close(body, "canceled")

    def _fill(self, body: dict[str, Any], quantity: int, price: Decimal) -> None:
        done, asked = int(body["filled_qty"]) + quantity, int(body["qty"])
        average = Decimal(body["filled_avg_price"] or 0) * int(body["filled_qty"]) + price * quantity
        body["filled_qty"], body["filled_avg_price"] = str(done), str(average / done)
        body["status"] = "filled" if done == asked else "partially_filled"
        sign = 1 if body["side"] == "buy" else -1
        self.cash -= sign * quantity * price
        held, cost = self._positions.get(body["symbol"], (0, Decimal(0)))
        if held * sign >= 0:
            cost = (abs(held) * cost + quantity * price) / (abs(held) + quantity)
        self._positions[body["symbol"]] = (held + sign * quantity, cost)
        event = "fill" if body["status"] == "filled" else "partial_fill"
        execution, now = str(uuid.uuid4()), stamp()
        self._activities.append(
            {
                "activity_type": "FILL",
                "id": f"{now[:19]}::{execution}",
                "cum_qty": body["filled_qty"],
                "leaves_qty": str(asked - done),
                "price": str(price),
                "qty": str(quantity),
                "side": body["side"],
                "symbol": body["symbol"],
                "transaction_time": now,
                "order_id": body["id"],
                "type": event,
            }
        )
        more = {"price": str(price), "qty": str(quantity), "position_qty": str(held + sign * quantity)}
        self._tell(event, body, execution_id=execution, **{**more, "timestamp": now})
        if body["status"] == "filled":
            if body["order_class"] in ("bracket", "oto") and body["_parent"] is None:
                for leg in body["_legs"]:
                    self._orders[leg]["status"] = "new" if self._orders[leg]["type"] == "limit" else "held"
            elif body["_sibling"]:
                self._close(self._orders[body["_sibling"]], "canceled")

    def _close(self, body: dict[str, Any], status: str, reason: str = "") -> None:
        if body["status"] not in _OPEN:
            return
        body["status"] = status
        if reason:
            body["reason"] = reason
        self._tell(status, body)
        related = [body["_sibling"], *(body["_legs"] if body["order_class"] in ("bracket", "oto") else ())]
        for other in related:
            if other is not None:
                self._close(self._orders[other], "canceled")

    # REST.

    def _answer(self, method: str, path: str, fields: dict[str, Any]) -> tuple[int, Any]:  # noqa: C901, PLR0912
        if path == "/v2/orders" and method == "POST":
            return self._post(fields)
        if method == "DELETE" and path in ("/v2/orders", "/v2/positions"):
            self._close_all(is_flat=path == "/v2/positions")
            return 207, []
        if path == "/v2/orders" and "after" not in fields:
            return 200, [self._seen(b, nested=True) for b in self._orders.values() if b["_parent"] is None and self._is_open(b)]
        if path == "/v2/orders":
            after, limit = time_ns(fields["after"]), int(fields["limit"])
            found = [
                body for body in self._orders.values() if body["_parent"] is None and time_ns(body["submitted_at"]) > after
            ]
            if fields["status"] == "open":
                found = [body for body in found if self._is_open(body)]
            return 200, [self._seen(body, nested=True) for body in found][:limit]
        if path == "/v2/orders:by_client_order_id":
            found = [body for body in self._orders.values() if body["client_order_id"] == fields["client_order_id"]]
            return (200, self._seen(found[0], nested=False)) if found else (404, {"code": 40410000, "message": "not found"})
        if path.startswith("/v2/orders/"):
            body = self._orders.get(path.rpartition("/")[2])
            if body is None:
                return 404, {"code": 40410000, "message": "order not found"}
            if method == "GET":
                return 200, self._seen(body, nested=True)
            if body["status"] not in _OPEN:
                return 422, {"code": 42210000, "message": f'order is already in "{body["status"]}" state'}
            self._loop.call_later(0.02, self._close, body, "canceled")
            return 204, None
        if path == "/v2/account/activities/FILL":
            after = time_ns(fields["after"])
            return 200, [body for body in self._activities if time_ns(body["transaction_time"]) > after]
        if path == "/v2/positions":
            return 200, [self._held(symbol) for symbol, (quantity, _) in self._positions.items() if quantity]
        if path.startswith("/v2/positions/"):
            symbol = path.rpartition("/")[2]
            if not self.position(symbol):
                return 404, {"code": 40410000, "message": "position does not exist"}
            return 200, self._held(symbol)
        if path == "/v2/account":
            return 200, {"id": str(uuid.uuid4()), "cash": str(self.cash), "multiplier": "4", "status": "ACTIVE"}
        if path.startswith("/v2/assets/"):
            return 200, {"symbol": path.rpartition("/")[2], "maintenance_margin_requirement": 30, "tradable": True}
        if path.startswith("/v2/stocks/"):
            return 200, self._page(path.rpartition("/")[2], fields)
        return 404, {"code": 40410000, "message": f"no such path {path}"}

    def _held(self, symbol: str) -> dict[str, str]:
        quantity, price = self._positions[symbol]
        return {
            "symbol": symbol,
            "qty": str(quantity),
            "side": "long" if quantity > 0 else "short",
            "avg_entry_price": str(price),
            "cost_basis": str(price * quantity),
        }

    def _close_all(self, *, is_flat: bool) -> None:
        for body in list(self._orders.values()):
            self._close(body, "canceled")
        for symbol, (quantity, _) in list(self._positions.items()) if is_flat else ():
            if quantity:
                side = "sell" if quantity > 0 else "buy"
                fields = {"symbol": symbol, "qty": abs(quantity), "side": side, "type": "market", "time_in_force": "day"}
                self._arrive(self._make(fields, "new"))

    def _is_open(self, body: dict[str, Any]) -> bool:
        return body["status"] in _OPEN or any(self._orders[leg]["status"] in _OPEN for leg in body["_legs"])

    def _page(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        symbol, start, end = fields["symbols"], time_ns(fields["start"]), time_ns(fields["end"])
        rows = [row for row in self.history[kind].get(symbol, ()) if start <= time_ns(row["t"]) <= end]
        rows.sort(key=lambda row: time_ns(row["t"]))
        first = int(fields.get("page_token") or 0)
        last = first + min(int(fields.get("limit") or self.page_rows), self.page_rows)
        return {kind: {symbol: rows[first:last]}, "next_page_token": str(last) if last < len(rows) else None}

    # The wire.

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        me = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not me]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                method, target, _ = lines[0].split(" ", 2)
                if headers.get("upgrade", "").lower() == "websocket":
                    await _Line(self, reader, writer, urlsplit(target).path).run(head)
                    return
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not self._rest(method, target, headers, body, writer):
                    return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            self._connections.discard(writer)
            writer.transport.abort()

    def _rest(self, method: str, target: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> bool:
        parts = urlsplit(target)
        fields = json.loads(body) if body else {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append((method, parts.path, fields))
        fault = self._fault(method, parts.path)
        more: dict[str, str] = {}
        if headers.get("apca-api-key-id") != self.keys.key or headers.get("apca-api-secret-key") != self.keys.secret:
            status, answer = 401, {"code": 40110000, "message": f"request is not authorized: {headers.get('apca-api-key-id')}"}
        elif fault is not None and fault.status:
            if fault.keep:
                self._answer(method, parts.path, fields)
            status, answer, more = fault.status, fault.body or {"code": fault.status, "message": "as asked"}, fault.headers
        else:
            status, answer = self._answer(method, parts.path, fields)
        if fault is not None:
            fault.meanwhile()
        if fault is not None and fault.swallow:
            writer.transport.abort()
            return False
        text = b"" if answer is None else json.dumps(answer).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in more.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + text)
        return True

    def _fault(self, method: str, path: str) -> Fault | None:
        for (of, start), queue in self._faults.items():
            if of == method and path.startswith(start) and queue:
                return queue.popleft()
        return None


class _Line:
    """One WebSocket: market data (MessagePack) or trade updates (JSON in binary frames)."""

    def __init__(self, server: AlpacaServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self.kind = "updates" if path == "/stream" else "data"
        self.is_listening = False
        self.channels: dict[str, list[str]] = {}
        self._server, self._reader, self._writer = server, reader, writer
        self._protocol = ServerProtocol()
        self._is_known = False

    def abort(self) -> None:
        self._writer.transport.abort()

    def send(self, data: bytes) -> None:
        self._protocol.send_binary(data)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self._writer.is_closing():
                self._writer.write(data)

    async def run(self, head: bytes) -> None:
        server, protocol = self._server, self._protocol
        protocol.receive_data(head)
        request = next(iter(protocol.events_received()))
        if server.is_shut:
            protocol.send_response(protocol.reject(503, "closed\n"))
            self._flush()
            return
        protocol.send_response(protocol.accept(request))
        self._flush()
        server._lines[self.kind].append(self)
        try:
            if self.kind == "data":
                self.send(msgpack.packb([{"T": "success", "msg": "connected"}]))
            whole = b""
            while data := await self._reader.read(65_536):
                protocol.receive_data(data)
                for frame in protocol.events_received():
                    if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                        whole += frame.data
                        if frame.fin:
                            self._take(msgpack.unpackb(whole) if self.kind == "data" else json.loads(whole))
                            whole = b""
                self._flush()
        finally:
            server._lines[self.kind].remove(self)

    def _take(self, message: dict[str, Any]) -> None:
        if self.kind == "data":
            self._take_data(message)
            return
        if message["action"] == "authenticate":
            given = (message["data"]["key_id"], message["data"]["secret_key"])
            self._is_known = given == (self._server.keys.key, self._server.keys.secret)
            self._server.logins.append(given[0])
            status = "authorized" if self._is_known else "unauthorized"
            self.send(json.dumps({"stream": "authorization", "data": {"action": "authenticate", "status": status}}).encode())
        elif message["action"] == "listen" and self._is_known:
            self.is_listening = True
            self.send(json.dumps({"stream": "listening", "data": {"streams": message["data"]["streams"]}}).encode())

    def _take_data(self, message: dict[str, Any]) -> None:
        if message["action"] == "auth":
            self._is_known = (message["key"], message["secret"]) == (self._server.keys.key, self._server.keys.secret)
            self._server.logins.append(message["key"])
            success = {"T": "success", "msg": "authenticated"}
            self.send(msgpack.packb([success if self._is_known else {"T": "error", "code": 402, "msg": "auth failed"}]))
        elif message["action"] == "subscribe" and self._is_known:
            self.channels = {name: symbols for name, symbols in message.items() if name != "action"}
            self._server.subscribed.append(self.channels)
            self.is_listening = True
            self.send(msgpack.packb([{"T": "subscription", **self.channels}]))


def minutes(start_ns: int, count: int, price: float = 100.0) -> list[dict[str, Any]]:
    """Return one-minute bars as Alpaca gives them."""
    return [
        {
            "t": stamp(start_ns + int(timedelta(minutes=k).total_seconds()) * 10**9),
            "o": price + k / 100,
            "h": price + k / 100 + 0.05,
            "l": price + k / 100 - 0.05,
            "c": price + k / 100 + 0.01,
            "v": 1_000 + k,
            "n": 10,
            "vw": price,
        }
        for k in range(count)
    ]
