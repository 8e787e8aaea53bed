"""Opening the database, its schema version, and the one way rows are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    NullPool,
    String,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from sovereign.core.errors import ConfigurationError, UsageError
from sovereign.store import schema
from sovereign.store.configuration import StoreConfig, hide_password
from sovereign.store.migrate import refuse_newer, stored_version, upgrade
from sovereign.store.write_ahead import begin_write_ahead

_READER = "sovereign_reader"
_CHECKPOINT_PAGES = 1_000  # SQLite's own


def money(value: Decimal) -> str:
    """Return a Decimal as plain text, exact and without an exponent."""
    return format(value, "f")


def in_order(connection: Connection, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
    """Return columns to sort by, text character by character as SQLite does, whatever the server's language."""
    is_postgres = connection.dialect.name == "postgresql"
    return [column.collate("C") if is_postgres and isinstance(column.type, String) else column for column in columns]


def _with_sqlite_settings(engine: Engine, config: StoreConfig, *, is_durable: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are opened by hand below, so that DDL is inside them too
        connection.execute(f"PRAGMA busy_timeout = {config.busy_timeout_ms}")
        begin_write_ahead(connection, config.busy_timeout_ms)
        for pragma in (
            f"synchronous = {'FULL' if is_durable else config.synchronous}",
            "foreign_keys = ON",
            # What a checkpoint writes is nothing that a durable commit has to wait for: the next other writer does it.
            f"wal_autocheckpoint = {0 if is_durable else _CHECKPOINT_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock at once: one that starts by reading and writes later fails instead of waiting.
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(_READER) else "BEGIN IMMEDIATE")


def _with_postgres_settings(engine: Engine, config: StoreConfig, *, is_durable: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        was, connection.autocommit = connection.autocommit, True
        connection.execute(f"SET lock_timeout = {config.busy_timeout_ms}")
        if is_durable:
            connection.execute("SET synchronous_commit = on")
        connection.autocommit = was


def database_url(config: StoreConfig) -> URL:
    """Return the URL with the driver that this program uses: servers and Supabase show it without one.

    Raises
    ------
    ArgumentError : it is no URL.
    """
    url = make_url(config.url)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def connect_arguments(config: StoreConfig) -> dict[str, Any]:
    """Return what the driver of a URL is told beside the URL: for PostgreSQL, how long a mute server is waited for."""
    if database_url(config).get_backend_name() != "postgresql":
        return {}
    seconds = max(1, -(-config.busy_timeout_ms // 1000))
    return {
        "prepare_threshold": 5 if config.prepared_statements else None,
        "connect_timeout": max(2, seconds),  # libpq takes anything below 2 for 2
        "tcp_user_timeout": config.busy_timeout_ms,
        "keepalives_idle": seconds,
        "keepalives_interval": seconds,
        "keepalives_count": 1,
    }


def make_engine(config: StoreConfig, *, is_durable: bool = False) -> Engine:
    """Return an engine for the URL; a durable one commits to the disk itself and keeps no pool.

    Raises
    ------
    ConfigurationError : the URL is unusable, or its driver is not installed.
    """
    try:
        url = database_url(config)
        if "@" in (url.host or ""):
            raise ConfigurationError(
                f"store.url was '{hide_password(config.url)}', whose password holds an @; write it as %40 there (and : / ? # "
                f"as %3A %2F %3F %23)"
            )
        is_sqlite = url.get_backend_name() == "sqlite"
        if is_sqlite and url.database and url.database != ":memory:":
            Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
        pool: dict[str, Any] = {"poolclass": NullPool} if is_durable else {} if is_sqlite else {"pool_pre_ping": True}
        engine = create_engine(url, connect_args=connect_arguments(config), **pool)
    except ModuleNotFoundError as cause:
        raise ConfigurationError(
            f"store.url was '{hide_password(config.url)}', whose driver {cause.name} is not installed; "
            f"install it with: pip install 'sovereign[postgres]'"
        ) from cause
    except (ArgumentError, NoSuchModuleError, ImportError, OSError) as cause:
        raise ConfigurationError(
            f"store.url was '{hide_password(config.url)}' and cannot be used ({hide_password(str(cause))}); write it like "
            f"sqlite:///sovereign.sqlite or postgresql+psycopg://user@host/name"
        ) from cause
    if is_sqlite:
        _with_sqlite_settings(engine, config, is_durable=is_durable)
    elif url.get_backend_name() == "postgresql":
        _with_postgres_settings(engine, config, is_durable=is_durable)
    return engine


def _copy(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    # SQLite keeps NaN as NULL; PostgreSQL has a NaN of its own, which readers would not take for "unknown".
    floats = {position for position, name in enumerate(columns) if isinstance(table.c[name].type, Float)}
    driver: Any = connection.connection.driver_connection
    names = ", ".join(f'"{name}"' for name in columns)
    statement = f'COPY "{table.name}" ({names}) FROM STDIN'
    with as_sqlalchemy(connection), driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([None if at in floats and _is_nan(value) else value for at, value in enumerate(row)])


def _is_nan(value: float | None) -> bool:
    return value is not None and isnan(value)


@contextmanager
def as_sqlalchemy(connection: Connection) -> Iterator[None]:
    """Raise errors of the driver, used directly, as SQLAlchemy does, so that callers know one kind."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as cause:
        raise DBAPIError("driver", None, cause) from cause


class Database:
    """An open database with the schema of this version; creates or upgrades what is missing when it is opened.

    A database that is up to date is only read when it is opened; no lock is taken.

    Raises
    ------
    ConfigurationError : the URL is unusable, or the database was written by a newer version.
    """

    READS: ClassVar[dict[str, bool]] = {_READER: True}
    """Options of a connection that only reads: on SQLite it takes no lock."""

    def __init__(self, config: StoreConfig) -> None:
        self.config = config
        self.place = hide_password(config.url)
        self.engine = make_engine(config)
        self._is_closed = False
        self._statements: dict[tuple[str, tuple[str, ...]], str] = {}
        try:
            self._prepare()
        except SQLAlchemyError as cause:
            self.engine.dispose()
            raise ConfigurationError(
                f"store.url was '{self.place}' and could not be opened ({first_line(cause)}); check that the place "
                f"exists, may be written, and is a database of this program"
            ) from cause
        except ConfigurationError:
            self.engine.dispose()
            raise

    def _prepare(self) -> None:
        with self.reading() as connection:
            version = stored_version(connection, self.place)
        refuse_newer(version, self.place)
        if version is None or version < schema.SCHEMA_VERSION:
            with self.writing() as connection:
                upgrade(connection, self.place)

    @property
    def is_postgres(self) -> bool:
        """Whether this is PostgreSQL."""
        return self.engine.dialect.name == "postgresql"

    def durable(self) -> Engine:
        """Return an engine whose commits have reached the disk when they return; the caller disposes of it."""
        return make_engine(self.config, is_durable=True)

    def lock(self, connection: Connection, name: str) -> None:
        """Let one transaction at a time through, by name; on SQLite, `writing` does that for all."""
        if self.is_postgres:
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"sovereign.{name}"))))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads; never waits for a writer."""
        try:
            with self.engine.connect().execution_options(**self.READS) as connection:
                yield connection
        finally:
            self._given_back()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes; committed at the end, undone by an exception."""
        try:
            with self.engine.begin() as connection:
                yield connection
        finally:
            self._given_back()

    def _given_back(self) -> None:
        # The pool would keep it open, and nobody closes that again.
        if self._is_closed:
            self.engine.pool.dispose()

    def insert(self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert plain driver values (int, float, str, bool, bytes, None), in the order of `columns`.

        Goes to the driver in one call: about a microsecond a row, where the statement compiler needs ten; PostgreSQL is given
        a COPY. NaN becomes NULL on both.
        """
        if not rows:
            return
        if self.is_postgres:
            _copy(connection, table, columns, rows)
            return
        key = (table.name, tuple(columns))
        if key not in self._statements:
            compiled = table.insert().compile(dialect=self.engine.dialect, column_keys=list(columns))
            order = tuple(compiled.positiontup or columns)
            if order != tuple(columns):
                raise UsageError(f"columns of {table.name} were {tuple(columns)}; list them in table order: {order}")
            self._statements[key] = str(compiled)
        connection.exec_driver_sql(self._statements[key], list(rows))

    @staticmethod
    def insert_one(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
        """Insert one row and return the integer key it was given."""
        key = connection.execute(table.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def close(self) -> None:
        """Close all connections; one that a thread still uses is closed as soon as it is given back."""
        self._is_closed = True
        self.engine.pool.dispose()  # not of the engine: that would give it another pool, which never hears of those in use


def first_line(error: Exception) -> str:
    """Return what an error of the database says, in one line and without passwords."""
    return hide_password((str(error).splitlines() or [type(error).__name__])[0])
