"""The venue without its network: markets, accounts, tokens, and the folder they are kept in."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

from sovereign.core.errors import CorruptFileError, NotFoundError, UsageError
from sovereign.execution.venue.book import Book
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.execution.venue.journal import Journal
from sovereign.execution.venue.market import Market, MarketSpec
from sovereign.execution.venue.tape import Tape

ADMIN = "*"
"""What `Exchange.login` answers to the administrator's token; no account can be called so."""


def digest(token: str) -> str:
    """Return what the venue keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Exchange:
    """Everything the venue knows.

    Parameters
    ----------
    open_tape : makes the tape of a specification.
    admin_token : opens the administrator's requests.
    state : folder of the books; None keeps nothing.
    """

    def __init__(self, open_tape: Callable[[TapeSpec], Tape], admin_token: str, state: Path | None = None) -> None:
        self._open_tape = open_tape
        self._admin = digest(admin_token)
        self._state = state
        self.markets: dict[str, Market] = {}
        self.reload()

    def reload(self) -> None:
        """Forget everything and read the folder, as after a restart; without a folder nothing is forgotten."""
        if self._state is None:
            return
        self.close()
        self.markets = {}
        for file in sorted(self._state.glob("*.jsonl")):
            self._reopen(file)

    def _file(self, name: str) -> Path | None:
        return None if self._state is None else self._state / f"{name}.jsonl"

    def _reopen(self, file: Path) -> None:
        journal = Journal(file)
        records = list(journal.read())
        if not records:
            return
        if not isinstance(records[0], dict) or "market" not in records[0]:
            raise CorruptFileError(f"'{file}' did not begin with a market; move it away to start with empty books")
        spec = MarketSpec.model_validate(records[0]["market"])
        market = Market(spec, self._open_tape(spec.tape), journal)
        market.replay(records[1:])
        self.markets[spec.name] = market

    def open_market(self, spec: MarketSpec) -> Market:
        """Open a market, or return the one of that name that came back from the folder.

        Raises
        ------
        UsageError : it came back with another tape.
        """
        known = self.markets.get(spec.name)
        if known is not None:
            if known.spec.tape != spec.tape:
                raise UsageError(
                    f"market '{spec.name}' was kept with the tape {known.spec.tape!r}, and {spec.tape!r} was asked for; "
                    f"use another --state folder, or remove '{self._file(spec.name)}'"
                )
            return known
        journal = Journal(self._file(spec.name))
        journal.forget()
        market = Market(spec, self._open_tape(spec.tape), journal)
        journal.add({"market": spec.model_dump(mode="json")})
        self.markets[spec.name] = market
        return market

    def span_ms(self, tape: TapeSpec) -> float:
        """Return how long a tape is, market milliseconds."""
        return sum(session.close_ns - session.open_ns for session in self._open_tape(tape).sessions) / 1e6

    def open_account(self, market: str, name: str, balance: Decimal, tokens: Mapping[str, str]) -> Book:
        """Open an account on a market, or renew its tokens.

        Raises
        ------
        NotFoundError : there is no such market.
        UsageError : the name is taken on another market, or a token opens something else already.
        """
        if market not in self.markets:
            raise NotFoundError(f"market was '{market}'; there are {', '.join(self.markets) or 'none'}")
        if any(name in other.books for other in self.markets.values() if other.spec.name != market):
            raise UsageError(f"account was '{name}', which trades on another market; close it there first")
        for token in tokens.values():
            opens = self.login(token)
            if opens is not None and opens[0] != name:
                raise UsageError(f"a token of account '{name}' was in use already; give each one its own")
        return self.markets[market].open_account(name, balance, {k: digest(t) for k, t in tokens.items()})

    def close_account(self, name: str) -> None:
        """Forget an account, and its market when it was of its own.

        Raises
        ------
        NotFoundError : there is no such account.
        """
        market = self.market_of(name)
        if market.spec.name == name:
            market.forget()
            del self.markets[name]
        else:
            market.close_account(name)

    def market_of(self, account: str) -> Market:
        """Return where an account trades.

        Raises
        ------
        NotFoundError : there is no such account.
        """
        for market in self.markets.values():
            if account in market.books:
                return market
        known = [name for market in self.markets.values() for name in market.books]
        raise NotFoundError(f"account was '{account}'; there are {', '.join(known) or 'none'}")

    def login(self, token: str) -> tuple[str, str] | None:
        """Return (account, purpose of the token), `ADMIN` as the account, or None; takes as long whichever it is."""
        given = digest(token)
        found = (ADMIN, "admin") if hmac.compare_digest(given, self._admin) else None
        for market in self.markets.values():
            for name, digests in market.digests.items():
                for purpose, kept in digests.items():
                    if hmac.compare_digest(given, kept):
                        found = (name, purpose)
        return found

    def close(self) -> None:
        """Let go of every file."""
        for market in self.markets.values():
            market.close()
