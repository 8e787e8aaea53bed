"""Row-level security for a PostgreSQL database that browsers may reach, such as Supabase: the script that turns it on.

Without it, whoever holds the public key of a Supabase project reads every table of the `public` schema. With it, `anon` reads
nothing, `authenticated` reads the rows of the accounts that `account_owners` gives to the user in its token and writes nothing,
and `service_role` does everything. The program itself connects as the tables' owner, whom the rules do not touch.
"""

from __future__ import annotations

from sqlalchemy import Table

from sovereign.store import live_schema as _live_schema  # noqa: F401 - its tables belong to the same metadata
from sovereign.store import schema
from sovereign.store import scout_schema as _scout_schema  # noqa: F401 - and so do these

READER = "authenticated"
NOBODY = "anon"
SERVICE = "service_role"

_HEAD = f"""\
-- Row-level security of the Sovereign store, for PostgreSQL 15 or newer with the roles of Supabase
-- ({NOBODY}, {READER}, {SERVICE}). Run it as the owner of the tables; it may be run again, and must be after an upgrade.
-- Give an account to a user:  INSERT INTO account_owners (account, user_id) VALUES ('ACCOUNT', 'UUID OF THE USER');

BEGIN;

-- The user of the token, in the form of today (one JSON setting) and of older servers (one setting a claim).
CREATE OR REPLACE FUNCTION sovereign_user() RETURNS text LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
  )
$$;
"""  # noqa: S608 - made of constants of this module


def _may_read(table: Table) -> str | None:
    """Return the condition under which a row belongs to the user; None hides the table."""
    if table.name == "account_owners":
        return "user_id = (SELECT sovereign_user())"
    if "account" in table.c:
        return "account IN (SELECT owned.account FROM account_owners AS owned WHERE owned.user_id = (SELECT sovereign_user()))"
    # These follow the rules of the table that they point to.
    if "session_id" in table.c:
        return "session_id IN (SELECT own.id FROM live_sessions AS own)"
    if "run_key" in table.c:
        return "run_key IN (SELECT own.key FROM runs AS own)"
    if table.name == "candidates":
        return f"key / {schema.BLOCK_ROWS} IN (SELECT own.key FROM candidate_blocks AS own)"  # noqa: S608 - constants
    return None


def _rules(name: str, condition: str | None, sequence: str | None) -> list[str]:
    lines = [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;",
        f"REVOKE ALL ON {name} FROM PUBLIC, {NOBODY}, {READER};",
        f"GRANT ALL ON {name} TO {SERVICE};",
        f"DROP POLICY IF EXISTS {name}_service ON {name};",
        f"CREATE POLICY {name}_service ON {name} FOR ALL TO {SERVICE} USING (true) WITH CHECK (true);",
        f"DROP POLICY IF EXISTS {name}_own ON {name};",
    ]
    if condition is not None:
        lines += [
            f"GRANT SELECT ON {name} TO {READER};",
            f"CREATE POLICY {name}_own ON {name} FOR SELECT TO {READER} USING (\n  {condition}\n);",
        ]
    if sequence is not None:
        lines += [
            f"REVOKE ALL ON SEQUENCE {sequence} FROM PUBLIC, {NOBODY}, {READER};",
            f"GRANT ALL ON SEQUENCE {sequence} TO {SERVICE};",
        ]
    return lines


def row_security_script() -> str:
    """Return the SQL that turns row-level security on for every table, in one transaction."""
    parts = [_HEAD]
    parts.append("\n".join(_rules("alembic_version", None, None)))
    for table in sorted(schema.metadata.tables.values(), key=lambda table: table.name):
        key = table.c.get("key")
        has_sequence = key is not None and key is table.autoincrement_column
        sequence = f"{table.name}_key_seq" if has_sequence else None
        parts.append("\n".join(_rules(table.name, _may_read(table), sequence)))
    parts.append(
        "-- A view answers with the rights of its owner unless it is told to ask for those of the reader.\n"
        "ALTER VIEW decisions SET (security_invoker = true);\n"
        f"REVOKE ALL ON decisions FROM PUBLIC, {NOBODY}, {READER};\n"
        f"GRANT SELECT ON decisions TO {READER}, {SERVICE};"
    )
    parts.append("COMMIT;")
    return "\n\n".join(part.rstrip() for part in parts) + "\n"
