"""What halts the account at a look: the kill switch, the limits of the day, the drawdown, an unknown equity, a high margin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from sovereign.core.decision import money
from sovereign.core.event import TradingState
from sovereign.core.instrument import Instrument
from sovereign.core.port import AccountView
from sovereign.risk.halt import Cause, Halt
from sovereign.risk.limit import ZERO, DayLimits
from sovereign.risk.number import known


def tripped(view: AccountView, limits: DayLimits, now: int, *, is_open: bool) -> list[Halt]:
    """Return the halts that the kill switch and the money call for.

    Parameters
    ----------
    now : UTC ns, for the record. is_open : whether a position is held; only then an unknown equity halts.
    """

    def halt(cause: Cause, reason: str) -> Halt:
        return Halt(TradingState.HALTED, cause, reason, ts=now)

    halts = []
    equity = known(view.equity)
    if view.is_killed is not False:
        halts.append(halt(Cause.KILL, "the kill switch was " + ("thrown" if view.is_killed else "unknown")))
    if equity is None or limits.lowest is None:
        if is_open:
            reason = "a position is open while equity, the day-start balance or the high-water mark is unknown"
            halts.append(halt(Cause.UNKNOWN_EQUITY, reason))
        return halts
    pnl = equity - (limits.day_start or ZERO)
    if limits.loss_level is not None and equity <= limits.loss_level:
        reason = f"the day's profit and loss of {money(pnl)} reached the limit of -{money(limits.loss_limit)}"
        halts.append(halt(Cause.DAILY_LOSS, reason))
    if limits.drawdown_level is not None and equity <= limits.drawdown_level:
        reason = f"equity of {money(equity)} reached {money(limits.drawdown_level)}, from a mark of {money(limits.mark)}"
        halts.append(halt(Cause.DRAWDOWN, reason))
    if limits.profit_level is not None and equity >= limits.profit_level:
        reason = f"the day's profit and loss of {money(pnl)} reached the target of {money(limits.profit_target)}"
        halts.append(halt(Cause.DAILY_PROFIT, reason))
    return halts


def high_margins(
    traded: Iterable[tuple[str, Instrument | None]], margins: Mapping[str, Decimal], limits: Mapping[str, Decimal], now: int
) -> list[Halt]:
    """Return a reduction when the margin of a contract that would be traded is above its limit: a high-margin day.

    Parameters
    ----------
    traded : symbol and instrument, by tape. margins : per unit, by symbol. limits : by root.
    """
    too_high = []
    for symbol, instrument in traded:
        limit = None if instrument is None else limits.get(instrument.root)
        margin = None if limit is None else known(margins.get(symbol))
        if margin is not None and limit is not None and margin > limit:
            too_high.append(f"the margin of {symbol} was {money(margin)}, traded up to {money(limit)}")
    if not too_high:
        return []
    reason = f"high-margin day, no trading: {'; '.join(too_high)}"
    return [Halt(TradingState.REDUCING, Cause.MARGIN, reason, ts=now)]
