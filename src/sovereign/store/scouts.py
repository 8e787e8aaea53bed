"""What scouts saw, and the record of the tug of war, in the SQL store."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, UniqueConstraint, func, select

from sovereign.core.errors import UsageError, suggestion
from sovereign.core.news import NewsReading, PhraseCluster
from sovereign.core.tape import TapeSnapshot
from sovereign.store import scout_schema
from sovereign.store.database import Database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

_RECORDS = {
    table.name: table
    for table in (scout_schema.tug_signals, scout_schema.tug_results, scout_schema.tug_trades, scout_schema.regime_states)
}
_TABLES = {**_RECORDS, **{table.name: table for table in (scout_schema.ofi_snapshots, scout_schema.news_readings)}}
TABLE_NAMES = tuple(_TABLES)
"""The tables that `ScoutStore.latest` reads."""
_JSON = ("raw_data", "filings", "evidence")
_WORDS = {
    "bot": ("sovereign", "madman"),
    "direction": ("buy", "sell", "neutral"),
    "sovereign_direction": ("buy", "sell", "neutral"),
    "madman_direction": ("buy", "sell", "neutral"),
    "status": ("pending", "filled", "partially_filled", "canceled", "expired", "rejected"),
}


class ScoutStore:
    """Snapshots of the tape, readings of the news, and the strategy's own tables.

    What is written again for the same symbol and time takes the place of what was there, so that a restart doubles nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_snapshots(self, snapshots: Sequence[TapeSnapshot]) -> None:
        """Keep snapshots of the tape."""
        rows = [
            {
                "ts": one.ts,
                "symbol": one.symbol,
                "ofi_raw": _number(one.ofi),
                "ofi_z_score": _number(one.ofi_z),
                "queue_imbalance": _number(one.queue_imbalance),
                "queue_imbalance_z": _number(one.queue_imbalance_z),
                "bid_size": one.bid_size,
                "ask_size": one.ask_size,
                "mid_price": _number(one.mid),
                "iceberg_detected": one.is_absorption,
            }
            for one in snapshots
        ]
        self._replace(scout_schema.ofi_snapshots, rows)

    def snapshots(self, symbol: str, since_ns: int, until_ns: int) -> list[TapeSnapshot]:
        """Return the snapshots of a symbol with `since_ns < ts <= until_ns`, oldest first."""
        table = scout_schema.ofi_snapshots
        query = (
            select(table).where(table.c.symbol == symbol, table.c.ts > since_ns, table.c.ts <= until_ns).order_by(table.c.ts)
        )
        with self._database.reading() as connection:
            found = connection.execute(query).all()
        return [_snapshot(row) for row in found]

    def latest_snapshots(self, symbols: Sequence[str], until_ns: int) -> list[TapeSnapshot]:
        """Return the latest snapshot of each symbol at or before a time; nothing of a symbol that has none."""
        return [_snapshot(row) for row in self._latest(scout_schema.ofi_snapshots, symbols, until_ns)]

    def latest_readings(self, symbols: Sequence[str], until_ns: int) -> list[NewsReading]:
        """Return the latest reading of each symbol at or before a time; nothing of a symbol that has none."""
        return [_reading(row) for row in self._latest(scout_schema.news_readings, symbols, until_ns)]

    def _latest(self, table: Table, symbols: Sequence[str], until_ns: int) -> Sequence[Row[Any]]:
        last = (
            select(table.c.symbol, func.max(table.c.ts).label("ts"))
            .where(table.c.symbol.in_(symbols), table.c.ts <= until_ns)
            .group_by(table.c.symbol)
            .subquery()
        )
        query = select(table).join(last, (table.c.symbol == last.c.symbol) & (table.c.ts == last.c.ts)).order_by(table.c.symbol)
        with self._database.reading() as connection:
            return connection.execute(query).all()

    def add_reading(self, reading: NewsReading) -> None:
        """Keep a reading of the news, with its evidence."""
        evidence = {
            "terms": dict(reading.terms),
            "clusters": [asdict(cluster) for cluster in reading.clusters],
            "authors": reading.authors,
            "items": list(reading.items),
            "missing": dict(reading.missing),
        }
        row = {
            "ts": reading.ts,
            "symbol": reading.symbol,
            "bayesian_score": _number(reading.probability),
            "is_accepted": reading.is_accepted,
            "tone": _number(reading.tone),
            "filing_tone": _number(reading.filing_tone),
            "headline_tone": _number(reading.headline_tone),
            "post_tone": _number(reading.post_tone),
            "posts": reading.posts,
            "headlines": reading.headlines,
            "filings": json.dumps(list(reading.filings)),
            "evidence": json.dumps(evidence, sort_keys=True),
        }
        self._replace(scout_schema.news_readings, [row])

    def reading(self, symbol: str, until_ns: int) -> NewsReading | None:
        """Return the latest reading of a symbol at or before a time; None when there is none."""
        table = scout_schema.news_readings
        query = select(table).where(table.c.symbol == symbol, table.c.ts <= until_ns).order_by(table.c.ts.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _reading(row)

    def add(self, table: str, account: str, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Keep rows of `tug_signals`, `tug_results`, `tug_trades` or `regime_states`; return their keys.

        Rows have the table's columns but for `key` and `account`; a `raw_data` that is no text is written as JSON. An order
        (`client_order_id`), a regime (`ts`), a signal or a verdict (symbol, `ts` and bot) that is there already is replaced.

        Raises
        ------
        UsageError : no such table or column, or a word that the column does not allow.
        """
        if table not in _RECORDS:
            raise UsageError(f"table was '{table}'; allowed are {', '.join(_RECORDS)}")
        made = [self._row(_RECORDS[table], account, row) for row in rows]
        return self._replace(_RECORDS[table], made)

    def rows(self, table: str, account: str, since_ns: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """Return rows of one of the strategy's tables after a time, oldest first, the latest `limit` of them.

        Raises
        ------
        UsageError : no such table.
        """
        if table not in _RECORDS:
            raise UsageError(f"table was '{table}'; allowed are {', '.join(_RECORDS)}")
        kind = _RECORDS[table]
        query = (
            select(kind).where(kind.c.account == account, kind.c.ts > since_ns).order_by(kind.c.ts.desc(), kind.c.key.desc())
        )
        with self._database.reading() as connection:
            found = connection.execute(query.limit(limit)).mappings().all()
        return [dict(row) for row in reversed(found)]

    @staticmethod
    def columns(table: str) -> list[str]:
        """Return the names of the columns of one of `TABLE_NAMES`."""
        return [column.name for column in _TABLES[table].columns]

    def latest(
        self,
        table: str,
        *,
        account: str | None = None,
        symbols: Sequence[str] = (),
        until_ns: int | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return rows of one of `TABLE_NAMES`, newest first; what is kept as JSON comes as what it says.

        Parameters
        ----------
        account : only rows of it, in tables that have one; None: of all. symbols : only rows of these; none: of all.
        until_ns : only rows at or before it.

        Raises
        ------
        UsageError : no such table, or symbols for a table that has none.
        """
        if table not in _TABLES:
            raise UsageError(f"table was '{table}'{suggestion(table, TABLE_NAMES)}; allowed are {', '.join(TABLE_NAMES)}")
        kind = _TABLES[table]
        query = select(kind).order_by(kind.c.ts.desc(), kind.c.key.desc()).limit(limit)
        if account is not None and "account" in kind.c:
            query = query.where(kind.c.account == account)
        if symbols:
            if "symbol" not in kind.c:
                raise UsageError(f"symbols were {', '.join(symbols)}, and {table} has no symbol; leave them out")
            query = query.where(kind.c.symbol.in_(symbols))
        if until_ns is not None:
            query = query.where(kind.c.ts <= until_ns)
        with self._database.reading() as connection:
            found = connection.execute(query).mappings().all()
        return [{name: json.loads(value) if name in _JSON else value for name, value in row.items()} for row in found]

    @staticmethod
    def _row(table: Table, account: str, row: Mapping[str, Any]) -> dict[str, Any]:
        allowed = [column.name for column in table.columns if column.name not in ("key", "account")]
        if unknown := [name for name in row if name not in allowed]:
            raise UsageError(f"{table.name} had no column {', '.join(unknown)}; it has {', '.join(allowed)}")
        for name, words in _WORDS.items():
            if name in row and row[name] not in words:
                raise UsageError(f"{table.name}.{name} was '{row[name]}'; allowed are {', '.join(words)}")
        made = {name: _number(value) if isinstance(value, float) else value for name, value in row.items()}
        if not isinstance(made.get("raw_data", ""), str):
            made["raw_data"] = json.dumps(made["raw_data"], sort_keys=True, default=str)
        return {"account": account, **made}

    def _replace(self, table: Table, rows: Sequence[dict[str, Any]]) -> list[int]:
        names = [column.name for rule in table.constraints if isinstance(rule, UniqueConstraint) for column in rule.columns]
        names = names or [column.name for index in table.indexes if index.unique for column in index.columns]
        with self._database.writing() as connection:
            return [self._put(connection, table, names, row) for row in rows]

    def _put(self, connection: Connection, table: Table, unique: Sequence[str], row: dict[str, Any]) -> int:
        if unique:
            same = [table.c[name] == row[name] for name in unique]
            key = connection.execute(select(table.c.key).where(*same)).scalar()
            if key is not None:
                connection.execute(table.update().where(table.c.key == key).values(**row))
                return int(key)
        return int(self._database.insert_one(connection, table, row))


def _snapshot(row: Row[Any]) -> TapeSnapshot:
    return TapeSnapshot(
        symbol=row.symbol,
        ts=row.ts,
        ofi=_value(row.ofi_raw),
        ofi_z=_value(row.ofi_z_score),
        queue_imbalance=_value(row.queue_imbalance),
        queue_imbalance_z=_value(row.queue_imbalance_z),
        mid=_value(row.mid_price),
        bid_size=row.bid_size,
        ask_size=row.ask_size,
        is_absorption=bool(row.iceberg_detected),
    )


def _reading(row: Row[Any]) -> NewsReading:
    evidence = json.loads(row.evidence)
    return NewsReading(
        symbol=row.symbol,
        ts=row.ts,
        probability=_value(row.bayesian_score),
        is_accepted=bool(row.is_accepted),
        terms=evidence["terms"],
        clusters=tuple(
            PhraseCluster(phrase=one["phrase"], post_ids=tuple(one["post_ids"]), authors=one["authors"])
            for one in evidence["clusters"]
        ),
        posts=row.posts,
        authors=evidence["authors"],
        filings=tuple(json.loads(row.filings)),
        items=tuple(evidence["items"]),
        headlines=row.headlines,
        tone=_value(row.tone),
        filing_tone=_value(row.filing_tone),
        headline_tone=_value(row.headline_tone),
        post_tone=_value(row.post_tone),
        missing=evidence["missing"],
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _value(stored: float | None) -> float:
    return math.nan if stored is None else float(stored)
