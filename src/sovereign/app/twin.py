"""From a session in the store to its twin: what it was run with, what was recorded, and what was stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.core.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sovereign.app.configuration import Settings
    from sovereign.research.live import EarlierBars
    from sovereign.research.twin.shadow import TwinResult
    from sovereign.store.live import LiveSession
    from sovereign.store.store import Store

KEPT = "twin"
"""Under which name a run's summary keeps its twin."""


def twin_of(store: Store, name: str, settings: Settings) -> TwinResult:
    """Play a session and its twin, and keep the summary with the session's run.

    Parameters
    ----------
    name : id of a session, a prefix that only it has, or `last`.
    settings : those of today, used when the session's own cannot be read by this version; that is then said.

    Raises
    ------
    NotFoundError : no such session, or its recording is gone. CorruptFileError : the recording cannot be read.
    """
    from sovereign.app.plan import recipe_of
    from sovereign.research.twin.plain import summary_to_plain
    from sovereign.research.twin.playback import read_recorded
    from sovereign.research.twin.shadow import Facts, shadow
    from sovereign.store.episodes import SqlEpisodeBook
    from sovereign.store.live import DEMONSTRATION
    from sovereign.store.recording import read_header
    from sovereign.store.session_state import USUAL_BROKER, placed

    session = store.live.session(_newest(store) if name == "last" else name)
    if session.mode == DEMONSTRATION:
        raise UsageError(
            f"session was '{session.id}', a demonstration: it ran as a backtest and met no venue; name a session of paper or "
            f"live trading"
        )
    path = Path(session.recording_path)
    if not path.is_file():
        raise NotFoundError(f"the recording of session '{session.id}' was '{path}', which is not there; put it back")
    header = read_header(path)
    reasons: list[str] = []
    run = store.run(session.run_id or session.id).record
    own = _settings_of(run.config, settings, reasons)
    reasons += _changes(session, header, run.config)
    warm_up = _warm_up(path, header, reasons)
    bars = _bars(own, header, reasons)
    recorded = read_recorded(
        path,
        recipe_of(own, session.strategy),
        is_simulated_data=run.is_simulated,
        warm_up=warm_up,
        late_notice_ns=round(own.live.late_notice_s * 1e9),
        book=SqlEpisodeBook(store.database, placed(session.account, header.get("broker", USUAL_BROKER), session.mode)),
        bars=bars,
    )
    facts = Facts(
        session_id=session.id,
        strategy=session.strategy,
        account=session.account,
        mode=session.mode,
        signal=tuple(reasons),
        is_over=session.status == "ended",
    )
    result = shadow(recorded, facts, [row.text for row in store.live.audit_events(session.id)])
    store.add_to_summary(session.run_id or session.id, KEPT, summary_to_plain(result))
    return result


def _newest(store: Store) -> str:
    """Return the newest session that met a venue; `last` when there is none, of which the store says why."""
    from sovereign.store.live import DEMONSTRATION

    return next((one.id for one in store.live.sessions() if one.mode != DEMONSTRATION), "last")


def _settings_of(config: Mapping[str, Any], today: Settings, reasons: list[str]) -> Settings:
    """Return the settings that a session was run with."""
    from pydantic import ValidationError

    from sovereign.app.configuration import Settings as Kind

    try:
        return Kind.model_validate(config)
    except ValidationError as fault:
        first = str(fault.errors()[0].get("loc", ""))
        reasons.append(f"the session's settings are of another version ({first}); those of today were used")
        return today


def _changes(session: LiveSession, header: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Return what decides today otherwise than when the session was recorded."""
    from sovereign.research.runner import code_hash
    from sovereign.store.runs import digest

    found = []
    begun, latest, now = str(header.get("code", "")), session.code_hash, code_hash()
    if begun != latest:
        found.append(f"the session went on with other code: {begun[:12]}, then {latest[:12]}")
    if latest != now:
        found.append(f"the code is another: {latest[:12]} then, {now[:12]} now")
    begun, latest = str(header.get("settings", "")), digest(config)
    if begun != latest:
        found.append(f"the session went on with other settings: {begun[:12]}, then {latest[:12]}")
    return found


def _warm_up(path: Path, header: Mapping[str, Any], reasons: list[str]) -> list[Path]:
    """Return the recordings that warmed the session's signals up."""
    found = []
    for name in header.get("warm_up", ()):
        place = path.parent / str(name)
        if place.is_file():
            found.append(place)
        else:
            reasons.append(f"recording {name}, which warmed the signals up, is not there any more")
    return found


def _bars(settings: Settings, header: Mapping[str, Any], reasons: list[str]) -> EarlierBars | None:
    """Return the catalog's bars that warmed the session's signals up before the recordings."""
    from sovereign.app.warm_up import named_bars

    wanted = header.get("warm_up_bars")
    if wanted is None:
        return None
    found = named_bars(settings, wanted["symbols"], header)
    if found is None or found.name != wanted:
        reasons.append(
            f"the recorded bars of {wanted['first']} to {wanted['last']}, which warmed the signals up, are others now"
        )
    return None if found is None else found.feed
