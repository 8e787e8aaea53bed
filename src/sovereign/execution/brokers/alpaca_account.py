"""An account at Alpaca as a second process sees it: the kill switch, the guard. Synchronous, with requests of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sovereign.core.errors import BrokerError
from sovereign.execution.broker import BrokerSnapshot
from sovereign.execution.brokers.alpaca_wire import OrderNames, cash_of, position_of, readable
from sovereign.feeds.alpaca.client import AlpacaKeys, harden, need_package, refusal_of
from sovereign.feeds.alpaca.configuration import AlpacaConfig

_POLL_S = 0.1
_ORDERS = 500


class AlpacaAccount:
    """One account, paper or live.

    Parameters
    ----------
    timeout_s : longest wait for each answer, seconds.
    now_ns : the machine's time, UTC ns: Alpaca tells none with an account.
    """

    broker = "alpaca"

    def __init__(
        self, keys: AlpacaKeys, config: AlpacaConfig, name: str, timeout_s: float, *, is_paper: bool, now_ns: Callable[[], int]
    ) -> None:
        need_package()
        from alpaca.common.exceptions import APIError
        from alpaca.trading.client import TradingClient
        from requests.exceptions import RequestException

        self.name = name
        self.is_paper = is_paper
        self._now_ns = now_ns
        url = config.paper_url if is_paper else config.live_url
        client = TradingClient(keys.key, keys.secret, paper=is_paper, raw_data=True, url_override=url)
        self._client: Any = harden(client, timeout_s)
        self._keys = keys
        self._refused: type[Any] = APIError
        self._broken: tuple[type[Exception], ...] = (RequestException, ValueError)

    def snapshot(self) -> BrokerSnapshot:
        """Return open orders (their legs among them), positions and cash as Alpaca has them; no executions.

        Options, coins and whatever else is unknown here are among them; their positions have a cost of 0.

        Raises
        ------
        BrokerError : Alpaca did not answer, or not what it documents.
        """
        names = OrderNames()
        orders = self._ask("GET", "/orders", {"status": "open", "nested": "true", "limit": _ORDERS})
        with readable("list of orders"):
            for body in orders:
                names.learn(body)
        held = self._ask("GET", "/positions")
        with readable("list of positions"):
            positions = tuple(position_of(body, is_counted_up=True) for body in held)
        account = self._ask("GET", "/account")
        with readable("account"):
            cash = cash_of(account)
        return BrokerSnapshot(
            now_ns=self._now_ns(),
            cursor=0,
            orders=tuple(known.seen() for known in names.by_id.values()),
            executions=(),
            positions=positions,
            cash=cash,
        )

    def cancel_all(self) -> None:
        """Ask for the cancel of every order.

        Raises
        ------
        BrokerError : Alpaca did not answer; asking again is safe.
        """
        self._ask("DELETE", "/orders")

    def flatten(self) -> None:
        """Cancel every order and close every position at the market; Alpaca itself makes the closing orders.

        Raises
        ------
        BrokerError : Alpaca did not answer; asking again is safe.
        """
        self._ask("DELETE", "/positions", {"cancel_orders": "true"})

    def wait_flat(self, seconds: float) -> bool:
        """Wait until no order works and nothing is open; False when `seconds` were not enough.

        Raises
        ------
        BrokerError : Alpaca did not answer.
        """
        end = time.monotonic() + seconds
        while True:
            found = self.snapshot()
            if not found.positions and all(order.status.is_closed for order in found.orders):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Disconnect."""
        self._client._session.close()

    def _ask(self, method: str, path: str, fields: dict[str, str | int] | None = None) -> Any:
        call = self._client.get if method == "GET" else self._client.delete
        try:
            answer = call(path, fields)
        except self._refused as error:
            said = refusal_of(error, self._keys)
            raise BrokerError(f"Alpaca answered {method} {path} with {said.status}: {said.text}; ask again") from None
        except self._broken as cause:
            text = self._keys.hide(str(cause))
            raise BrokerError(f"Alpaca did not answer {method} {path} ({text}); nothing is known, ask again") from None
        return answer if answer is not None else []
