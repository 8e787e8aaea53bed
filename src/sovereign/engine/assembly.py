"""How a live session is put together, once for paper and live: where the two differ is what is handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sovereign.core.instrument import Instrument
from sovereign.core.port import LiveFeed
from sovereign.core.session import Session
from sovereign.engine.conductor import Conductor
from sovereign.engine.engine import Engine
from sovereign.engine.inbox import Inbox, Outbox
from sovereign.engine.inputs import Opening
from sovereign.engine.lines import Lines
from sovereign.engine.live import (
    Ending,
    Heartbeat,
    LiveSession,
    NextCommands,
    NextEvidence,
    ignore_heartbeat,
    no_commands,
    no_evidence,
)
from sovereign.engine.live_configuration import LiveConfig
from sovereign.engine.recovery import AfterReplay, KeptRequest, Recovered, ReplayJournal, start
from sovereign.engine.walk import StreamFactory
from sovereign.execution.broker import Broker, BrokerLink, OrderJournal
from sovereign.execution.brokers.remote import RemoteBroker

NewEngine = Callable[[Broker, OrderJournal], Engine]
"""Builds a session's engine on a broker and a journal."""


def new_lines(config: LiveConfig, feed: LiveFeed, link: BrokerLink | None) -> Lines:
    """Return the lines of a process, not started yet; `link` is None with a broker in this process."""
    return Lines(Inbox(config.inbox_ticks), feed, link, answer_s=config.answer_s, switch_s=config.switch_ms / 1_000)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session that stands where its recording ends, and has not begun to trade."""

    config: LiveConfig
    conductor: Conductor
    journal: ReplayJournal
    recovered: Recovered
    live: LiveSession

    def run(self, session: Session, instruments: Sequence[Instrument], opening: Opening) -> Ending:
        """Trade the session to its end; see `LiveSession.run`."""
        try:
            if self.conductor.is_closed:
                return self._closed()
            return self.live.run(session, instruments, opening, self.recovered.after)
        finally:
            self.recovered.recording.close()

    def finish(self) -> Ending:
        """Settle a session that was cut off, and whose date is over by now; see `LiveSession.finish`."""
        try:
            return self._closed() if self.conductor.is_closed else self.live.finish(self.recovered.after)
        finally:
            self.recovered.recording.close()

    def _closed(self) -> Ending:
        reason = "the recording ends with the session's close"
        return Ending(exit_code=0, reason=reason, is_closed=True, cursor=self.conductor.cursor)


def prepare(
    config: LiveConfig,
    lines: Lines,
    *,
    path: Path,
    header: Mapping[str, Any],
    new_engine: NewEngine,
    new_stream: StreamFactory,
    simulated: Broker | None = None,
    margins: Mapping[str, Decimal] | None = None,
    journal: OrderJournal | None = None,
    kept: Sequence[KeptRequest] = (),
    now_ns: int,
    monotonic: Callable[[], float],
    commands: NextCommands = no_commands,
    evidence: NextEvidence = no_evidence,
    on_heartbeat: Callable[[Heartbeat], None] = ignore_heartbeat,
    finish: Callable[[], str | None] | None = None,
    sinks: Sequence[AfterReplay] = (),
) -> Prepared:
    """Put a session together, and replay its recording when it has one.

    Parameters
    ----------
    path, header : of the recording; see `recovery.start`, also for `finish` and `sinks`.
    simulated : the broker when it is in this process; else one is made for the lines' link, with `margins` until it is asked.
    journal, kept : where requests are made durable, and those kept for this session so far.
    monotonic, commands, evidence, on_heartbeat : see `LiveSession`.

    Raises
    ------
    CorruptFileError : the recording cannot be read.
    """
    outbox: Outbox | None = None
    broker = simulated
    if broker is None:
        if lines.link is None:
            raise ValueError("a session had neither a broker in this process nor a link to one; give either")
        outbox = Outbox()
        broker = RemoteBroker(outbox.send, lines.link.capabilities, margins)
    gate = ReplayJournal(journal, kept)
    engine = new_engine(broker, gate)
    conductor = Conductor(engine, new_stream, broker, late_notice_ns=round(config.late_notice_s * 1e9))
    recovered = start(
        path,
        header,
        conductor,
        gate,
        now_ns=now_ns,
        is_remote=outbox is not None,
        is_synced=config.is_synced,
        finish=finish,
        sinks=sinks,
    )
    live = LiveSession(
        config=config,
        conductor=conductor,
        recording=recovered.recording,
        lines=lines,
        outbox=outbox,
        journal=gate,
        monotonic=monotonic,
        commands=commands,
        evidence=evidence,
        on_heartbeat=on_heartbeat,
    )
    return Prepared(config, conductor, gate, recovered, live)
