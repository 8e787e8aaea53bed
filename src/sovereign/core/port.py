"""Ports: the few shapes through which rooms that do not know each other meet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sovereign.core.columns import Quotes, Trades
from sovereign.core.decision import Approved, Check, KeptRefusals, Proposal, Refused, RefusedColumns
from sovereign.core.event import Event, TradingState
from sovereign.core.instrument import Instrument
from sovereign.core.news import NewsReading
from sovereign.core.order import Bracket, OrderEvent, Side
from sovereign.core.position import Position, Trade
from sovereign.core.record import maker, quick
from sovereign.core.session import Session
from sovereign.core.tape import TapeSnapshot


class Clock(Protocol):
    """The time of the market that is traded: the system clock when live, a paced one in a replay."""

    def now_ns(self) -> int:
        """Return the present moment, UTC ns; never goes back."""
        ...


class SessionCalendar(Protocol):
    """Sessions of one market."""

    name: str

    def session(self, trade_date: date) -> Session | None:
        """Return the session of a trade date, or None when the market is closed."""
        ...

    def sessions(self, start: date, end: date) -> list[Session]:
        """Return the sessions with `start <= trade_date <= end`."""
        ...

    def session_of(self, ts: int) -> Session | None:
        """Return the session that contains `ts`, or None when the market is closed then."""
        ...


@quick
@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive market data of one session; `until_ns` promises that nothing earlier will follow."""

    symbol: str
    trades: Trades
    until_ns: int


make_block = maker(Block)


class Feed(Protocol):
    """A source of sessions and, within a session, of blocks in time order."""

    is_simulated: bool

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions to run, in order."""
        ...

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what trades in a session (for a futures root, the contract of that date)."""
        ...

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield a session's blocks in time order."""
        ...


@runtime_checkable
class QuoteSource(Protocol):
    """A feed that knows best bids and offers with their sizes, beside `Feed`."""

    def quotes(self, session: Session, symbol: str, trades: Trades) -> Quotes | None:
        """Return the quotes of a session beside its trades, as `blocks` gave them; None where there are none with sizes."""
        ...


class LiveFeed(Protocol):
    """Market data as it happens. Its coroutines run in the I/O thread; it reconnects by itself, with back-off, until closed.

    `on_block` is called with consecutive blocks of the present session; one without trades only promises time. Where feed
    and broker are one venue, the reports that precede a block are delivered before it. `on_connection` is called with True
    or False and a reason.
    """

    is_simulated: bool
    on_block: Callable[[Block], None]
    on_connection: Callable[[bool, str], None]

    @property
    def clock(self) -> Clock:
        """The time of the market that is fed."""
        ...

    async def start(self) -> None:
        """Connect, subscribe, and stay connected until `close`."""
        ...

    async def close(self) -> None:
        """Disconnect for good."""
        ...

    async def reconnect(self, reason: str) -> None:
        """Drop the connection and make it anew: what a mute socket needs."""
        ...

    async def session(self) -> Session | None:
        """Return the present or the next session to trade; None when there is none any more."""
        ...

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what trades in a session."""
        ...

    async def resume_from(self, session: Session, symbol: str, until_ns: int, ticks: int) -> None:
        """Deliver what followed the first `ticks` ticks of a session (known up to `until_ns`) before anything newer."""
        ...

    def worked_through(self, until_ns: int) -> None:
        """Take note that every order decided before `until_ns` has been handed over; a venue in lockstep waits for it."""
        ...


class Signals(NamedTuple):
    """What a signal stream has said in a session so far; `waking` is None where the stream does not list such rows."""

    rows: NDArray[Any]
    candidates: NDArray[Any]
    waking: NDArray[np.int64] | None = None


make_signals = maker(Signals)


class SignalStream(Protocol):
    """Signals of one instrument as rows, computed ahead of the engine and revealed by it at their own time.

    `rows` is a structured array of the current session with at least the fields

    - `known_at` int64: UTC ns at which the row may be used;
    - `seq` int64: number of the session's ticks that precede that moment (the row knows exactly those);
    - `wake` bool: whether the strategy must be asked at this row.

    A row never changes once written, and depends on nothing at or after its `seq` (law 3). `candidates` is a structured
    array of the session's candidates whose field `row` points into `rows`.

    A stream may have a property `waking` as well: the places of the rows whose `wake` is set, ascending, which readers need not
    look for then; and a `team` (`StreamTeam`), where streams of several instruments are advanced together.
    """

    @property
    def rows(self) -> NDArray[Any]:
        """Rows completed so far in this session."""
        ...

    @property
    def candidates(self) -> NDArray[Any]:
        """Candidates of the completed rows, in row order."""
        ...

    def start_session(self, session: Session) -> None:
        """Begin rows in arrays of their own, as readers may keep the last session's; state that outlives a session is kept."""
        ...

    def advance(self, trades: Trades, until_ns: int) -> None:
        """Consume the next ticks and close what is complete before `until_ns`."""
        ...


class StreamTeam(Protocol):
    """Streams of several instruments that are sooner advanced together than one by one; the rows are the same."""

    def advance(self, fed: Sequence[tuple[Any, Trades]], until_ns: int) -> None:
        """Do what `SignalStream.advance` does for each of some streams of the team, which come with their next ticks."""
        ...


@quick
@dataclass(frozen=True, slots=True)
class Moment:
    """What a strategy may look at when it is asked: the present row, its candidates, and everything before.

    `open_positions` counts those of the whole account at this moment; `is_entering` says that an order of this symbol is still
    at work that may open one. `bid_ticks` and `ask_ticks` are the quote that prevailed at the last trade; None is not known.
    """

    ts: int
    symbol: str
    session: Session
    index: int
    rows: NDArray[Any]
    candidates: NDArray[Any]
    position_quantity: int
    last_ticks: int
    open_positions: int = 0
    is_entering: bool = False
    bid_ticks: int | None = None
    ask_ticks: int | None = None

    @property
    def row(self) -> np.void:
        """The row that woke the strategy."""
        return self.rows[self.index]  # type: ignore[no-any-return]


make_moment = maker(Moment)


@quick
@dataclass(frozen=True, slots=True)
class AccountView:
    """Everything the risk door may know at a moment. Unknown is None or a missing key, and unknown means refuse.

    `positions` are open positions by traded symbol; `last_ticks` the last price by tape; `data_ns` the time of the latest
    market data; `margin_per_unit` the intraday margin as the broker reports it now, by traded symbol; `orders_last_minute`
    counts orders sent in the 60 s before `ts`, a bracket's children with their entry; `working_units` are what working entries
    would still open, signed, by traded symbol. `unhealthy` says what of the platform is
    not as it should be, by subject (`connection`, `data:SYMBOL`, `reconciliation`, `backlog`): why, in words.
    """

    ts: int
    session: Session
    state: TradingState
    is_killed: bool
    balance: Decimal
    day_start_balance: Decimal
    equity: Decimal
    high_water_mark: Decimal
    positions: Mapping[str, Position]
    working_entries: int
    last_ticks: Mapping[str, int]
    data_ns: int | None
    margin_per_unit: Mapping[str, Decimal]
    orders_last_minute: int
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    working_units: Mapping[str, int] = field(default_factory=dict)


make_account_view = maker(AccountView)


class RiskDoor(Protocol):
    """The one door. Holds the account's tier, streaks, limits and halts; decides nothing about markets.

    `due_ns` is when it wants to be asked to `inspect` although nothing has filled (UTC ns; `NEVER` when it does not): the
    moment of a judgement that tripped something, or the end of a halt.
    """

    due_ns: int

    def start_session(self, session: Session, balance: Decimal) -> Sequence[Event]:
        """Take the day-start balance, choose the tier; return what changed."""
        ...

    def traded_symbol(self, tape: str) -> str:
        """Return the symbol that is traded on a tape now."""
        ...

    def flatten_ns(self, session: Session) -> int:
        """Return when everything must be closed (UTC ns)."""
        ...

    def judge(self, proposal: Proposal, view: AccountView) -> tuple[tuple[Check, ...], Approved | Refused]:
        """Run the checks in order, size the order at its stop, and return every check made with the verdict."""
        ...

    def guard(self, tape: str, view: AccountView, parts: int = 1) -> tuple[int, int]:
        """Return the prices (low, high, in ticks) beyond which a daily limit trips, other positions standing still.

        With positions on `parts` tapes each is allowed its part of the way, so that all together reach no limit unseen.
        """
        ...

    def levels(self, view: AccountView, mark: Decimal) -> tuple[Decimal | None, Decimal | None]:
        """Return the equities at or below the first and at or above the second of which a daily limit trips.

        `mark` is taken for the high-water mark. None is not known for the first, and no limit for the second.
        """
        ...

    def inspect(self, view: AccountView) -> Sequence[Event]:
        """Look at equity now; return a `TradingStateChanged` when a limit has tripped."""
        ...

    def halt(self, cause: str, by: str, reason: str, ts: int) -> Sequence[Event]:
        """Halt trading until a person resumes it; return what changed."""
        ...

    def reduce(self, cause: str, by: str, reason: str, ts: int) -> Sequence[Event]:
        """Let nothing new be opened until a person resumes trading; return what changed."""
        ...

    def resume(
        self, by: str, reason: str, ts: int, *, causes: Collection[str] = (), view: AccountView | None = None
    ) -> Sequence[Event]:
        """Clear the named halts, or all that a person may clear, in that person's name; return what changed."""
        ...

    def state(self) -> dict[str, Any]:
        """Return everything the door remembers, as JSON-ready values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        ...

    def on_trade(self, trade: Trade, view: AccountView) -> Sequence[Event]:
        """Count a closed trade (streaks, tier); return what changed."""
        ...

    def on_answer(self, cause: OrderEvent, ts: int) -> Sequence[Event]:
        """Take note of how the venue answered an order; return what changed."""
        ...


LateJudgement = Callable[[Proposal, AccountView], tuple[tuple[Check, ...], Approved | Refused]]
"""What a door would have said at an earlier moment; the view is that of the moment, its positions may be others by now."""


@runtime_checkable
class PatientDoor(Protocol):
    """A door that says at once of many an entry that it will be refused, and gives the reason later, beside `RiskDoor`."""

    def forbids(self, sides: NDArray[np.int8], ts: NDArray[np.int64], session: Session) -> NDArray[np.bool_]:
        """Return which entries of a session are refused whatever the account holds, while `is_calm`.

        Sides are 1 or -1; 0 where there is no entry, of which anything may be said.
        """
        ...

    def is_calm(self, view: AccountView) -> bool:
        """Say whether a refusal has no consequences now: trading is active, and nothing is out of order."""
        ...

    def is_at_rest(self, balance: Decimal, mark: Decimal, instruments: Sequence[Instrument]) -> bool:
        """Say whether a look at an account that holds and orders nothing would find nothing, while `is_calm`."""
        ...

    def is_full(self, count: int) -> bool:
        """Say whether so many positions and working entries leave no room for another, while `is_calm`."""
        ...

    def count_proposed(self, times: Sequence[int]) -> bool:
        """Count entries that are forbidden as proposed at these times; False, and none is, when they may be too many."""
        ...

    def will_refuse(self, side: Side, view: AccountView) -> bool:
        """Say whether it is certain that an entry is refused, whatever it is of; if so it counts as proposed."""
        ...

    def remember(self, view: AccountView) -> LateJudgement:
        """Return what judges entries by what is known now, whenever it is asked."""
        ...


class Strategy(Protocol):
    """A trading system: signals to look at, and a rule that turns a moment into proposals. State in, intents out.

    `gate_names` are the names of the codes in its candidates' `gate` field; code 0 means that the candidate passed.
    `is_stateless` says that `decide` depends on its moment alone, so that lanes of one run may share its answers.
    """

    name: str
    gate_names: Sequence[str]
    is_stateless: bool

    def signal_stream(self, instrument: Instrument) -> SignalStream:
        """Create the signals of one instrument."""
        ...

    def start_session(self, session: Session, instrument: Instrument) -> None:
        """Prepare for a trade date."""
        ...

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Return the candidates of this moment, best first; an empty sequence when there is nothing to say."""
        ...

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:
        """Return a session's candidates that its own gates refused, for the record; None when it has no gates."""
        ...

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:
        """Return the bracket that a refused candidate is assumed to have had; None when there is no usual one."""
        ...


@runtime_checkable
class ScreeningStrategy(Protocol):
    """A strategy of which a row alone says whether it refuses its own candidate, beside `Strategy`.

    Where every reader takes refusals by the session (`RefusalSink`) it is asked for orders only, and not for those that are
    certain to be refused (`PatientDoor`); the records are made when they are read. So `decide` must not mind whether it was
    asked about them. All rows that wake it are of one type. A record that is made later knows no quote: of a tape that is
    quoted, and of every tape where `needs_quotes` says that none is a reason to refuse, it is asked at once.
    """

    own_checks: Sequence[str]
    needs_quotes: bool

    def screen(self, symbols: Sequence[str], rows: NDArray[Any]) -> NDArray[np.int8]:
        """Return what comes of each row while nothing of its symbol (by row) is held.

        -1: nothing. 0: a candidate, `decide` must be asked. n above: the candidate is refused by `own_checks[n - 1]`. Where
        `needs_quotes` a candidate may still be refused by the check of that, of which a row knows nothing.
        """
        ...

    def sides(self, rows: NDArray[Any]) -> NDArray[np.int8]:
        """Return the side of each row's candidate: 1 to buy, -1 to sell; of a row without one anything."""
        ...

    def due_for_holders(self, rows: NDArray[Any]) -> NDArray[np.int8]:
        """Return where a holder has something to decide: 1 of a long position, 2 of a short one, 3 of either, 0 of none."""
        ...

    @property
    def terms(self) -> Any:
        """What a refusal's record tells beside its row, as it is now; a value that does not change any more."""
        ...

    def refusal(self, symbol: str, ts: int, values: tuple[Any, ...], terms: Any, last_ticks: int | None) -> Proposal:
        """Return the candidate of a row (`values`, its fields) that was refused at `ts`, under `terms`.

        `last_ticks` is the last price then; None for one that the strategy refused by itself, which wants no order.
        """
        ...


@runtime_checkable
class TradeListener(Protocol):
    """A strategy that learns from its own trades, beside `Strategy`."""

    def on_trade(self, trade: Trade) -> None:
        """Take note of a closed trade, before the next moment is decided on."""
        ...


@runtime_checkable
class EvidenceListener(Protocol):
    """A strategy that looks at what scouts have seen, beside `Strategy`."""

    def on_evidence(self, known_ns: int, snapshots: Sequence[TapeSnapshot], readings: Sequence[NewsReading]) -> None:
        """Take what scouts have seen; it may be used at `known_ns` (UTC ns) and later. The same may be told again."""
        ...


class Sink(Protocol):
    """A reader of the audit stream.

    It may have a method `hearer`, which is asked once for each type of event and returns what takes those of it, None where
    they are not wanted; without one it is told of all.
    """

    def __call__(self, event: Event, /) -> None:
        """Take one event; must not keep the engine waiting."""
        ...


@runtime_checkable
class RefusalSink(Protocol):
    """A sink that takes the candidates that were refused at the end of the session, beside `Sink`.

    A sink without this method is told of each such candidate at once, as of every other.
    """

    def on_refused(self, refused: KeptRefusals, /) -> None:
        """Take the session's refusals; reading one makes the record of all of them."""
        ...


class FeeModel(Protocol):
    """What an execution costs."""

    def fee(self, instrument: Instrument, quantity: int, price_ticks: int) -> Decimal:
        """Return the fee of one fill, in the instrument's currency."""
        ...
