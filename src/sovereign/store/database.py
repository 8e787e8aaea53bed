"""Opening the database, its schema version, and the one way rows are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from sovereign.core.errors import ConfigurationError, UsageError
from sovereign.store import schema
from sovereign.store.configuration import StoreConfig, hide_password

_READER = "sovereign_reader"


def money(value: Decimal) -> str:
    """Return a Decimal as plain text, exact and without an exponent."""
    return format(value, "f")


def _with_sqlite_settings(engine: Engine, config: StoreConfig) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are opened by hand below, so that DDL is inside them too
        for pragma in (
            f"busy_timeout = {config.busy_timeout_ms}",
            "journal_mode = WAL",
            f"synchronous = {config.synchronous}",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock at once: one that starts by reading and writes later fails instead of waiting.
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(_READER) else "BEGIN IMMEDIATE")


class Database:
    """An open database with the schema of this version; creates what is missing on first use.

    Raises
    ------
    ConfigurationError : the URL is unusable, or the database was written by a newer version.
    """

    def __init__(self, config: StoreConfig) -> None:
        self.config = config
        self._place = hide_password(config.url)
        try:
            url = make_url(config.url)
            is_sqlite = url.get_backend_name() == "sqlite"
            if is_sqlite and url.database and url.database != ":memory:":
                Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
            self.engine = create_engine(url)
        except (ArgumentError, NoSuchModuleError, ImportError, OSError) as cause:
            why = hide_password(str(cause))
            raise ConfigurationError(
                f"store.url was '{self._place}' and cannot be used ({why}); write it like sqlite:///sovereign.sqlite "
                f"or postgresql+psycopg://user@host/name"
            ) from cause
        if is_sqlite:
            _with_sqlite_settings(self.engine, config)
        self._statements: dict[tuple[str, tuple[str, ...]], tuple[str, bool]] = {}
        try:
            self._prepare()
        except SQLAlchemyError as cause:
            self.engine.dispose()
            raise ConfigurationError(
                f"store.url was '{self._place}' and could not be opened ({_first_line(cause)}); check that the place "
                f"exists, may be written, and is a database of this program"
            ) from cause
        except ConfigurationError:
            self.engine.dispose()
            raise

    def _prepare(self) -> None:
        with self.engine.begin() as connection:
            version = self._version(connection)
            if version is None:
                schema.metadata.create_all(connection)
                connection.exec_driver_sql(schema.DECISIONS_VIEW)
                connection.execute(schema.meta.insert().values(key="schema_version", value=str(schema.SCHEMA_VERSION)))
                return
            if version > schema.SCHEMA_VERSION:
                raise ConfigurationError(
                    f"store '{self._place}' was written with schema {version}; this program knows schema "
                    f"{schema.SCHEMA_VERSION} at most; upgrade the program, or point store.url at another database"
                )
            for step in range(version, schema.SCHEMA_VERSION):
                for statement in schema.MIGRATIONS[step]:
                    connection.exec_driver_sql(statement)
            if version < schema.SCHEMA_VERSION:
                connection.execute(
                    schema.meta.update().where(schema.meta.c.key == "schema_version").values(value=str(schema.SCHEMA_VERSION))
                )

    def _version(self, connection: Connection) -> int | None:
        if not inspect(connection).has_table(schema.meta.name):
            return None
        value = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == "schema_version")).scalar()
        if value is not None and not str(value).isdecimal():
            raise ConfigurationError(
                f"store '{self._place}' has the schema version '{value}', which is no number; it "
                f"was damaged or is another program's; restore a backup, or point store.url at another database"
            )
        return None if value is None else int(value)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads; never waits for a writer."""
        with self.engine.connect().execution_options(**{_READER: True}) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes; committed at the end, undone by an exception."""
        with self.engine.begin() as connection:
            yield connection

    def insert(self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert plain driver values (int, float, str, bool, bytes, None), in the order of `columns`.

        Goes to the driver in one call: about a microsecond a row, where the statement compiler needs ten.
        """
        if not rows:
            return
        key = (table.name, tuple(columns))
        if key not in self._statements:
            compiled = table.insert().compile(dialect=self.engine.dialect, column_keys=list(columns))
            order = tuple(compiled.positiontup or columns)
            if order != tuple(columns):
                raise UsageError(f"columns of {table.name} were {tuple(columns)}; list them in table order: {order}")
            self._statements[key] = (str(compiled), bool(self.engine.dialect.positional))
        statement, is_positional = self._statements[key]
        if is_positional:
            connection.exec_driver_sql(statement, list(rows))
        else:
            connection.exec_driver_sql(statement, [dict(zip(columns, row, strict=True)) for row in rows])

    @staticmethod
    def insert_one(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
        """Insert one row and return the integer key it was given."""
        key = connection.execute(table.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _first_line(error: Exception) -> str:
    return hide_password(str(error).splitlines()[0])
