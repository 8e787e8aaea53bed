"""Where the account stands at the door: its day and tier, what may still be lost, and what is traded on its tapes.

What never changes, or seldom, is worked out once: a backtest asks some ten thousand times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sovereign.core.decision import money
from sovereign.core.errors import NotFoundError
from sovereign.core.event import Event, TierChanged
from sovereign.core.instrument import Instrument
from sovereign.core.port import AccountView
from sovereign.core.position import Position
from sovereign.core.record import maker
from sovereign.risk.configuration import RiskConfig, TierConfig
from sovereign.risk.limit import ZERO, DayLimits, day_limits
from sovereign.risk.memory import Memory
from sovereign.risk.number import is_known, known
from sovereign.risk.tier import Families, next_tier, traded_symbol

Positions = Mapping[str, Position]

_UNTIERED = frozenset({False})


class Traded(NamedTuple):
    """What is traded on a tape; the instrument is None when nobody knows the symbol."""

    symbol: str
    instrument: Instrument | None


make_traded = maker(Traded)


class Standing:
    """An account's day.

    Parameters
    ----------
    config : the limits.
    find : returns the instrument of a symbol (with the user's fees and margins, where overridden).

    Attributes
    ----------
    memory : what outlives a restart.
    committed : what each approved order may lose at its stop, by traded symbol; replaced and never changed, because a late
        judgement keeps what was.
    families : of symbols, as far as tiers cover them.
    """

    def __init__(self, config: RiskConfig, find: Callable[[str], Instrument]) -> None:
        self.memory = Memory()
        self.committed: Mapping[str, Decimal] = {}
        self.families = Families(config.tiers)
        self._config = config
        self._find = find
        self._tiers = {tier.name: tier for tier in config.tiers.table} if config.tiers.enabled else {}
        self._traded: dict[tuple[str, str | None], Traded] = {}
        self._are_tiered: dict[tuple[str, ...], frozenset[bool]] = {}
        self._limited_on: dict[tuple[str | None, ...], list[Traded]] = {}
        self._limits_key: tuple[Any, ...] = ()
        self._limits = day_limits(None, None, None, None, ZERO)

    # The day

    def start_day(self, trade_date: str, balance: Decimal | None) -> None:
        """Begin a trade date with a balance."""
        memory = self.memory
        memory.trade_date = trade_date
        memory.day_start = balance
        memory.realized = ZERO
        self._traded.clear()  # fees and margins may be others today
        self._are_tiered.clear()
        self._limited_on.clear()

    def prune(self, view: AccountView, positions: Positions) -> None:
        """Forget approved orders that are neither open nor working any more: canceled, expired or never sent."""
        if self.committed and is_known(view.working_entries) and view.working_entries == 0:
            self.committed = {symbol: loss for symbol, loss in self.committed.items() if symbol in positions}

    def follow_mark(self, view: AccountView) -> None:
        """Take equity for the mark where a drawdown was cleared, and let the mark rise with it."""
        memory, equity = self.memory, known(view.equity)
        if memory.is_mark_due and equity is not None:
            memory.mark, memory.cleared_mark, memory.is_mark_due = equity, known(view.high_water_mark), False
        elif memory.mark is not None and equity is not None:
            memory.mark = max(memory.mark, equity)

    # Tiers

    @property
    def tier(self) -> TierConfig | None:
        """The account's tier; None when tiers are off or no session has begun."""
        name = self.memory.tier
        return None if name is None else self._tiers.get(name)

    def change_tier(self, ts: int, balance: Decimal | None, *, can_promote: bool) -> list[Event]:
        """Choose the tier of a balance; return what changed."""
        tiers = self._config.tiers
        if not self._tiers or balance is None:
            return []
        previous = self.tier
        current = next_tier(tiers, previous, balance, can_promote=can_promote)
        self.memory.tier = current.name
        if previous is None or current.name == previous.name:
            return []
        rose = current.min_balance > previous.min_balance
        threshold = current.min_balance if rose else previous.min_balance * (1 - tiers.demotion_buffer_frac)
        reason = f"the balance of {money(balance)} {'reached' if rose else 'fell below'} {money(threshold)}"
        return [TierChanged(ts=ts, previous=previous.name, current=current.name, balance=balance, reason=reason)]

    def is_tiered(self, symbol: str) -> bool:
        """Say whether tiers rule a symbol."""
        return bool(self._tiers) and self.families[symbol] is not None

    def tiered_among(self, symbols: tuple[str, ...]) -> frozenset[bool]:
        """Return what `is_tiered` says of some symbols; the same are asked about again and again."""
        found = self._are_tiered.get(symbols)
        if found is None:
            found = self._are_tiered[symbols] = frozenset(map(self.is_tiered, symbols))
        return found

    # What is traded

    def traded_on(self, tape: str) -> Traded:
        """Return what is traded on a tape now."""
        key = (tape, self.memory.tier)
        traded = self._traded.get(key)
        if traded is None:
            is_tiered = self.families[tape] is not None
            symbol = traded_symbol(self._config.tiers, self.tier, tape) if is_tiered else tape
            try:
                instrument = self._find(symbol)
            except NotFoundError:
                instrument = None
            traded = self._traded[key] = make_traded(symbol, instrument)
        return traded

    def limited(self, view: AccountView) -> Sequence[Traded]:
        """Return what is traded on the account's tapes now, as far as its margin has a limit; shares have none."""
        key = (self.memory.tier, *view.last_ticks)
        found = self._limited_on.get(key)
        if found is None:
            traded = [self.traded_on(tape) for tape in sorted(view.last_ticks)]
            limits = self._config.margin_limits
            found = self._limited_on[key] = [t for t in traded if t.instrument is not None and t.instrument.root in limits]
        return found

    # What may be lost

    def limits_of(self, view: AccountView, positions: Positions, *tapes: str) -> DayLimits:
        """Return the limits of the day, of an account with these positions on these and its own tapes."""
        memory = self.memory
        day_start = memory.day_start if memory.day_start is not None else known(view.day_start_balance)
        are_tiered = _UNTIERED
        if self._tiers:
            are_tiered = self.tiered_among(tuple(view.last_ticks))
            for tape in (*tapes, *[position.tape for position in positions.values()]):
                if tape not in view.last_ticks:
                    are_tiered |= {self.is_tiered(tape)}
        return self._limits_at(day_start, self.mark_of(known(view.high_water_mark)), are_tiered)

    def _limits_at(self, day_start: Decimal | None, mark: Decimal | None, are_tiered: frozenset[bool]) -> DayLimits:
        key = (day_start, self.memory.day_tier, mark, are_tiered)
        if key != self._limits_key:
            loss_limit = self._loss_limit(day_start, are_tiered)
            self._limits = day_limits(
                day_start, loss_limit, self._config.daily_profit_target, mark, self._config.max_drawdown_frac
            )
            self._limits_key = key
        return self._limits

    def is_at_rest(self, balance: Decimal, mark: Decimal, instruments: Sequence[Instrument]) -> bool:
        """Say whether a look at an account that holds nothing can neither find nor change anything of this.

        Parameters
        ----------
        balance, mark : of the account, and its highest equity. instruments : that trade.
        """
        memory, limited = self.memory, self._config.margin_limits
        if self.committed or memory.is_tier_due or memory.is_mark_due or memory.mark is not None:
            return False
        if self._tiers and True in self.tiered_among(tuple([instrument.symbol for instrument in instruments])):
            return False
        limits = self._limits_at(memory.day_start, mark, _UNTIERED)
        if limits.lowest is None or balance <= limits.lowest:
            return False
        if limits.profit_level is not None and balance >= limits.profit_level:
            return False
        return limited.keys().isdisjoint([instrument.root for instrument in instruments])

    def _loss_limit(self, day_start: Decimal | None, are_tiered: Iterable[bool]) -> Decimal | None:
        # tiers rule the tapes they cover, the general limit the others; the strictest of all is the account's
        if day_start is None:
            return None
        limits = [max(day_start, ZERO) * self._config.max_daily_loss_frac]
        if self._config.daily_loss_limit is not None and (False in are_tiered or True not in are_tiered):
            limits.append(-self._config.daily_loss_limit)
        if True in are_tiered:
            name = self.memory.day_tier
            tier = None if name is None else self._tiers.get(name)
            if tier is None:
                return None
            limits.append(-tier.daily_loss_limit)
        return min(limits)

    def mark_of(self, mark: Decimal | None) -> Decimal | None:
        """Return the mark that a drawdown is measured from.

        After one was cleared it starts again at that moment's equity, until the account makes a new high.
        """
        memory = self.memory
        if mark is None or memory.mark is None or memory.cleared_mark is None or mark > memory.cleared_mark:
            return mark
        return memory.mark
