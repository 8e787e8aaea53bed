"""The checks of an entry, in their fixed order (architecture, section 6).

A check looks at one case and returns a `core.decision.Check`: the value it saw held against its limit, both in the check's
unit, and a sentence with the numbers. It decides nothing else and changes nothing. Every check runs, whatever the earlier
ones said, so that each gate can be priced afterwards; the first that fails is the reason of the refusal. A value that is not
known is NaN in the record and fails its check.

Reduce-only orders do not come here; see `reduction`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from sovereign.core.decision import Check
from sovereign.core.event import TradingState
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, from_ns
from sovereign.risk.case import Case
from sovereign.risk.limit import held
from sovereign.risk.number import NAN, is_known, known, money, number
from sovereign.risk.sizing import describe
from sovereign.risk.tier import family_of

CheckRule = Callable[[Case], Check]

_GRAVITY = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


def entry_hours(case: Case) -> tuple[int, int] | None:
    """Return the first and the end (UTC ns) of the times at which an entry may be made, or None without a session."""
    session = case.view.session
    if session is None:
        return None
    config = case.config
    regular = config.hours == "regular"
    start = session.regular_open_ns if regular else session.open_ns
    end = session.regular_close_ns if regular else session.close_ns
    return (
        start + config.first_entry_after_open_minutes * NS_PER_MINUTE,
        end - config.last_entry_before_close_minutes * NS_PER_MINUTE,
    )


def check_kill_switch(case: Case) -> Check:
    """Refuse while the kill switch is thrown, or when nobody can say whether it is."""
    is_killed = case.view.is_killed
    if is_killed is None:
        return Check("kill_switch", NAN, 0.0, "flag", passed=False, note="the kill switch was unknown")
    note = "the kill switch was thrown" if is_killed else "the kill switch was not thrown"
    return Check("kill_switch", float(is_killed), 0.0, "flag", passed=not is_killed, note=note)


def check_trading_state(case: Case) -> Check:
    """Refuse unless trading is ACTIVE, both by the engine's word and by the door's own halts."""
    state = case.view.state
    if state not in _GRAVITY:
        return Check("trading_state", NAN, 0.0, "state", passed=False, note="the trading state was unknown")
    worst = max((state, *(halt.state for halt in case.halts)), key=_GRAVITY.__getitem__)
    causes = "; ".join(f"{halt.cause}: {halt.reason}" for halt in case.halts)
    note = f"trading was {worst}" + (f" ({causes})" if causes else "")
    return Check("trading_state", float(_GRAVITY[worst]), 0.0, "state", passed=worst is TradingState.ACTIVE, note=note)


def check_numbers(case: Case) -> Check:
    """Refuse when any number the verdict rests on is missing, NaN or infinite."""
    view, intent = case.view, case.intent
    numbers = {
        "ts": view.ts,
        "balance": view.balance,
        "day_start_balance": view.day_start_balance,
        "equity": view.equity,
        "high_water_mark": view.high_water_mark,
        "working_entries": view.working_entries,
        "orders_last_minute": view.orders_last_minute,
        "strength": case.strength,
        "confidence": case.confidence,
        "size_multiplier": intent.size_multiplier,
        "size_steps": intent.size_steps,
    }
    numbers |= {f"last price of {symbol}": price for symbol, price in view.last_ticks.items()}
    numbers |= {f"margin of {symbol}": margin for symbol, margin in view.margin_per_unit.items()}
    numbers |= {
        name: value
        for name, value in (
            ("quantity", intent.quantity),
            ("limit_ticks", intent.limit_ticks),
            ("stop_ticks", intent.stop_ticks),
        )
        if value is not None
    }
    unknown = [name for name, value in numbers.items() if not is_known(value)]
    if not case.config.can_inputs_be_unknown:
        unknown += [f"input {name}" for name in case.unknown_inputs]
    note = f"unknown: {', '.join(unknown)}" if unknown else "every number was known"
    return Check("numbers", float(len(unknown)), 0.0, "numbers", passed=not unknown, note=note)


def check_data_age(case: Case) -> Check:
    """Refuse when the latest market data is older than `stale_data_s`, or there is none."""
    limit = case.config.stale_data_s
    if not is_known(case.view.data_ns) or not is_known(case.view.ts):
        return Check("data_age", NAN, limit, "s", passed=False, note="no market data has been seen")
    age = (case.view.ts - (case.view.data_ns or 0)) / NS_PER_SECOND
    note = f"market data was {age:.3f} s old, allowed are {limit:g} s"
    return Check("data_age", age, limit, "s", passed=age <= limit, note=note)


def check_clock_skew(case: Case) -> Check:
    """Refuse when market data lies in the future by more than `max_clock_skew_s`: one of the clocks is wrong."""
    limit = case.config.max_clock_skew_s
    if not is_known(case.view.data_ns) or not is_known(case.view.ts):
        return Check("clock_skew", NAN, limit, "s", passed=False, note="no market data has been seen")
    skew = max(0, (case.view.data_ns or 0) - case.view.ts) / NS_PER_SECOND
    note = f"market data was {skew:.3f} s ahead of the clock, allowed are {limit:g} s"
    return Check("clock_skew", skew, limit, "s", passed=skew <= limit, note=note)


def check_last_price(case: Case) -> Check:
    """Refuse when the instrument is not known, or its tape has no last price yet."""
    is_priced = is_known(case.view.last_ticks.get(case.intent.symbol))
    if case.instrument is None:
        note = f"symbol '{case.traded}' is no instrument the platform knows"
    else:
        note = f"tape {case.intent.symbol} had {'a' if is_priced else 'no'} last price, traded is {case.traded}"
    passed = is_priced and case.instrument is not None
    return Check("last_price", float(passed), 1.0, "prices", passed=passed, note=note)


def check_session_open(case: Case) -> Check:
    """Refuse while the venue is closed or in a break."""
    session = case.view.session
    if session is None or not is_known(case.view.ts):
        return Check("session_open", NAN, 1.0, "flag", passed=False, note="the session was unknown")
    is_open = session.is_open(case.view.ts)
    note = f"{session.calendar} was {'open' if is_open else 'closed'}"
    return Check("session_open", float(is_open), 1.0, "flag", passed=is_open, note=note)


def check_trading_hours(case: Case) -> Check:
    """Refuse outside the entry hours; the value is the distance to their nearer end, negative outside."""
    hours = entry_hours(case)
    if hours is None or not is_known(case.view.ts):
        return Check("trading_hours", NAN, 0.0, "min", passed=False, note="the session was unknown")
    first, end = hours
    zone = case.view.session.zone
    inside = min(case.view.ts - first, end - case.view.ts) / NS_PER_MINUTE
    note = f"entries are taken {from_ns(first, zone):%H:%M}-{from_ns(end, zone):%H:%M} {zone} ({case.config.hours} hours)"
    return Check("trading_hours", inside, 0.0, "min", passed=first <= case.view.ts < end, note=note)


def check_excluded_window(case: Case) -> Check:
    """Refuse inside a daily window without entries, such as lunch."""
    if not is_known(case.view.ts):
        return Check("excluded_window", NAN, 0.0, "windows", passed=False, note="the time was unknown")
    window = case.schedule.window_at(case.view.ts)
    note = "no excluded window" if window is None else f"inside the excluded window {window} {case.schedule.zone}"
    return Check("excluded_window", float(window is not None), 0.0, "windows", passed=window is None, note=note)


def check_news_window(case: Case) -> Check:
    """Refuse around news."""
    if not is_known(case.view.ts):
        return Check("news_window", NAN, 0.0, "windows", passed=False, note="the time was unknown")
    news = case.schedule.news_at(case.view.ts)
    note = "no news window" if news is None else f"inside the news window of {news.name}"
    return Check("news_window", float(news is not None), 0.0, "windows", passed=news is None, note=note)


def check_daily_profit(case: Case) -> Check:
    """Refuse when the day has made its target."""
    target, pnl = case.limits.profit_target, case.day_pnl
    if target is None:
        return Check(
            "daily_profit", number(pnl), float("inf"), case.currency, passed=pnl is not None, note="no profit target is set"
        )
    note = f"the day stood at {money(pnl)}, its target is {money(target)}"
    passed = pnl is not None and pnl < target
    return Check("daily_profit", number(pnl), float(target), case.currency, passed=passed, note=note)


def check_daily_loss(case: Case) -> Check:
    """Refuse when the day has lost its limit, realized and floating."""
    limit, pnl = case.limits.loss_limit, case.day_pnl
    floor = -limit if limit is not None else None
    note = f"the day stood at {money(pnl)}, its limit is {money(floor)}"
    passed = pnl is not None and floor is not None and pnl > floor
    return Check("daily_loss", number(pnl), number(floor), case.currency, passed=passed, note=note)


def check_drawdown(case: Case) -> Check:
    """Refuse when equity has fallen too far from its high-water mark."""
    level, equity = case.limits.drawdown_level, known(case.view.equity)
    note = f"equity was {money(equity)}, it may fall to {money(level)} from the mark of {money(case.limits.mark)}"
    passed = equity is not None and level is not None and equity > level
    return Check("drawdown", number(equity), number(level), case.currency, passed=passed, note=note)


def check_positions(case: Case) -> Check:
    """Refuse when positions and working entries fill all places."""
    limit = case.config.max_positions
    working = case.view.working_entries
    if not is_known(working):
        return Check("positions", NAN, float(limit), "positions", passed=False, note="the working entries were unknown")
    count = len(held(case.view.positions)) + working + 1
    note = f"with this one there would be {count} positions, allowed are {limit}"
    return Check("positions", float(count), float(limit), "positions", passed=count <= limit, note=note)


def check_same_symbol(case: Case) -> Check:
    """Refuse a second position in an instrument or in its micro or full sibling."""
    tiers = case.config.tiers
    family = family_of(tiers, case.traded)
    same = [
        symbol
        for symbol, position in held(case.view.positions).items()
        if symbol == case.traded
        or position.tape == case.intent.symbol
        or (family is not None and family_of(tiers, symbol) is family)
    ]
    passed = not same or case.config.can_add_to_position
    note = f"already held: {', '.join(same)}" if same else f"nothing like {case.traded} is held"
    limit = float(case.config.max_positions) if case.config.can_add_to_position else 0.0
    return Check("same_symbol", float(len(same)), limit, "positions", passed=passed, note=note)


def check_working_entries(case: Case) -> Check:
    """Refuse when as many entries are working as may."""
    limit, working = case.config.max_working_entries, case.view.working_entries
    if not is_known(working):
        return Check("working_entries", NAN, float(limit), "orders", passed=False, note="the working entries were unknown")
    note = f"with this one there would be {working + 1} working entries, allowed are {limit}"
    return Check("working_entries", float(working + 1), float(limit), "orders", passed=working + 1 <= limit, note=note)


def _at_least_one(case: Case) -> int:
    return max(1, case.size.quantity)


def _loss(case: Case) -> Decimal | None:
    loss = case.size.stop_loss
    return None if loss is None else loss * _at_least_one(case)


def check_loss_at_stop(case: Case) -> Check:
    """Refuse when even one unit, stopped out with fees and slippage, would lose more than the day may still lose."""
    room, loss = case.size.room, _loss(case)
    note = (
        f"{_at_least_one(case)} {case.traded} would lose {money(loss)} at the stop, costs included; "
        f"{money(room)} may still be lost today"
    )
    passed = room is not None and loss is not None and loss <= room
    return Check("loss_at_stop", number(loss), number(room), case.currency, passed=passed, note=note)


def check_risk_per_trade(case: Case) -> Check:
    """Refuse when even one unit would risk more of the balance than `max_risk_frac`."""
    limit, loss = case.size.risk_limit, _loss(case)
    note = (
        f"{_at_least_one(case)} {case.traded} would lose {money(loss)} at the stop; "
        f"{case.config.max_risk_frac} of the balance is {money(limit)}"
    )
    passed = limit is not None and loss is not None and loss <= limit
    return Check("risk_per_trade", number(loss), number(limit), case.currency, passed=passed, note=note)


def check_size(case: Case) -> Check:
    """Refuse when less than one unit is left."""
    size = case.size
    is_unknown = size.wanted is None or None in size.caps.values()
    value = NAN if is_unknown else float(size.quantity)
    tier = f"tier {case.tier_name}: " if case.tier_name else ""
    return Check("size", value, 1.0, "units", passed=size.quantity >= 1, note=f"{tier}{describe(size)}")


def check_cost_to_reward(case: Case) -> Check:
    """Refuse when the target is not worth its costs."""
    multiple = case.config.min_reward_to_cost
    cost, reward = case.size.cost, case.size.reward
    if multiple == 0:
        note = f"no reward is asked for; a round trip costs {money(cost)} a unit"
        return Check("cost_to_reward", number(reward), 0.0, case.currency, passed=cost is not None, note=note)
    least = cost * multiple if cost is not None else None
    note = f"the target is worth {money(reward)} a unit; {multiple} round trips of {money(cost)} are {money(least)}"
    passed = reward is not None and least is not None and reward >= least
    return Check("cost_to_reward", number(reward), number(least), case.currency, passed=passed, note=note)


def check_margin_per_unit(case: Case) -> Check:
    """Refuse when the broker's margin is not known or above the limit of this instrument: a high-margin day."""
    margin, limit = case.size.margin, case.size.margin_limit
    note = f"the margin of {case.traded} was {money(margin)}, traded up to {money(limit)}"
    passed = margin is not None and limit is not None and margin <= limit
    return Check("margin_per_unit", number(margin), number(limit), case.currency, passed=passed, note=note)


def check_margin_balance(case: Case) -> Check:
    """Refuse when the margin of all positions with this one exceeds its share of the balance."""
    size = case.size
    needed = size.margin * _at_least_one(case) if size.margin is not None else None
    room = size.margin_room
    note = f"{_at_least_one(case)} {case.traded} needs {money(needed)} of margin; {money(room)} is free for it"
    passed = needed is not None and room is not None and needed <= room
    return Check("margin_balance", number(needed), number(room), case.currency, passed=passed, note=note)


def check_order_rate(case: Case) -> Check:
    """Refuse when this order and its protective children would be more orders than a minute allows."""
    limit, sent = case.config.max_orders_per_minute, case.view.orders_last_minute
    if not is_known(sent):
        return Check("order_rate", NAN, float(limit), "orders/min", passed=False, note="the order count was unknown")
    bracket = case.intent.bracket
    count = sent + 1 + (0 if bracket is None else 1 + (bracket.target_ticks is not None))
    note = f"with this one and its children {count} orders in a minute, allowed are {limit}"
    return Check("order_rate", float(count), float(limit), "orders/min", passed=count <= limit, note=note)


ENTRY_CHECKS: tuple[CheckRule, ...] = (
    check_kill_switch,
    check_trading_state,
    check_numbers,
    check_data_age,
    check_clock_skew,
    check_last_price,
    check_session_open,
    check_trading_hours,
    check_excluded_window,
    check_news_window,
    check_daily_profit,
    check_daily_loss,
    check_drawdown,
    check_positions,
    check_same_symbol,
    check_working_entries,
    check_loss_at_stop,
    check_risk_per_trade,
    check_size,
    check_cost_to_reward,
    check_margin_per_unit,
    check_margin_balance,
    check_order_rate,
)
"""Every check of an entry, in the order in which the first failure is the reason."""
