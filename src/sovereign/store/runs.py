"""The run ledger: who ran what on which data, and how often it was tried.

Every backtest, evidence and stress run is recorded. Runs that differ in configuration, code or seed are different trials; the
same thing run twice is one trial, because repeating it cannot pick a lucky result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from sovereign.core.errors import NotFoundError, UsageError, suggestion
from sovereign.core.instrument import AssetClass, Instrument
from sovereign.core.session import from_ns
from sovereign.store import schema
from sovereign.store.database import Database, money
from sovereign.store.process import ProcessIdentity, is_gone, this_process

_MOST_TRIALS = 200  # bounds the memory of a comparison, not its verdict: older trials still count as trials


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON-ready value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def make_run_id(strategy: str, started_ns: int, config_hash: str) -> str:
    """Return a run's name: strategy, UTC second and the first characters of the configuration's digest."""
    return f"{strategy}-{from_ns(started_ns):%Y%m%dT%H%M%S}-{config_hash[:6]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What is known when a run begins.

    Parameters
    ----------
    id : name of the run; `Store.begin_run` appends `-2`, `-3` when it is taken.
    kind : `backtest`, `replay`, `demo`, `evidence`, `stress`, `paper` or `live`.
    config : the whole configuration as JSON-ready values.
    zone : IANA name of the exchange's time zone.
    stop_ticks, target_ticks : bracket assumed for refused candidates that have none of their own; None when there is none.
    parent_id : the run that a stress or evidence run was made from. account : the broker's account of a paper or live run.
    """

    id: str
    kind: str
    strategy: str
    symbols: tuple[str, ...]
    start: date | None
    end: date | None
    zone: str
    config: Mapping[str, Any]
    config_hash: str
    code_hash: str
    data_hash: str
    seed: int | None
    fill_model: str
    is_simulated: bool
    starting_balance: Decimal
    started_ns: int
    instruments: Sequence[Instrument] = ()
    stop_ticks: int | None = None
    target_ticks: int | None = None
    parent_id: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as the ledger holds it; `summary` is empty until it has finished.

    `status` is `running`, then `finished` or what befell it; `dead` is a run that began in a process that is no more.
    """

    key: int
    record: RunRecord
    status: str
    finished_ns: int | None
    summary: Mapping[str, Any]
    daily_sharpe: float | None
    verdict: str | None
    report_path: str | None

    @property
    def id(self) -> str:
        """The run's name."""
        return self.record.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """How often a strategy was tried on the same data: all `runs`, the `distinct` ones, and their daily Sharpe ratios.

    `returns` are the daily returns of the newest distinct trials by trade date.
    """

    runs: int
    distinct: int
    sharpes: tuple[float, ...] = field(default=())
    returns: tuple[Mapping[str, float], ...] = field(default=())


def instrument_detail(instrument: Instrument) -> str:
    """Return an instrument as JSON text, exact."""
    return json.dumps(
        {
            name: (money(value) if isinstance(value, Decimal) else value)
            for name in Instrument.__slots__
            if (value := getattr(instrument, name)) is not None
        }
    )


def instrument_of(detail: str) -> Instrument:
    """Return the instrument that `instrument_detail` wrote."""
    plain = json.loads(detail)
    for name in ("tick_size", "tick_value", "day_margin", "overnight_margin", "margin_frac", "fee_per_side"):
        if name in plain:
            plain[name] = Decimal(plain[name])
    return Instrument(**{**plain, "asset_class": AssetClass(plain["asset_class"])})


def insert_run(database: Database, record: RunRecord) -> tuple[int, str]:
    """Write a run that begins; returns its key and its final name."""
    me = this_process()
    with database.writing() as connection:
        database.lock(connection, "runs")
        name, count = record.id, 1
        while connection.execute(select(schema.runs.c.key).where(schema.runs.c.id == name)).first():
            count += 1
            name = f"{record.id}-{count}"
        key = database.insert_one(
            connection,
            schema.runs,
            {
                "id": name,
                "kind": record.kind,
                "parent_id": record.parent_id,
                "strategy": record.strategy,
                "symbols": json.dumps(record.symbols),
                "start_date": record.start.isoformat() if record.start else None,
                "end_date": record.end.isoformat() if record.end else None,
                "zone": record.zone,
                "config": json.dumps(record.config, default=str),
                "config_hash": record.config_hash,
                "code_hash": record.code_hash,
                "data_hash": record.data_hash,
                "seed": record.seed,
                "fill_model": record.fill_model,
                "is_simulated": record.is_simulated,
                "starting_balance": money(record.starting_balance),
                "stop_ticks": record.stop_ticks,
                "target_ticks": record.target_ticks,
                "status": "running",
                "started_ns": record.started_ns,
                "account": record.account,
                "pid": me.pid,
                "host": me.host,
                "process_token": me.token,
            },
        )
        details = [(key, instrument.symbol, instrument_detail(instrument)) for instrument in record.instruments]
        database.insert(connection, schema.run_instruments, ("run_key", "symbol", "detail"), details)
    return key, name


def to_run(row: Any, instruments: Sequence[Instrument] = ()) -> StoredRun:
    """Turn a row of `runs` into a value."""
    return StoredRun(
        key=row.key,
        record=RunRecord(
            id=row.id,
            kind=row.kind,
            strategy=row.strategy,
            symbols=tuple(json.loads(row.symbols)),
            start=date.fromisoformat(row.start_date) if row.start_date else None,
            end=date.fromisoformat(row.end_date) if row.end_date else None,
            zone=row.zone,
            config=json.loads(row.config),
            config_hash=row.config_hash,
            code_hash=row.code_hash,
            data_hash=row.data_hash,
            seed=row.seed,
            fill_model=row.fill_model,
            is_simulated=bool(row.is_simulated),
            starting_balance=Decimal(row.starting_balance),
            started_ns=row.started_ns,
            instruments=tuple(instruments),
            stop_ticks=row.stop_ticks,
            target_ticks=row.target_ticks,
            parent_id=row.parent_id,
            account=row.account,
        ),
        status="dead" if _is_abandoned(row) else row.status,
        finished_ns=row.finished_ns,
        summary=json.loads(row.summary) if row.summary else {},
        daily_sharpe=row.daily_sharpe,
        verdict=row.verdict,
        report_path=row.report_path,
    )


def _is_abandoned(row: Any) -> bool:
    if row.status != "running" or row.pid is None:
        return False
    return is_gone(ProcessIdentity(pid=row.pid, host=row.host, token=row.process_token))


def find_run(connection: Connection, name: str) -> Any:
    """Return the row of a run by its name, a prefix that only it has, or `last`.

    Raises
    ------
    NotFoundError : no run has that name. UsageError : several runs begin with it.
    """
    runs = schema.runs
    if name == "last":
        row = connection.execute(select(runs).order_by(runs.c.key.desc()).limit(1)).first()
        if row is None:
            raise NotFoundError("run was 'last', but the ledger is empty; run a backtest first")
        return row
    exact = connection.execute(select(runs).where(runs.c.id == name)).first()
    if exact is not None:
        return exact
    found = connection.execute(select(runs).where(runs.c.id.startswith(name, autoescape=True)).order_by(runs.c.key)).all()
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(row.id for row in found[-5:])
        raise UsageError(f"run was '{name}', which {len(found)} runs begin with ({some}); give more of the name")
    known = [row.id for row in connection.execute(select(runs.c.id).order_by(runs.c.key.desc()).limit(200))]
    raise NotFoundError(f"run was '{name}'{suggestion(name, known)}, which is not in the ledger; see 'sovereign runs list'")


def count_trials(connection: Connection, strategy: str, data_hash: str) -> Trials:
    """Count the trials of a strategy on one set of data, and on recorded data that shares dates of the same symbols with it.

    Otherwise a range a day shorter would forget everything that was tried. `returns` are those on the very same data.
    """
    runs = schema.runs.c
    same = runs.data_hash == data_hash
    ranges = connection.execute(
        select(runs.symbols, runs.start_date, runs.end_date)
        .where(runs.strategy == strategy, same, runs.is_simulated.is_(False), runs.start_date.is_not(None))
        .distinct()
    ).all()
    shares = [
        and_(
            runs.is_simulated.is_(False),
            runs.symbols == r.symbols,
            runs.start_date <= r.end_date,
            runs.end_date >= r.start_date,
        )
        for r in ranges
    ]
    rows = connection.execute(
        select(runs.key, runs.config_hash, runs.code_hash, runs.seed, runs.daily_sharpe, same.label("is_same"))
        .where(runs.strategy == strategy, or_(same, *shares))
        .order_by(runs.key)
    ).all()
    distinct: dict[tuple[Any, ...], float | None] = {}
    newest: dict[tuple[Any, ...], int] = {}
    for row in rows:
        trial = (row.config_hash, row.code_hash, row.seed)
        if row.is_same:
            newest[trial] = row.key
        if distinct.get(trial) is None:
            distinct[trial] = row.daily_sharpe
    return Trials(
        runs=len(rows),
        distinct=len(distinct),
        sharpes=tuple(sharpe for sharpe in distinct.values() if sharpe is not None),
        returns=_returns(connection, list(newest.values())[-_MOST_TRIALS:]),
    )


def _returns(connection: Connection, keys: Sequence[int]) -> tuple[Mapping[str, float], ...]:
    sessions = schema.sessions.c
    rows = connection.execute(
        select(sessions.run_key, sessions.trade_date, sessions.start_balance, sessions.end_balance).where(
            sessions.run_key.in_(keys), sessions.end_balance.is_not(None)
        )
    )
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        start = Decimal(row.start_balance)
        if start > 0:
            found.setdefault(row.run_key, {})[row.trade_date] = float(Decimal(row.end_balance) / start - 1)
    return tuple(found[key] for key in keys if key in found)
