"""Alpaca's trading service over REST: queries asked again until they are answered, an order sent once or found out about.

The client is synchronous, so it runs in threads of its own: one for orders and cancels, one for queries, which may be slow, and
one for the question before a closing order, which must not wait for those.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any

from sovereign.core.errors import BrokerError
from sovereign.execution.brokers.alpaca_wire import position_of, readable
from sovereign.feeds.alpaca.client import AlpacaKeys, Refusal, harden, need_package, refusal_of
from sovereign.feeds.alpaca.configuration import AlpacaConfig
from sovereign.feeds.alpaca.stream import back_off

_DUPLICATE = "client_order_id must be unique"
_NOT_FOUND = 404
_PAGE = 100
_ORDERS_PAGE = 500


class AlpacaDesk:
    """Requests to one account.

    Parameters
    ----------
    url : of the paper or the live service.
    """

    def __init__(self, keys: AlpacaKeys, config: AlpacaConfig, url: str, *, is_paper: bool) -> None:
        need_package()
        from alpaca.common.exceptions import APIError
        from alpaca.trading.client import TradingClient
        from requests.exceptions import RequestException

        def client() -> Any:
            made = TradingClient(keys.key, keys.secret, paper=is_paper, raw_data=True, url_override=url)
            return harden(made, config.request_s)

        self._keys, self._config = keys, config
        self._url = url
        self._orders, self._queries, self._checks = client(), client(), client()
        self._order_thread = ThreadPoolExecutor(1, thread_name_prefix="alpaca-orders")
        self._query_thread = ThreadPoolExecutor(1, thread_name_prefix="alpaca-queries")
        self._check_thread = ThreadPoolExecutor(1, thread_name_prefix="alpaca-checks")
        self._refused: type[Any] = APIError
        self._broken: tuple[type[Exception], ...] = (RequestException, ValueError)
        self._random = Random(len(url))  # noqa: S311 - spreads attempts

    def close(self) -> None:
        """Let the threads end."""
        for thread in (self._order_thread, self._query_thread, self._check_thread):
            thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, thread: ThreadPoolExecutor, call: Callable[[], Any]) -> Any:
        """Return an answer, a `Refusal`, or None when there was no answer that can be understood."""
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, call)
        except self._refused as error:
            return refusal_of(error, self._keys)
        except self._broken:
            return None

    async def query(self, path: str, fields: dict[str, Any] | None = None, *, may_miss: bool = False) -> Any:
        """Return the answer to a query; None when `may_miss` and there is no such thing.

        Raises
        ------
        BrokerError : there was no answer; nothing is known.
        """
        said = "no answer"
        for wait in self._waits():
            found = await self._run(self._query_thread, partial(self._queries.get, path, dict(fields or {})))
            if found is not None and not isinstance(found, Refusal):
                return found
            if isinstance(found, Refusal):
                said = f"{found.status}: {found.text}"
                if found.status == _NOT_FOUND and may_miss:
                    return None
                if found.is_certain and not found.is_busy:
                    break
                wait = self._pause(wait, found)  # noqa: PLW2901 - what the service asks for
            await asyncio.sleep(wait)
        raise BrokerError(f"Alpaca did not answer {path} ({said}); nothing is known, ask again")

    def _waits(self) -> list[float]:
        waits = back_off(self._config, self._random)
        return [next(waits) for _ in range(self._config.attempts)]

    def _pause(self, wait: float, said: Refusal) -> float:
        """Return how long to wait after a refusal: what Alpaca asks for, but an order that closes cannot wait for hours."""
        return max(wait, min(said.wait_s or 0.0, self._config.backoff_most_s))

    async def find(self, sent_id: str) -> dict[str, Any] | None:
        """Return an order by the client order id under which it was sent, its legs with it; None when it never came.

        Raises
        ------
        BrokerError : there was no answer.
        """
        found = await self.query("/orders:by_client_order_id", {"client_order_id": sent_id}, may_miss=True)
        with readable("answer about an order"):
            venue_id = None if found is None else str(found["id"])
        return None if venue_id is None else await self.order(venue_id)

    async def order(self, venue_id: str) -> dict[str, Any] | None:
        """Return an order by Alpaca's id, its legs with it; None when there is none.

        Raises
        ------
        BrokerError : there was no answer.
        """
        found: dict[str, Any] | None = await self.query(f"/orders/{venue_id}", {"nested": "true"}, may_miss=True)
        return found

    async def position(self, symbol: str, within_s: float) -> int | None:
        """Return the signed shares of a symbol, asked once; None when there was no answer within a time."""
        try:
            async with asyncio.timeout(within_s):
                found = await self._run(self._check_thread, partial(self._checks.get, f"/positions/{symbol}"))
            if isinstance(found, Refusal):
                return 0 if found.status == _NOT_FOUND else None
            with readable("position"):
                return None if found is None else position_of(found).quantity
        except (TimeoutError, BrokerError):
            return None

    async def post(
        self,
        request: Any,
        sent_id: str,
        *,
        until: float | None = None,
        objection: Callable[[], Awaitable[str]] | None = None,
    ) -> dict[str, Any] | Refusal | None:
        """Send an order; return it as Alpaca took it, the refusal, or None when what became of it is not known.

        After 429, nothing was done: it is looked up all the same before it is sent again, and an id that is taken already is
        looked up as well, so there is never a second order.

        Parameters
        ----------
        until : `time.monotonic()` from which it is not sent any more, but refused.
        objection : asked before each time it is sent; what it returns, if anything, is why it is refused instead.
        """
        said: Refusal | None = None
        for wait in self._waits():
            if objection is not None and (reason := await objection()):
                return Refusal(0, 0, reason, is_unsent=True)
            answer = await self._run(self._order_thread, partial(self._submit, request, until))
            if not isinstance(answer, Refusal):
                return answer  # type: ignore[no-any-return]
            said = answer
            if not answer.is_certain:
                return None
            is_duplicate = _DUPLICATE in answer.text
            if not answer.is_busy and not is_duplicate:
                return answer
            if answer.is_busy:
                pause = self._pause(wait, answer)
                await asyncio.sleep(pause if until is None else min(pause, max(0.0, until - time.monotonic())))
            try:
                found = await self.find(sent_id)
            except BrokerError:
                return None
            if found is not None or is_duplicate:
                return found
        return said

    def _submit(self, request: Any, until: float | None) -> Any:
        """Send an order in the orders' thread, whatever it waited for before; a connection is made in time or not at all."""
        adapter = self._orders._session.get_adapter(self._url)
        left = self._config.request_s if until is None else until - time.monotonic()
        if left <= 0:
            text = f"it could not be sent within {self._config.entry_fresh_s:g} s (alpaca.entry_fresh_s) and is not sent late"
            return Refusal(0, 0, text, is_unsent=True)
        adapter.connect_s = left
        return self._orders.submit_order(request)

    async def post_until_known(self, request: Any, sent_id: str, within_s: float) -> dict[str, Any] | Refusal | None:
        """Send an order until it is known what became of it: asked for by its id before it is sent again.

        None when that was not known within a time; it may have arrived then.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._post_until_known(request, sent_id)
        except TimeoutError:
            return None

    async def _post_until_known(self, request: Any, sent_id: str) -> dict[str, Any] | Refusal:
        waits = back_off(self._config, self._random)
        while True:
            answer = await self.post(request, sent_id)
            while answer is None:
                await asyncio.sleep(next(waits))
                try:
                    answer = await self.find(sent_id)
                except BrokerError:
                    continue
                break
            if answer is not None:
                return answer

    async def cancel(self, venue_id: str) -> Refusal | None:
        """Ask for a cancel; return why it was refused, None when it was taken or nothing is known."""
        for wait in self._waits():
            answer = await self._run(self._order_thread, partial(self._orders.cancel_order_by_id, venue_id))
            if not isinstance(answer, Refusal) or not answer.is_certain:
                return None
            if not answer.is_busy:
                return answer
            await asyncio.sleep(self._pause(wait, answer))
        return None

    async def orders(self, after: str) -> list[dict[str, Any]]:
        """Return the orders that are open, and all that were sent after a time, oldest first, with their legs.

        Raises
        ------
        BrokerError : there was no answer.
        """
        found: dict[str, dict[str, Any]] = {}
        for status, start in (("open", "1970-01-01T00:00:00Z"), ("all", after)):
            since = start
            while True:
                fields = {"status": status, "after": since, "direction": "asc", "nested": "true", "limit": _ORDERS_PAGE}
                page = await self.query("/orders", fields)
                fresh = [body for body in page if body["id"] not in found or found[body["id"]]["status"] != body["status"]]
                found |= {str(body["id"]): body for body in page}
                if len(page) < _ORDERS_PAGE or not fresh:
                    break
                since = str(page[-1]["submitted_at"])
        return list(found.values())

    async def fills(self, after: str) -> list[dict[str, Any]]:
        """Return the executions after a time, oldest first.

        Raises
        ------
        BrokerError : there was no answer.
        """
        found: dict[str, dict[str, Any]] = {}
        fields: dict[str, Any] = {"after": after, "direction": "asc", "page_size": _PAGE}
        while True:
            page = await self.query("/account/activities/FILL", fields)
            with readable("list of executions"):
                before = len(found)
                found |= {str(body["id"]): body for body in page}
                if len(page) < _PAGE:
                    return list(found.values())
                if len(found) == before:  # it would go on for ever, and what comes after the page is not known
                    raise BrokerError("Alpaca gave the same page of executions again; what follows it is not known, ask again")
                fields["page_token"] = page[-1]["id"]
