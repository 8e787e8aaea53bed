"""`sovereign explain DECISION`: why a candidate was taken or refused, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from

if TYPE_CHECKING:
    from sovereign.store.store import StoredDecision


def command(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="Id of a decision; RUN:ID when several runs have it.")],
    run: Annotated[str | None, typer.Option("--run", help="Look in this run only: name, prefix or 'last'.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a decision: what it saw, every check with limit and value, the verdict, and what followed."""
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        found = store.decision(decision, run)
    emit(_plain(found), as_json, lambda _: _text(found))


def _plain(found: StoredDecision) -> dict[str, Any]:
    from dataclasses import fields

    from sovereign.research.ledger import trade_to_plain

    plain = {field.name: getattr(found, field.name) for field in fields(found)}
    plain["trade"] = trade_to_plain(found.trade) if found.trade else None
    return plain


def _time(ts: int, zone: str) -> str:
    from sovereign.core.session import from_ns

    return f"{from_ns(ts, zone):%Y-%m-%d %H:%M:%S.%f %Z}"


def _text(found: StoredDecision) -> str:
    from sovereign.app.cli.runs import columns
    from sovereign.core.instrument import find_instrument

    head = f"{found.decision_id}: {found.name} {found.side} {found.symbol}, {found.verdict}"
    if found.quantity is not None:
        head += f" {found.quantity} {found.traded_symbol}"
    lines = [head, f"  at {_time(found.ts, found.zone)}, run {found.run_id}"]
    strength, confidence = (f"{value:.3f}" if value is not None else "unknown" for value in (found.strength, found.confidence))
    lines.append(f"  strength {strength}, confidence {confidence}")
    if found.reason:
        lines.append(f"  refused by {found.failed_check}: {found.reason.removeprefix(f'{found.failed_check}: ')}")
    if found.inputs:
        lines += [
            "",
            f"prices are in ticks of {find_instrument(found.symbol).tick_size}",
            columns(("input", "value"), [(name, _value(value)) for name, value in found.inputs.items()], frozenset({1})),
        ]
    rows = [
        ("passed" if check.passed else "FAILED", check.name, _value(check.value), _value(check.limit), check.unit, check.note)
        for check in found.checks
    ]
    lines += ["", columns(("check", "name", "value", "limit", "unit", "note"), rows, frozenset({2, 3}))]
    lines += _followed(found)
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, float):
        return "unknown" if value != value else f"{value:,.6g}"  # noqa: PLR0124 - NaN is not equal to itself
    return str(value)


def _followed(found: StoredDecision) -> list[str]:
    lines: list[str] = []
    for order in found.orders:
        price = order["limit_ticks"] if order["limit_ticks"] is not None else order["stop_ticks"]
        asked = f" at {price} ticks" if price is not None else ""
        lines.append(
            f"  order {order['client_order_id']}: {order['role']} {order['side']} {order['quantity']} {order['symbol']} "
            f"{order['order_type']}{asked}, {order['status']}, {order['filled_qty']} filled"
        )
    lines.extend(
        f"  fill  {_time(fill['ts'], found.zone)}: {fill['side']} {fill['quantity']} at {fill['price_ticks']} ticks, "
        f"slippage {fill['slippage_ticks']}, fee {fill['fee']} USD{', ambiguous' if fill['is_ambiguous'] else ''}"
        for fill in found.fills
    )
    if found.trade is not None:
        trade = found.trade
        lines.append(
            f"  trade {trade.trade_id}: closed by {trade.exit_role} at {_time(trade.exit_ns, found.zone)}, "
            f"gross {trade.gross}, fees {trade.fees}, net {trade.net} USD"
        )
    outcome = found.would_have_made
    if outcome is not None:
        lines.append(
            f"  would have made {outcome.ticks:+d} ticks, {found.would_have_net} USD after fees with one {found.symbol}, by "
            f"{outcome.exit_kind} at {_time(outcome.exit_ns, found.zone)} (estimate on bars, stop first)"
        )
    elif found.verdict == "REFUSED":
        lines.append("  what it would have made is not known: no direction, no bracket, or no later bars were kept")
    return ["", *lines] if lines else []
