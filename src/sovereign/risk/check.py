"""The checks of an entry, in their fixed order (architecture, section 6).

A check looks at one case and returns a `core.decision.Check`: the value it saw held against its limit, both in the check's
unit, and a sentence with the numbers. It decides nothing else and changes nothing. The first that fails is the reason of the
refusal. After a failure of `FINAL_CHECKS` nothing else matters and nothing else is asked; after any other all the rest still
run, so that each gate can be priced afterwards. A value that is not known is NaN in the record and fails its check.

Backtests judge thousands of candidates: what is nearly always the same is one constant record, and sentences are put
together when they are read.

Reduce-only orders do not come here; see `reduction`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import wraps
from operator import attrgetter

from sovereign.core.decision import Check, make_check
from sovereign.core.event import TradingState
from sovereign.core.order import Side
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND
from sovereign.risk.case import Case
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.halt import GRAVITY
from sovereign.risk.number import NAN, is_known, number

CheckRule = Callable[[Case], Check]

_NOT_KILLED = make_check("kill_switch", 0.0, 0.0, "flag", True, "the kill switch was not thrown")
_ACTIVE = make_check("trading_state", 0.0, 0.0, "state", True, f"trading was {TradingState.ACTIVE}")
_ALL_KNOWN = make_check("numbers", 0.0, 0.0, "numbers", True, "every number was known")
_HEALTHY = make_check("health", 0.0, 0.0, "troubles", True, "nothing was out of order")
_NO_WINDOW = make_check("excluded_window", 0.0, 0.0, "windows", True, "no excluded window")
_NO_NEWS = make_check("news_window", 0.0, 0.0, "windows", True, "no news window")

_VIEW_NUMBERS = (
    "ts",
    "balance",
    "day_start_balance",
    "equity",
    "high_water_mark",
    "working_entries",
    "orders_last_minute",
)
_INTENT_NUMBERS = ("size_multiplier", "size_steps")
_INTENT_CHOICES = ("quantity", "limit_ticks", "stop_ticks")  # None is known: not asked for
_ALWAYS_KNOWN = (int, str)
_INTEGERS = frozenset({int})
_numbers_of_view = attrgetter(*_VIEW_NUMBERS)
_numbers_of_intent = attrgetter(*_INTENT_NUMBERS)


def check_kill_switch(case: Case) -> Check:
    """Refuse while the kill switch is thrown, or when nobody can say whether it is."""
    is_killed = case.view.is_killed
    if is_killed is None:
        return make_check("kill_switch", NAN, 0.0, "flag", False, "the kill switch was unknown")
    return make_check("kill_switch", 1.0, 0.0, "flag", False, "the kill switch was thrown") if is_killed else _NOT_KILLED


def check_trading_state(case: Case) -> Check:
    """Refuse unless trading is ACTIVE, both by the engine's word and by the door's own halts."""
    state = case.view.state
    if state is TradingState.ACTIVE and not case.halts:
        return _ACTIVE
    if state not in GRAVITY:
        return make_check("trading_state", NAN, 0.0, "state", False, "the trading state was unknown")
    worst = max((state, *(halt.state for halt in case.halts)), key=GRAVITY.__getitem__)
    causes = "; ".join(f"{halt.cause}: {halt.reason}" for halt in case.halts)
    note = f"trading was {worst}" + (f" ({causes})" if causes else "")
    return make_check("trading_state", float(GRAVITY[worst]), 0.0, "state", worst is TradingState.ACTIVE, note)


def _are_finite(inputs: Mapping[str, float | int | str]) -> bool:
    # Whether every float is finite: a sum of differences with themselves is 0 unless one of them is NaN or infinite.
    total = 0.0
    for value in inputs.values():
        if type(value) is float:
            total += value - value
        elif not isinstance(value, _ALWAYS_KNOWN):
            return False
    return total == 0.0


def check_numbers(case: Case) -> Check:
    """Refuse when any number the verdict rests on is missing, NaN or infinite."""
    view, intent = case.view, case.intent
    unknown: list[str] = []
    if not all(map(is_known, _numbers_of_view(view))):
        unknown += [name for name in _VIEW_NUMBERS if not is_known(getattr(view, name))]
    if not (is_known(case.strength) and is_known(case.confidence)):
        unknown += [name for name in ("strength", "confidence") if not is_known(getattr(case, name))]
    if not all(map(is_known, _numbers_of_intent(intent))):
        unknown += [name for name in _INTENT_NUMBERS if not is_known(getattr(intent, name))]
    if not _INTEGERS.issuperset(map(type, view.last_ticks.values())):
        unknown += [f"last price of {symbol}" for symbol, price in view.last_ticks.items() if not is_known(price)]
    if not getattr(view.margin_per_unit, "are_known", False) and not all(map(is_known, view.margin_per_unit.values())):
        unknown += [f"margin of {symbol}" for symbol, margin in view.margin_per_unit.items() if not is_known(margin)]
    unknown += [name for name in _INTENT_CHOICES if (value := getattr(intent, name)) is not None and not is_known(value)]
    if not case.config.can_inputs_be_unknown and not _are_finite(case.inputs):
        unknown += [
            f"input {name}"
            for name, value in case.inputs.items()
            if not isinstance(value, _ALWAYS_KNOWN) and not is_known(value)
        ]
    if not unknown:
        return _ALL_KNOWN
    return make_check("numbers", float(len(unknown)), 0.0, "numbers", False, f"unknown: {', '.join(unknown)}")


def check_health(case: Case) -> Check:
    """Refuse while anything the platform rests on is out of order: the connection, the data, the books, the pace."""
    troubles = case.view.unhealthy
    if troubles is None:
        return make_check("health", NAN, 0.0, "troubles", False, "the health of the platform was unknown")
    if not troubles:
        return _HEALTHY
    note = "; ".join(f"{subject}: {why}" for subject, why in troubles.items())
    return make_check("health", float(len(troubles)), 0.0, "troubles", False, note)


def check_data_age(case: Case) -> Check:
    """Refuse when the latest market data is older than `stale_data_s`, or there is none."""
    limit, ts, data = case.config.stale_data_s, case.view.ts, case.view.data_ns
    if not is_known(data) or not is_known(ts):
        return make_check("data_age", NAN, limit, "s", False, "no market data has been seen")
    age = (ts - data) / NS_PER_SECOND
    note = ("market data was {:.3f} s old, allowed are {:g} s", age, limit)
    return make_check("data_age", age, limit, "s", age <= limit, note)


def check_clock_skew(case: Case) -> Check:
    """Refuse when market data lies in the future by more than `max_clock_skew_s`: one of the clocks is wrong."""
    limit, ts, data = case.config.max_clock_skew_s, case.view.ts, case.view.data_ns
    if not is_known(data) or not is_known(ts):
        return make_check("clock_skew", NAN, limit, "s", False, "no market data has been seen")
    skew = max(0, data - ts) / NS_PER_SECOND
    note = ("market data was {:.3f} s ahead of the clock, allowed are {:g} s", skew, limit)
    return make_check("clock_skew", skew, limit, "s", skew <= limit, note)


def check_last_price(case: Case) -> Check:
    """Refuse when the instrument is not known, or its tape has no last price yet."""
    tape = case.intent.symbol
    is_priced = is_known(case.view.last_ticks.get(tape))
    if case.instrument is None:
        note = f"symbol '{case.traded}' is no instrument the platform knows"
        return make_check("last_price", 0.0, 1.0, "prices", False, note)
    words = ("tape {} had {} last price, traded is {}", tape, "a" if is_priced else "no", case.traded)
    return make_check("last_price", 1.0 if is_priced else 0.0, 1.0, "prices", is_priced, words)


def check_session_open(case: Case) -> Check:
    """Refuse while the venue is closed or in a break."""
    session, ts = case.view.session, case.view.ts
    if session is None or not is_known(ts):
        return make_check("session_open", NAN, 1.0, "flag", False, "the session was unknown")
    is_open = session.is_open(ts)
    note = ("{} was {}", session.calendar, "open" if is_open else "closed")
    return make_check("session_open", 1.0 if is_open else 0.0, 1.0, "flag", is_open, note)


def check_trading_hours(case: Case) -> Check:
    """Refuse outside the entry hours; the value is the distance to their nearer end, negative outside."""
    times, ts = case.timetable, case.view.ts
    if times.session is None or not is_known(ts):
        return make_check("trading_hours", NAN, 0.0, "min", False, "the session was unknown")
    first, end = times.first_ns, times.end_ns
    if ts == times.late_ns:
        return make_check("trading_hours", 0.0, 0.0, "min", True, ("entries are taken {}", times))
    inside = min(ts - first, end - ts) / NS_PER_MINUTE
    return make_check("trading_hours", inside, 0.0, "min", first <= ts < end, ("entries are taken {}", times))


def check_excluded_window(case: Case) -> Check:
    """Refuse inside a daily window without entries, such as lunch."""
    if not is_known(case.view.ts):
        return make_check("excluded_window", NAN, 0.0, "windows", False, "the time was unknown")
    window = case.timetable.window_at(case.view.ts)
    if window is None:
        return _NO_WINDOW
    note = ("inside the excluded window {} {}", window, case.config.clock_zone)
    return make_check("excluded_window", 1.0, 0.0, "windows", False, note)


def check_news_window(case: Case) -> Check:
    """Refuse around news."""
    if not is_known(case.view.ts):
        return make_check("news_window", NAN, 0.0, "windows", False, "the time was unknown")
    news = case.timetable.news_at(case.view.ts)
    if news is None:
        return _NO_NEWS
    return make_check("news_window", 1.0, 0.0, "windows", False, ("inside the news window of {}", news.name))


def check_daily_profit(case: Case) -> Check:
    """Refuse when the day has made its target."""
    target, pnl = case.limits.profit_target, case.day_pnl
    if target is None:
        return make_check("daily_profit", number(pnl), float("inf"), case.currency, pnl is not None, "no profit target is set")
    note = ("the day stood at {}, its target is {}", pnl, target)
    return make_check("daily_profit", number(pnl), float(target), case.currency, pnl is not None and pnl < target, note)


def check_daily_loss(case: Case) -> Check:
    """Refuse when the day has lost its limit, realized and floating."""
    limit, pnl = case.limits.loss_limit, case.day_pnl
    floor = None if limit is None else -limit
    passed = pnl is not None and floor is not None and pnl > floor
    note = ("the day stood at {}, its limit is {}", pnl, floor)
    return make_check("daily_loss", number(pnl), number(floor), case.currency, passed, note)


def check_drawdown(case: Case) -> Check:
    """Refuse when equity has fallen too far from its high-water mark."""
    level, equity = case.limits.drawdown_level, case.equity
    passed = equity is not None and level is not None and equity > level
    note = ("equity was {}, it may fall to {} from the mark of {}", equity, level, case.limits.mark)
    return make_check("drawdown", number(equity), number(level), case.currency, passed, note)


def check_positions(case: Case) -> Check:
    """Refuse when positions and working entries fill all places."""
    limit, working = case.config.max_positions, case.view.working_entries
    if not is_known(working):
        return make_check("positions", NAN, float(limit), "positions", False, "the working entries were unknown")
    count = len(case.positions) + working + 1
    note = ("with this one there would be {} positions, allowed are {}", count, limit)
    return make_check("positions", float(count), float(limit), "positions", count <= limit, note)


def check_same_symbol(case: Case) -> Check:
    """Refuse a second position in an instrument or in its micro or full sibling."""
    can_add = case.config.can_add_to_position
    limit = float(case.config.max_positions) if can_add else 0.0
    same = _alike(case) if case.positions else []
    if not same:
        return make_check("same_symbol", 0.0, limit, "positions", True, ("nothing like {} is held", case.traded))
    return make_check("same_symbol", float(len(same)), limit, "positions", can_add, f"already held: {', '.join(same)}")


def _alike(case: Case) -> list[str]:
    family = case.families[case.traded]
    return [
        symbol
        for symbol, position in case.positions.items()
        if symbol == case.traded
        or position.tape == case.intent.symbol
        or (family is not None and case.families[symbol] is family)
    ]


def check_working_entries(case: Case) -> Check:
    """Refuse when as many entries are working as may."""
    limit, working = case.config.max_working_entries, case.view.working_entries
    if not is_known(working):
        return make_check("working_entries", NAN, float(limit), "orders", False, "the working entries were unknown")
    count = working + 1
    note = ("with this one there would be {} working entries, allowed are {}", count, limit)
    return make_check("working_entries", float(count), float(limit), "orders", count <= limit, note)


def check_sector(case: Case) -> Check:
    """Refuse when a group of the symbol would hold more symbols than it may; a symbol without a word on its groups as well."""
    limit, sectors = case.config.max_per_sector, case.config.sectors
    groups = sectors.get(case.traded)
    if limit is None or groups is None:
        unnamed = f"risk.sectors does not say which groups {case.traded} belongs to"
        return make_check("sector", NAN, NAN if limit is None else float(limit), "symbols", False, unnamed)
    others = (case.positions.keys() | case.view.working_units.keys()) - {case.traded}
    members = {group: sorted(s for s in others if group in sectors.get(s, ())) for group in groups}
    fullest = max(members, key=lambda group: (len(members[group]), group), default="")
    count = 1 + len(members.get(fullest, ())) if fullest else 0
    listed = ", ".join(members.get(fullest, ())) or "nothing"
    note = ("with {} the group '{}' ({}) would have {} symbols, allowed are {}", case.traded, fullest, listed, count, limit)
    return make_check("sector", float(count), float(limit), "symbols", count <= limit, note)


def of_size(rule: CheckRule) -> CheckRule:
    """Make a check of nothing but the size, the instrument and the tier once for each size."""
    name = rule.__name__

    @wraps(rule)
    def look(case: Case) -> Check:
        made = case.size.checks
        check = made.get(name)
        if check is None:
            check = made[name] = rule(case)
        return check

    return look


def _times(amount: Decimal | None, quantity: int) -> Decimal | None:
    # one unit at least: a limit is a reason to refuse only when even the smallest order is beyond it
    return None if amount is None else amount * max(1, quantity)


@of_size
def check_loss_at_stop(case: Case) -> Check:
    """Refuse when even one unit, stopped out with fees and slippage, would lose more than the day may still lose."""
    size = case.size
    room, loss = size.room, _times(size.stop_loss, size.quantity)
    passed = room is not None and loss is not None and loss <= room
    note = (
        "{} {} would lose {} at the stop, costs included; {} may still be lost today",
        max(1, size.quantity),
        case.traded,
        loss,
        room,
    )
    return make_check("loss_at_stop", number(loss), number(room), case.currency, passed, note)


@of_size
def check_side_exposure(case: Case) -> Check:
    """Refuse when even one unit would take the value of a side beyond its multiple of equity."""
    size, limit = case.size, case.config.max_side_exposure_frac
    held, unit, equity = size.side_value, size.value, case.equity
    if limit is None or held is None or unit is None or equity is None or equity <= 0:
        return make_check(
            "side_exposure", NAN, number(limit), "x equity", False, "the value of this side or the equity was unknown"
        )
    after = held + unit * max(1, size.quantity)
    side = "long" if case.intent.side is Side.BUY else "short"
    words = (
        "{} {} would make the {} side {}, allowed are {} times the equity of {}",
        max(1, size.quantity),
        case.traded,
        side,
        after,
        str(limit),
        equity,
    )
    return make_check("side_exposure", float(after / equity), float(limit), "x equity", after <= limit * equity, words)


@of_size
def check_position_value(case: Case) -> Check:
    """Refuse when even one unit would take the value held of a symbol beyond its fraction of equity."""
    size, limit = case.size, case.config.max_position_frac
    held, unit, equity = size.symbol_value, size.value, case.equity
    if limit is None or held is None or unit is None or equity is None or equity <= 0:
        note = f"the value of {case.traded} or the equity was unknown"
        return make_check("position_value", NAN, number(limit), "x equity", False, note)
    after = held + unit * max(1, size.quantity)
    words = (
        "{} {} would make its value {}, allowed are {} of the equity of {}",
        max(1, size.quantity),
        case.traded,
        after,
        str(limit),
        equity,
    )
    return make_check("position_value", float(after / equity), float(limit), "x equity", after <= limit * equity, words)


def check_short(case: Case) -> Check:
    """Refuse an entry that sells, where short positions are not allowed."""
    is_short = case.intent.side is Side.SELL
    note = "risk.can_short is false, and this entry sells" if is_short else "this entry buys"
    return make_check("short", float(is_short), 0.0, "shorts", not is_short, note)


@of_size
def check_risk_per_trade(case: Case) -> Check:
    """Refuse when even one unit would risk more of the balance than `max_risk_frac`."""
    size = case.size
    limit, loss = size.risk_limit, _times(size.stop_loss, size.quantity)
    passed = limit is not None and loss is not None and loss <= limit
    note = (
        "{} {} would lose {} at the stop; {} of the balance is {}",
        max(1, size.quantity),
        case.traded,
        loss,
        str(case.config.max_risk_frac),
        limit,
    )
    return make_check("risk_per_trade", number(loss), number(limit), case.currency, passed, note)


@of_size
def check_size(case: Case) -> Check:
    """Refuse when less than one unit is left."""
    size = case.size
    is_unknown = size.wanted is None or None in size.caps.values()
    value = NAN if is_unknown else float(size.quantity)
    note = ("{}", size) if case.tier is None else ("tier {}: {}", case.tier.name, size)
    return make_check("size", value, 1.0, "units", size.quantity >= 1, note)


@of_size
def check_cost_to_reward(case: Case) -> Check:
    """Refuse when the target is not worth its costs."""
    multiple = case.config.min_reward_to_cost
    cost, reward = case.size.cost, case.size.reward
    if multiple == 0:
        note = ("no reward is asked for; a round trip costs {} a unit", cost)
        return make_check("cost_to_reward", number(reward), 0.0, case.currency, cost is not None, note)
    least = None if cost is None else cost * multiple
    passed = reward is not None and least is not None and reward >= least
    terms = ("the target is worth {} a unit; {} round trips of {} are {}", reward, str(multiple), cost, least)
    return make_check("cost_to_reward", number(reward), number(least), case.currency, passed, terms)


@of_size
def check_margin_per_unit(case: Case) -> Check:
    """Refuse when the broker's margin is not known or above the limit of this instrument: a high-margin day."""
    margin, limit = case.size.margin, case.size.margin_limit
    passed = margin is not None and limit is not None and margin <= limit
    note = ("the margin of {} was {}, traded up to {}", case.traded, margin, limit)
    return make_check("margin_per_unit", number(margin), number(limit), case.currency, passed, note)


@of_size
def check_margin_balance(case: Case) -> Check:
    """Refuse when the margin of all positions with this one exceeds its share of the balance."""
    size = case.size
    room, needed = size.margin_room, _times(size.margin, size.quantity)
    passed = needed is not None and room is not None and needed <= room
    note = ("{} {} needs {} of margin; {} is free for it", max(1, size.quantity), case.traded, needed, room)
    return make_check("margin_balance", number(needed), number(room), case.currency, passed, note)


def check_order_rate(case: Case) -> Check:
    """Refuse when this order and its protective children would be more orders than a minute allows."""
    limit, sent = case.config.max_orders_per_minute, case.view.orders_last_minute
    if not is_known(sent):
        return make_check("order_rate", NAN, float(limit), "orders/min", False, "the order count was unknown")
    bracket = case.intent.bracket
    count = sent + 1 + (0 if bracket is None else 1 + (bracket.target_ticks is not None))
    note = ("with this one and its children {} orders in a minute, allowed are {}", count, limit)
    return make_check("order_rate", float(count), float(limit), "orders/min", count <= limit, note)


ENTRY_CHECKS: tuple[CheckRule, ...] = (
    check_kill_switch,
    check_trading_state,
    check_numbers,
    check_health,
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


def with_portfolio_checks(config: RiskConfig, checks: Sequence[CheckRule]) -> tuple[CheckRule, ...]:
    """Return the checks with those of portfolios, where such limits are set; they stand before the loss at the stop."""
    asked = {
        check_short: not config.can_short,
        check_sector: config.max_per_sector is not None,
        check_side_exposure: config.max_side_exposure_frac is not None,
        check_position_value: config.max_position_frac is not None,
    }
    extra = [rule for rule, is_asked in asked.items() if is_asked and rule not in checks]
    place = checks.index(check_loss_at_stop) if check_loss_at_stop in checks else len(checks)
    return (*checks[:place], *extra, *checks[place:])


FINAL_CHECKS = frozenset({check_kill_switch, check_trading_state})
"""After a failure of one of these no other check is asked."""

PURE_CHECKS = frozenset(
    {*ENTRY_CHECKS, check_short, check_sector, check_side_exposure, check_position_value},
)
"""Those that look at their case alone: asked later about the same case, they say the same."""

LIKELY_CHECKS: tuple[CheckRule, ...] = (check_positions, check_excluded_window, check_loss_at_stop)
"""What refuses most candidates: asked first by a door that stops at the first failure, since the verdict is the same."""
