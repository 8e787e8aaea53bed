"""`sovereign status | positions | trades | orders | halt | resume | flatten | reconcile | trade`, all through the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from
from sovereign.core.errors import NotFoundError, NotRunningError, SovereignError, UsageError

if TYPE_CHECKING:
    from sovereign.app.ops.desk import Answers, StoreDesk
    from sovereign.core.command import CommandKind
    from sovereign.store.store import Store

P = ParamSpec("P")

AccountOption = Annotated[str | None, typer.Option("--account", help="One account; default: all.")]
StrategyOption = Annotated[str | None, typer.Option("--strategy", help="One strategy; default: all.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who asks, for the record; default: user@machine.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.0, help="Longest wait for the answer, in seconds.")]
SessionArgument = Annotated[str, typer.Argument(help="Session id, a prefix that only it has, or 'last'.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Most rows, the newest.")]


@contextmanager
def _store(config: Path | None, overrides: Sequence[str] | None) -> Iterator[Store]:
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        yield store


@contextmanager
def _desk(config: Path | None, overrides: Sequence[str] | None) -> Iterator[StoreDesk]:
    from sovereign.app.ops.desk import StoreDesk

    with _store(config, overrides) as store:
        yield StoreDesk(store.live)


def _table(rows: Sequence[Mapping[str, Any]], nothing: str) -> str:
    if not rows:
        return nothing
    cells = [list(rows[0]), *([("" if value is None else str(value)) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)


def status(
    limit: LimitOption = 5, config: ConfigOption = None, overrides: SetOption = None, as_json: JsonOption = False
) -> None:
    """Show the sessions that run, the newest others, the guard, and every kill that holds."""
    with _store(config, overrides) as store:
        from sovereign.app.ops.desk import StoreDesk

        desk = StoreDesk(store.live)
        views = desk.views(limit)
        sessions = [
            {
                "session": view.session.id,
                "account": view.session.account,
                "strategy": view.session.strategy,
                "mode": view.session.mode,
                "status": view.session.status,
                "state": view.state.get("state"),
                "heartbeat_s": view.age_s,
                "feed_age_s": view.state.get("feed_age_s"),
                "positions": view.state.get("positions", {}),
                "pid": view.session.process.pid if view.session.process else None,
                "reason": view.session.reason,
            }
            for view in views
        ]
        guards = [
            {"guard": beat.process, "heartbeat_s": desk.age_s(beat), "is_gone": beat.is_gone, "pid": beat.identity.pid}
            for beat in desk.guards()
        ]
        latches = [
            {"account": latch.account, "set_ns": latch.set_ns, "by": latch.set_by, "reason": latch.reason}
            for latch in store.live.latches()
        ]
    result = {"sessions": sessions, "guards": guards, "kills": latches}

    def text(found: dict[str, Any]) -> str:
        rows = [{**row, "positions": _held(row["positions"])} for row in found["sessions"]]
        parts = [_table(rows, "no session has run yet; start one with 'sovereign run'")]
        parts.append(_table(found["guards"], "no guard has run; start one with 'sovereign guard'"))
        parts += [f"KILLED {row['account']} by {row['by']}: {row['reason']}" for row in found["kills"]]
        return "\n\n".join(parts)

    emit(result, as_json, text)


def _held(positions: Mapping[str, Any]) -> str:
    return ", ".join(f"{int(quantity):+d} {symbol}" for symbol, quantity in positions.items() if quantity) or "flat"


def positions(
    account: AccountOption = None, config: ConfigOption = None, overrides: SetOption = None, as_json: JsonOption = False
) -> None:
    """Show open positions: of running sessions as they last said, of others as they left them."""
    with _desk(config, overrides) as desk:
        found = desk.positions(account)
    emit(
        found,
        as_json,
        lambda rows: _table([{name: getattr(row, name) for name in row.__slots__} for row in rows], "no position is open"),
    )


def _run_of(store: Store, name: str) -> str:
    session = store.live.session(name)
    if session.run_id is None:
        raise NotFoundError(f"session '{session.id}' has no run in the ledger yet; its orders are in 'sovereign orders'")
    return session.run_id


def trades(
    session: SessionArgument = "last",
    limit: LimitOption = 50,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the closed round trips of a session."""
    from sovereign.core.session import from_ns

    with _store(config, overrides) as store:
        found = store.trades(_run_of(store, session))[-limit:]

    def text(rows: Any) -> str:
        lines = [
            {
                "closed": f"{from_ns(row.exit_ns):%Y-%m-%d %H:%M:%S} UTC",
                "symbol": row.instrument.symbol,
                "side": row.side,
                "quantity": row.quantity,
                "entry": f"{row.entry_ticks * float(row.instrument.tick_size):.{row.instrument.price_precision}f}",
                "exit": f"{row.exit_ticks * float(row.instrument.tick_size):.{row.instrument.price_precision}f}",
                "net": f"{row.net:,.2f}",
                "by": row.exit_role,
            }
            for row in rows
        ]
        return _table(lines, "no trade has been closed")

    emit(found, as_json, text)


def orders(
    session: SessionArgument = "last",
    limit: LimitOption = 50,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a session has asked of the broker: its write-ahead journal."""
    from sovereign.core.session import from_ns

    with _store(config, overrides) as store:
        found = store.live.requests(store.live.session(session).id)[-limit:]
    rows = [
        {
            "time": f"{from_ns(request.ts):%Y-%m-%d %H:%M:%S.%f} UTC",
            "request": request.request,
            "order": request.client_order_id,
            "symbol": request.order.instrument.symbol,
            "side": request.order.side,
            "type": request.order.order_type,
            "quantity": request.order.quantity,
            "role": request.order.role,
        }
        for request in found
    ]
    emit(rows, as_json, lambda lines: _table(lines, "nothing has been asked of the broker"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What every command that asks sessions for something is told beside its own options: whom, in whose name, and how long."""

    account: AccountOption = None
    strategy: StrategyOption = None
    by: ByOption = None
    reason: ReasonOption = ""
    timeout_s: TimeoutOption = 10.0
    config: ConfigOption = None
    overrides: SetOption = None
    as_json: JsonOption = False

    def ask(self, kind: CommandKind, arguments: Mapping[str, str] | None = None) -> None:
        """Put a request and say what was answered.

        Raises
        ------
        UsageError, NotRunningError, SovereignError : nothing was named, no session runs, or it refused.
        """
        from sovereign.app.ops.desk import somebody

        with _desk(self.config, self.overrides) as desk:
            answers = desk.ask(
                kind,
                by=self.by or somebody(),
                reason=self.reason,
                arguments=arguments,
                account=self.account,
                strategy=self.strategy,
                timeout_s=self.timeout_s,
            )
        emit(answers, self.as_json, _said)
        if answers.standing and not answers.cleared and not answers.asked:
            raise UsageError(answers.notes[0])
        if answers.asked and all(one.is_done is None for one in answers.asked):
            raise NotRunningError(f"no session runs; {kind} is kept and holds at the next start of 'sovereign run'")
        if refused := [one for one in answers.asked if one.is_done is False]:
            raise SovereignError(f"{kind} was refused: {refused[0].answer}")


def asking(**options: Any) -> Callable[[Callable[Concatenate[Asking, P], None]], Callable[..., None]]:
    """Give a command the options of `Asking` after its own, and hand it what they said.

    Parameters
    ----------
    options : annotations that say of one of them what this command alone does with it.
    """
    kinds = {**get_type_hints(Asking, include_extras=True), **options}
    shared = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=kinds[field.name])
        for field in fields(Asking)
    ]

    def decorate(command: Callable[Concatenate[Asking, P], None]) -> Callable[..., None]:
        own = list(signature(command, eval_str=True).parameters.values())[1:]

        def called(*args: Any, **given: Any) -> None:
            asked = Asking(**{one.name: given.pop(one.name) for one in shared if one.name in given})
            command(asked, *args, **given)

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__signature__ = Signature([*own, *shared])  # type: ignore[attr-defined]
        return called

    return decorate


def _said(answers: Answers) -> str:
    return "\n".join([*answers.notes, *(f"{one.account} {one.strategy or ''}: {one.answer}" for one in answers.asked)])


def _command(kind_name: str, text: str) -> Callable[..., None]:
    """Return the command that puts one kind of request and waits for its answer."""

    def command(asked: Asking) -> None:
        from sovereign.core.command import CommandKind

        asked.ask(CommandKind(kind_name))

    command.__doc__ = text
    return asking()(command)


halt = _command("HALT", "Cancel and close everything; nothing is opened until 'sovereign resume'. Holds over restarts.")


@asking(
    account=Annotated[
        str | None, typer.Option("--account", help="One account, whose kill is cleared as well; '*' clears the kill of all.")
    ]
)
def resume(
    asked: Asking,
    causes: Annotated[
        list[str] | None, typer.Option("--cause", help="Clear this halt alone, for example drawdown or kill; may be repeated.")
    ] = None,
) -> None:
    """Clear halts in the name of who asks, and trade again. A kill is cleared only when it is named.

    The kill of an account is named by the account, that of every account by --account '*', and all of them by --cause kill.
    """
    from sovereign.core.command import CommandKind

    asked.ask(CommandKind.RESUME, {"causes": ",".join(causes)} if causes else None)


flatten = _command("FLATTEN", "Cancel and close everything, and go on trading.")
reconcile = _command("RECONCILE", "Compare books with the broker now.")


@asking()
def trade(
    asked: Asking,
    symbol: Annotated[str, typer.Argument(help="What to trade: a symbol of the session.")],
    side: Annotated[str, typer.Argument(help="BUY or SELL.")],
    quantity: Annotated[
        int | None, typer.Option("--qty", min=1, help="Units; default: sized at the stop by the risk door.")
    ] = None,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Pass every check, say what would happen, send nothing.")] = False,
    is_flip: Annotated[bool, typer.Option("--flip", help="Close what is held the other way first.")] = False,
) -> None:
    """Place an order by hand in the running session: the same door, the same checks, the same record."""
    from sovereign.app.ops.desk import StoreDesk
    from sovereign.core.command import CommandKind
    from sovereign.core.order import Side

    if side.upper() not in set(Side):
        raise UsageError(f"side was '{side}'; allowed are {', '.join(Side)}")
    arguments = {"symbol": symbol, "side": side.upper()}
    if quantity is not None:
        arguments["qty"] = str(quantity)
    arguments |= {name: "true" for name, given in (("dry_run", is_dry), ("flip", is_flip)) if given}
    with _store(asked.config, asked.overrides) as store:
        running = StoreDesk(store.live).sessions(account=asked.account, strategy=asked.strategy)
    if len(running) > 1:
        names = ", ".join(f"--account {one.account} --strategy {one.strategy}" for one in running)
        raise UsageError(f"{len(running)} sessions run, and an order goes to one of them; choose it: {names}")
    asked.ask(CommandKind.TRADE, arguments)
