"""Commands at the engine: what each does, and the answer, which is a notice with the command's id.

Whoever gives it, a command takes the way of everything else: halts latch at the door in the name of who asked, orders pass its
checks. Refusals say what was wrong; nothing is carried out twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sovereign.core.command import Command, CommandKind
from sovereign.core.decision import Approved, Proposal, Refused
from sovereign.core.errors import SovereignError, UsageError, suggestion
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.order import Bracket, OrderIntent, OrderRole, Side
from sovereign.core.position import Position
from sovereign.engine.desk import closing

if TYPE_CHECKING:
    from sovereign.engine.engine import Engine

PERSON = "MANUAL"
OPERATOR = "operator"


class CommandDesk:
    """Carries out commands on one engine, each id once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: set[str] = set()
        # By traded symbol: what to open once it is flat, and the order that is to make it so.
        self._flips: dict[str, tuple[Command, str]] = {}
        self._acts: dict[CommandKind, Callable[[Command], str]] = {
            CommandKind.HALT: self._halt,
            CommandKind.REDUCE: self._reduce,
            CommandKind.RESUME: self._resume,
            CommandKind.FLATTEN: self._flatten,
            CommandKind.CANCEL: self._cancel,
            CommandKind.TRADE: self._trade,
            CommandKind.RECONCILE: lambda _: "the broker is asked",
            CommandKind.STOP: lambda _: "the session ends; positions and orders stay as they are",
        }

    def start_session(self) -> None:
        """Forget the ids and the wishes of the session before."""
        self._known.clear()
        self._flips.clear()

    def take(self, command: Command) -> None:
        """Carry out a command and answer it; one whose id is known has been answered already."""
        if command.command_id in self._known:
            return
        self._known.add(command.command_id)
        try:
            text = self._acts[command.kind](command)
        except SovereignError as refusal:
            self._answer(command, NoticeCode.COMMAND_REFUSED, Severity.WARNING, str(refusal))
        else:
            severity = Severity.WARNING if command.kind in (CommandKind.HALT, CommandKind.FLATTEN) else Severity.INFO
            self._answer(command, NoticeCode.COMMAND_TAKEN, severity, text)

    def after_fill(self) -> None:
        """Open what a flip waits to open, now that something has closed."""
        for symbol in [s for s in self._flips if s not in self._engine.positions]:
            command, _ = self._flips.pop(symbol)
            try:
                self._open(command)
            except SovereignError as refusal:
                self._answer(command, NoticeCode.COMMAND_REFUSED, Severity.WARNING, str(refusal))

    def after_reports(self) -> None:
        """Give up the flips whose closing order is over while the position is not: it was rejected, canceled or expired."""
        for symbol, (command, closing_id) in list(self._flips.items()):
            order = self._engine.executor.find(closing_id)
            if symbol in self._engine.positions and (order is None or order.status.is_closed):
                self._give_up(symbol, command, "is gone" if order is None else f"is {order.status}")

    def _give_up(self, symbol: str, command: Command, why: str) -> None:
        self._flips.pop(symbol, None)
        held = self._engine.positions[symbol].quantity
        text = (
            f"the flip of {symbol} is given up: the order that was to close it {why}, and {held} are still held; its stops "
            f"were canceled, so look after it: ask again, or flatten it"
        )
        self._answer(command, NoticeCode.COMMAND_REFUSED, Severity.ALARM, text)

    def _answer(self, command: Command, code: NoticeCode, severity: Severity, text: str) -> None:
        self._engine.notice(
            Notice(
                ts=self._engine.now_ns,
                code=code,
                severity=severity,
                subject=command.command_id,
                text=f"{command.kind} by {command.by}: {text}",
                values={"kind": command.kind.value, "by": command.by, "reason": command.reason, **command.arguments},
            )
        )

    def _halt(self, command: Command) -> str:
        self._flips.clear()
        self._engine.halt(command.arguments.get("cause", OPERATOR), command.by, command.reason)
        return "everything is canceled and closed, nothing is opened until resumed"

    def _reduce(self, command: Command) -> str:
        self._flips.clear()
        self._engine.reduce(command.arguments.get("cause", OPERATOR), command.by, command.reason)
        return "nothing is opened until resumed"

    def _resume(self, command: Command) -> str:
        causes = tuple(part.strip() for part in command.arguments.get("causes", "").split(",") if part.strip())
        wanted = [causes] if causes or "causes" not in command.arguments else []
        if _flag(command, "kill"):
            wanted.append(("kill",))  # named: the door clears a kill with nothing else
        refusals: list[UsageError] = []
        for some in wanted:
            try:
                self._engine.resume(command.by, command.reason, some)
            except UsageError as refusal:
                refusals.append(refusal)
        if len(refusals) == len(wanted) and refusals:
            raise refusals[-1]
        return f"trading is {self._engine.state}"

    def _flatten(self, command: Command) -> str:
        symbol = command.arguments.get("symbol")
        cause = f"flatten by {command.by}"
        if symbol is None:
            self._flips.clear()
            orders, positions = sum(1 for _ in self._engine.executor.working()), len(self._engine.positions)
            self._engine.flatten(cause)
            return f"{orders} orders are being canceled and {positions} positions closed"
        self._flips.pop(symbol, None)
        if symbol not in self._engine.positions and all(o.instrument.symbol != symbol for o in self._engine.executor.working()):
            raise UsageError(f"symbol was '{symbol}'; nothing of it is open{_open_ones(self._engine.positions, symbol)}")
        self._engine.close(symbol, cause)
        return f"orders in {symbol} are being canceled and its position closed"

    def _cancel(self, command: Command) -> str:
        wanted = _argument(command, "order")
        order = next((o for o in self._engine.executor.working() if o.client_order_id == wanted), None)
        if order is None:
            working = [o.client_order_id for o in self._engine.executor.working()]
            raise UsageError(f"order was '{wanted}', which is not working{suggestion(wanted, working)}")
        self._engine.cancel(order)
        return f"the cancel of {wanted} was requested"

    def _trade(self, command: Command) -> str:
        symbol, side = self._symbol(command), _side(command)
        against = self._against(symbol, side)
        if against is None:
            return self._open(command)
        if _flag(command, "dry_run"):
            return f"{against.quantity} {against.instrument.symbol} would be closed first"
        if not _flag(command, "flip"):
            raise UsageError(
                f"{against.quantity} {against.instrument.symbol} is held; ask with flip to close and turn it, or flatten it"
            )
        traded = against.instrument.symbol
        for order in list(self._engine.executor.working()):
            if order.instrument.symbol == traded:
                self._engine.cancel(order)
        outcome = self._engine.propose(closing(against, f"flip by {command.by}", OrderRole.EXIT), against)
        if isinstance(outcome, Refused):
            raise UsageError(f"the close was refused by {outcome.check}: {outcome.reason}")
        if outcome is None:
            raise UsageError("there is no session; wait until one is open")
        leaving = [o for o in self._engine.executor.working() if o.instrument.symbol == traded and o.role is OrderRole.EXIT]
        self._flips[traded] = (command, leaving[-1].client_order_id if leaving else "")
        return f"{against.quantity} {traded} is being closed; {side} follows when it is flat"

    def _open(self, command: Command) -> str:
        engine, symbol, side = self._engine, self._symbol(command), _side(command)
        quantity = _number(command, "qty")
        usual = engine.strategy.usual_bracket(engine.instruments[symbol])
        stop = _number(command, "stop_ticks") or (usual.stop_ticks if usual else None)
        target = _number(command, "target_ticks") or (usual.target_ticks if usual else None)
        intent = OrderIntent(
            symbol=symbol,
            side=side,
            quantity=quantity,
            bracket=None if stop is None else Bracket(stop_ticks=stop, target_ticks=target),
            reason=command.reason or f"by {command.by}",
        )
        proposal = Proposal(
            name=PERSON,
            symbol=symbol,
            side=side,
            strength=1.0,
            confidence=1.0,
            inputs={"by": command.by, "command_id": command.command_id},
            checks=(),
            intent=intent,
        )
        is_dry = _flag(command, "dry_run")
        outcome = engine.judge(proposal) if is_dry else engine.propose(proposal)
        if isinstance(outcome, Approved):
            would = "would be" if is_dry else "is"
            return f"{side} {outcome.quantity} {outcome.symbol} {would} sent{', resized' if outcome.was_resized else ''}"
        if isinstance(outcome, Refused):
            raise UsageError(f"refused by {outcome.check}: {outcome.reason}")
        raise UsageError("there is no session; wait until one is open")

    def _symbol(self, command: Command) -> str:
        symbol, instruments = _argument(command, "symbol"), self._engine.instruments
        found = [name for name, item in instruments.items() if symbol in (name, item.root)]
        if not found:
            raise UsageError(f"symbol was '{symbol}'; traded in this session are {', '.join(instruments) or 'none'}")
        return found[0]

    def _against(self, symbol: str, side: Side) -> Position | None:
        for position in self._engine.positions.values():
            if position.tape == symbol and position.quantity * side.sign < 0:
                return position
        return None


def _argument(command: Command, name: str) -> str:
    value = command.arguments.get(name, "").strip()
    if not value:
        raise UsageError(f"{command.kind} had no '{name}'; give it")
    return value


def _flag(command: Command, name: str) -> bool:
    return command.arguments.get(name, "").lower() in ("1", "true", "yes")


def _number(command: Command, name: str) -> int | None:
    text = command.arguments.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{name} was '{text}'; allowed is a whole number of at least 1")
    return int(text)


def _side(command: Command) -> Side:
    text = _argument(command, "side").upper()
    if text not in set(Side):
        raise UsageError(f"side was '{text}'; allowed are {', '.join(Side)}")
    return Side(text)


def _open_ones(positions: Mapping[str, Position], symbol: str) -> str:
    return suggestion(symbol, positions) or (f"; open is {', '.join(positions)}" if positions else "")
