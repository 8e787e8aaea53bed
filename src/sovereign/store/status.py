"""What a database is, without changing it: its version, whether its tables are as expected, whether others may read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from sovereign.core.errors import ConfigurationError
from sovereign.store import schema
from sovereign.store.configuration import StoreConfig, hide_password
from sovereign.store.database import Database, first_line, make_engine
from sovereign.store.migrate import differences, stored_version


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """A database as it was found.

    Parameters
    ----------
    place : the URL without its password. version : its schema; None when it has no tables of ours yet.
    expected : the schema of this program. differences : what its tables lack or have too much; empty when they are right.
    open_tables : tables without row-level security where the roles of Supabase exist; empty elsewhere.
    """

    place: str
    kind: str
    version: int | None
    expected: int
    differences: tuple[str, ...] = ()
    open_tables: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether nothing has to be done before it is used."""
        return self.version == self.expected and not self.differences


def store_status(config: StoreConfig) -> StoreStatus:
    """Look at the database of a URL; nothing is created or changed.

    Raises
    ------
    ConfigurationError : the URL is unusable, or the database does not answer.
    """
    place = hide_password(config.url)
    path = sqlite_path(config)
    if path is not None and not path.exists():
        return StoreStatus(place=place, kind="sqlite", version=None, expected=schema.SCHEMA_VERSION)
    engine = make_engine(config)
    try:
        with engine.connect().execution_options(**Database.READS) as connection:
            version = stored_version(connection, place)
            return StoreStatus(
                place=place,
                kind=engine.dialect.name,
                version=version,
                expected=schema.SCHEMA_VERSION,
                differences=tuple(differences(connection)) if version == schema.SCHEMA_VERSION else (),
                open_tables=_open_tables(connection),
            )
    except SQLAlchemyError as cause:
        raise ConfigurationError(
            f"store.url was '{place}' and could not be read ({first_line(cause)}); check that the place exists and may be read"
        ) from cause
    finally:
        engine.dispose()


def sqlite_path(config: StoreConfig) -> Path | None:
    """Return the file of an SQLite URL, or None."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(config.url)
    except ArgumentError:
        return None
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)).expanduser() if is_file else None


def _open_tables(connection: Connection) -> tuple[str, ...]:
    if connection.dialect.name != "postgresql":
        return ()
    if connection.exec_driver_sql("SELECT 1 FROM pg_roles WHERE rolname = 'anon'").first() is None:
        return ()
    ours = set(schema.metadata.tables) & set(inspect(connection).get_table_names())
    rows = connection.exec_driver_sql(
        "SELECT relname FROM pg_class "
        "WHERE relkind = 'r' AND NOT relrowsecurity AND relnamespace = current_schema()::regnamespace"
    )
    return tuple(sorted(ours & {row[0] for row in rows}))
