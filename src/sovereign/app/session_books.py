"""What a session writes into the store about itself: that it began, as a run of the ledger, what it left, and its digest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sovereign.app.past_sessions import ENDED
from sovereign.app.plan import kept_settings, now_ns
from sovereign.core.errors import NotFoundError

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.notify.router import AlertRouter
    from sovereign.app.ops.redaction import Redactor
    from sovereign.app.task import Task
    from sovereign.app.warm_up import EarlierData
    from sovereign.core.instrument import Instrument
    from sovereign.core.port import Strategy
    from sovereign.core.session import Session
    from sovereign.engine.conductor import Conductor
    from sovereign.engine.inputs import Opening
    from sovereign.engine.live import Ending
    from sovereign.research.backtest import Recipe
    from sovereign.risk.door import OneDoor
    from sovereign.store.store import Store

_logger = logging.getLogger("sovereign.session")


class SessionBooks:
    """One session's place in the store.

    Parameters
    ----------
    redact : hides secrets in whatever is written.
    """

    def __init__(
        self,
        settings: Settings,
        task: Task,
        recipe: Recipe,
        strategy: Strategy,
        store: Store,
        alerts: AlertRouter,
        redact: Redactor,
    ) -> None:
        self._settings, self._task, self._recipe, self._strategy = settings, task, recipe, strategy
        self._store, self._alerts, self._redact = store, alerts, redact
        self.send_digest: Callable[[], None] = _nothing
        """Send the day's digest, the first time this is called."""

    def header(self, session: Session, warm: Sequence[Path], bars: EarlierData | None) -> dict[str, Any]:
        """Return what stands in the head of a session's recording."""
        from sovereign.research.runner import code_hash
        from sovereign.store.runs import digest

        task = self._task
        return {
            "strategy": task.strategy,
            "account": task.account,
            "broker": task.broker,
            "mode": task.mode,
            "trade_date": session.trade_date.isoformat(),
            "code": code_hash(),
            "settings": digest(kept_settings(self._settings)),
            "warm_up": [kept.name for kept in warm],
            **({} if bars is None else {"warm_up_bars": bars.name}),
        }

    def begin(
        self,
        name: str,
        session: Session,
        path: Path,
        header: Mapping[str, Any],
        instruments: Sequence[Instrument],
        is_simulated: bool,
        opening: Opening,
    ) -> str:
        """Write session and run to the store; a run that was cut off is written anew by the replay."""
        from sovereign.store.live import LiveSession as Kept
        from sovereign.store.runs import RunRecord

        task, recipe, started = self._task, self._recipe, now_ns()
        path.parent.mkdir(parents=True, exist_ok=True)
        usual = self._strategy.usual_bracket(instruments[0])
        record = RunRecord(
            id=name,
            kind=task.mode,
            strategy=task.strategy,
            symbols=tuple(instrument.symbol for instrument in instruments),
            start=session.trade_date,
            end=session.trade_date,
            zone=session.zone,
            config=kept_settings(self._settings),
            config_hash=str(header["settings"]),
            code_hash=str(header["code"]),
            data_hash=f"recording {name}",
            seed=None,
            fill_model=recipe.execution.fill_model.value,
            is_simulated=is_simulated,
            starting_balance=opening.balance,
            started_ns=started,
            instruments=tuple(instruments),
            stop_ticks=None if usual is None else usual.stop_ticks,
            target_ticks=None if usual is None else usual.target_ticks,
            account=task.account,
        )
        kept = Kept(
            id=name,
            account=task.account,
            strategy=task.strategy,
            mode=task.mode,
            trade_date=session.trade_date,
            recording_path=str(path),
            started_ns=started,
            code_hash=str(header["code"]),
            config_hash=str(header["settings"]),
            run_id=name,
        )
        # First the session: it refuses when another process trades it, and then nothing of the run is touched.
        self._store.live.begin_session(kept)
        try:
            self._store.delete_run(name)
        except NotFoundError:
            _logger.debug("run %s is new", name)
        run_id = self._store.begin_run(record)
        self.send_digest = once(partial(self._digest, run_id, session))
        return run_id

    def end(self, name: str, run_id: str, conductor: Conductor, ending: Ending, session: Session) -> None:
        """Leave to the next session what it needs, and say how this one ended."""
        from sovereign.store.session_state import HeldPosition, SessionState

        engine, task, ts = conductor.engine, self._task, now_ns()
        account = engine.account
        door = cast("OneDoor", engine.door)
        halts = [{"cause": h.cause, "reason": h.reason, "by": h.by, "ts": h.ts} for h in door.halts]
        if ending.is_closed:
            self._store.live.states.save(
                SessionState(
                    account=task.place,
                    strategy=task.strategy,
                    trade_date=session.trade_date,
                    updated_ns=ts,
                    balance=account.balance,
                    day_start_balance=account.day_start_balance,
                    high_water_mark=account.high_water_mark,
                    session_id=name,
                    trading_state=engine.state,
                    halts=halts,
                    positions=[
                        HeldPosition(symbol=symbol, tape=held.tape, quantity=held.quantity, cost_ticks=held.cost_ticks)
                        for symbol, held in engine.positions.items()
                    ],
                    door=engine.door.state(),
                    execution_cursor=ending.cursor,
                )
            )
        trades = self._store.trades(run_id)
        summary = {
            "trades": len(trades),
            "net": str(sum((trade.net for trade in trades), start=account.balance * 0)),
            "balance": str(account.balance),
            "reason": ending.reason,
        }
        status = "finished" if ending.is_closed else "stopped" if ending.exit_code == 0 else "failed"
        self._store.finish_run(run_id, finished_ns=ts, summary=summary, status=status)
        self._store.live.end_session(
            name, ended_ns=ts, status=ENDED if ending.is_closed else status, reason=self._redact(ending.reason)
        )
        if ending.is_closed:
            self.send_digest()  # a tape may end before the hour of the digest

    def _digest(self, run_id: str, session: Session) -> None:
        from sovereign.app.notify.digest import daily_digest, limits_of

        store = self._store
        day_start = store.run(run_id).record.starting_balance
        loss, profit = limits_of(self._recipe.risk, day_start, None)
        digest = daily_digest(store, run_id, session, loss_limit=loss, profit_target=profit, notices=())
        self._alerts.post(digest.alert(now_ns()))


def _nothing() -> None:
    """No session has begun."""


def once(act: Callable[[], object]) -> Callable[[], None]:
    """Return what does `act` the first time it is called, and nothing afterwards."""
    waiting = [act]

    def do() -> None:
        if waiting:
            waiting.pop()()

    return do
