"""`sovereign kill`: cancel and flatten everything on every configured account, from outside, and keep it so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from, to_plain, without_secrets
from sovereign.core.errors import BrokerError, SovereignError, UsageError

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.ops.kill import KillReport


def command(
    is_sure: Annotated[bool, typer.Option("--yes", help="Do it; without it, nothing is done.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "by hand",
    by: Annotated[str | None, typer.Option("--by", help="Who, for the record; default: user@machine.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Latch the kill, cancel every order and close every position on every configured account, and ask the venue what is left.

    Needs no running session and waits for none; the alert channels are told from here. Ends with 0 only when the venue says
    that every account is flat, else with 7.
    """
    from sovereign.app.ops.account import guarded_accounts
    from sovereign.app.ops.desk import somebody
    from sovereign.app.ops.kill import kill
    from sovereign.app.ops.kill_alert import KillAlert
    from sovereign.app.ops.redaction import redactor_for

    settings = settings_from(config, overrides).settings
    accounts = guarded_accounts(settings)
    if not is_sure:
        names = ", ".join(account.name for account in accounts)
        raise UsageError(f"kill would cancel and close everything on {names} and latch it; repeat with --yes to do so")
    who = by or somebody()
    alert = KillAlert(settings, who, reason, redactor_for(settings))
    done = kill(
        accounts, settings.kill, latch=lambda: keep_kill(settings, "*", who, reason), failures=(SovereignError, OSError)
    )
    # What a venue answered, or an address that could not be reached, may hold a secret.
    if not as_json:
        typer.echo(without_secrets(_text(done)))  # before the alert channels, which may take their time
    untold = alert.close(done)
    if as_json:
        plain = json.loads(without_secrets(json.dumps({**to_plain(done), "alert_error": untold})))
        emit(plain, as_json, str)
    elif untold:
        typer.echo(without_secrets(untold), err=True)
    if not done.is_flat:
        open_ones = ", ".join(one.account for one in done.accounts if not one.is_flat)
        raise BrokerError(f"not flat, as far as is known: {open_ones}; repeat the kill, and close by hand at the venue")


def keep_kill(settings: Settings, account: str, by: str, reason: str) -> None:
    """Latch an account (`*`: every one) in the store and leave a notice.

    Raises
    ------
    SovereignError : the store cannot be used.
    """
    import time

    from sqlalchemy.exc import SQLAlchemyError

    from sovereign.core.event import Notice, NoticeCode, Severity
    from sovereign.store.store import Store

    now, reason = time.time_ns(), without_secrets(reason)
    notice = Notice(
        ts=now, code=NoticeCode.KILLED, severity=Severity.CRITICAL, subject=account, text=f"killed by {by}: {reason}"
    )
    try:
        with Store(settings.store) as store:
            store.live.latch(account, by=by, reason=reason, ts=now)
            store.live.add_notice(notice, account=None if account == "*" else account)
    except SQLAlchemyError as cause:
        raise SovereignError(f"the store did not keep the kill ({str(cause).splitlines()[0]})") from cause


def _text(done: KillReport) -> str:
    lines = [
        "the kill is latched; clear it with: sovereign resume --account '*'"
        if done.is_latched
        else f"NOT latched in the store: {done.latch_error}"
    ]
    for one in done.accounts:
        lines.append(f"{one.account}: {'flat, the venue says so' if one.is_flat else f'NOT FLAT ({one.error})'}")
        lines += [f"  {step}" for step in one.steps]
    return "\n".join(lines)
