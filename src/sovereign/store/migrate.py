"""Bring a database to the tables of this version, revision by revision (Alembic), without configuration files.

A database knows its revision twice: `alembic_version`, which Alembic keeps, and `meta.schema_version`, a number that
programs older than the revisions understand too, and that can be asked for without loading Alembic.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
)

from sovereign.core.errors import ConfigurationError
from sovereign.store import live_schema as _live_schema  # noqa: F401 - its tables belong to the same metadata
from sovereign.store import schema
from sovereign.store import scout_schema as _scout_schema  # noqa: F401 - and so do these

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

FIRST_REVISION = "0001"
_PLACE = Path(__file__).parent / "migrations"
_revision = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)  # as Alembic makes it
_ADVISORY_LOCK = 0x736F7665  # "sove": the lock that programs opening one PostgreSQL database at once meet at


def revision_of(version: int) -> str:
    """Return the name of the revision that makes schema `version`."""
    return f"{version:04d}"


def stored_version(connection: Connection, place: str) -> int | None:
    """Return the schema version of a database; None when it has none of our tables.

    Raises
    ------
    ConfigurationError : the version is no number.
    """
    if not inspect(connection).has_table(schema.meta.name):
        return None
    value = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == "schema_version")).scalar()
    if value is not None and not str(value).isdecimal():
        raise ConfigurationError(
            f"store '{place}' has the schema version '{value}', which is no number; it "
            f"was damaged or is another program's; restore a backup, or point store.url at another database"
        )
    return None if value is None else int(value)


def refuse_newer(version: int | None, place: str) -> None:
    """Raise when a database was written by a newer program.

    Raises
    ------
    ConfigurationError : `version` is above the one that this program knows.
    """
    if version is not None and version > schema.SCHEMA_VERSION:
        raise ConfigurationError(
            f"store '{place}' was written with schema {version}; this program knows schema "
            f"{schema.SCHEMA_VERSION} at most; upgrade the program, or point store.url at another database"
        )


def scripts() -> ScriptDirectory:
    """Return the revisions that ship with the program."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(_PLACE))


def upgrade(connection: Connection, place: str, target: int | None = None) -> None:
    """Create or lift the tables to schema `target` (None: the newest) within the connection's transaction.

    An empty database is given the newest tables at once, which a test holds equal to what the revisions make.

    Several programs may come at once: SQLite's writer lock is held by the transaction, on PostgreSQL a lock is taken here, and
    whoever comes second finds the work done. Tables of version 1 that know nothing of revisions are taken for the first one.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
    version = stored_version(connection, place)
    refuse_newer(version, place)
    wanted = schema.SCHEMA_VERSION if target is None else target
    if version is not None and version >= wanted:
        return
    if version is None and target is None:
        _create(connection)
    else:
        _run_revisions(connection, version, wanted)
    connection.execute(delete(schema.meta).where(schema.meta.c.key == "schema_version"))
    connection.execute(insert(schema.meta).values(key="schema_version", value=str(wanted)))


def _create(connection: Connection) -> None:
    # Alembic takes three times as long to load and to do the same.
    schema.metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(schema.DECISIONS_VIEW)
    _revision.create(connection)
    connection.execute(insert(_revision).values(version_num=revision_of(schema.SCHEMA_VERSION)))


def _run_revisions(connection: Connection, version: int | None, wanted: int) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext

    directory = scripts()
    if version is not None and not inspect(connection).has_table("alembic_version"):
        MigrationContext.configure(connection).stamp(directory, FIRST_REVISION)

    def steps(revision: Any, _context: Any) -> list[Any]:
        return directory._upgrade_revs(revision_of(wanted), revision)  # as Alembic's own commands do

    with EnvironmentContext(Config(), directory, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=schema.metadata)
        environment.run_migrations()


def differences(connection: Connection) -> list[str]:
    """Return how the tables of a database differ from those that the program expects; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": _is_ours})
    return [str(difference) for difference in compare_metadata(context, schema.metadata)]


def _is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    if kind != "table":
        return True
    return name in schema.metadata.tables or name == "alembic_version"
