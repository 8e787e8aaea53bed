"""The gate: which alerts are sent, now or later, and which are counted, summed up or only listed.

Repeats of a matter are counted and told at intervals that double; an end is told when the trouble was. What exceeds a minute's
measure is summed up in one alert, serious alerts apart from the others. Nothing serious is left out of all of these.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sovereign.app.notify.alert import RANK, SERIOUS, Alert, Topic, clock_text, lasted
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.app.notify.spool import Fate, Matter, Spool
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, from_ns, to_ns

FLOOD = "flood"
"""Key of the alerts that sum others up."""

_NAMED = 25  # kinds of alerts that a summary names; a message holds no more


class Gate:
    """Judges alerts one by one against the spool. `channels` are those that are there to send to."""

    def __init__(self, config: AlertsConfig, spool: Spool, channels: Collection[str]) -> None:
        self._config = config
        self._spool = spool
        self._channels = frozenset(channels)
        self._recent: dict[bool, deque[int]] = {False: deque(), True: deque()}
        # While alerts wait to be summed up the others join them, so that none overtakes and a flood makes one message a minute.
        self._is_flooded = {lane: bool(spool.suppressed(is_serious=lane)) for lane in (False, True)}
        self._summed_ns = {False: 0, True: 0}

    def take(self, alert: Alert, now: int) -> Fate | None:
        """Take an alert at `now` (UTC ns) and return what becomes of it; None when it was taken before."""
        with self._spool.transaction():
            number = self._spool.add(alert, now)
            if number is None:
                return None
            fate = self._judge(number, alert, now)
            self._spool.set_fate(number, fate)
            return fate

    def tick(self, now: int) -> None:
        """Tell what has become due: repeats that were only counted, and what a flood left over."""
        with self._spool.transaction():
            for matter in self._spool.matters_due(now):
                self._tell_repeats(matter, now)
            for is_serious in (True, False):
                self._sum_up(now, is_serious=is_serious)

    def prune(self, now: int) -> None:
        """Forget what is old."""
        self._spool.prune(self._config.keep, now - int(self._config.forget_after_s * NS_PER_SECOND))

    # Repeats

    def _judge(self, number: int, alert: Alert, now: int) -> Fate:
        if alert.resolves:
            ended = self._spool.matters_of(alert.resolves)
            for matter in ended:
                self._spool.put_matter(_closed(matter))
            if any(matter.is_told for matter in ended):
                return self._announce(number, self._with_history(alert, ended), now)
            if ended:
                return Fate.REPEATED
            if alert.is_quiet_alone:
                return Fate.LISTED
        known = self._spool.matter(alert.key)
        window_s = self._config.repeat_after_s
        if known is None or self._is_forgotten(known, now):
            matter = Matter(
                key=alert.key,
                first_ns=now,
                seen=1,
                pending=0,
                due_ns=now + int(window_s * NS_PER_SECOND),
                window_s=window_s,
                rank=alert.rank,
                is_open=True,
                is_told=True,
                body=alert.to_json(),
            )
            self._spool.put_matter(matter)
            return self._announce(number, alert, now)
        is_graver = alert.rank > known.rank
        matter = replace(
            known, seen=known.seen + 1, is_open=True, rank=max(alert.rank, known.rank) if known.is_open else alert.rank
        )
        matter.body = alert.to_json()
        if is_graver or (known.pending == 0 and now >= known.due_ns) or self._is_ahead(known, now):
            # A whole interval was silent: the next one is as short as the first.
            matter.window_s, matter.pending, matter.is_told = window_s, 0, True
            if not known.is_open or now - known.due_ns > self._config.repeat_max_s * NS_PER_SECOND:
                matter.first_ns, matter.seen = now, 1
            matter.due_ns = now + int(window_s * NS_PER_SECOND)
            self._spool.put_matter(matter)
            return self._announce(number, alert, now)
        matter.pending += 1
        self._spool.put_matter(matter)
        return Fate.REPEATED

    def _is_forgotten(self, matter: Matter, now: int) -> bool:
        return matter.pending == 0 and now - matter.due_ns > self._config.forget_after_s * NS_PER_SECOND

    def _is_ahead(self, matter: Matter, now: int) -> bool:
        # The system clock was set back: an interval may not begin in the future.
        return matter.due_ns - now > 2 * self._config.repeat_max_s * NS_PER_SECOND

    @staticmethod
    def _with_history(alert: Alert, ended: list[Matter]) -> Alert:
        first, seen = min(ended, key=lambda matter: matter.first_ns), sum(matter.seen for matter in ended)
        if seen == 1:
            words = f"It lasted {lasted(alert.ts - Alert.from_json(first.body).ts)}."
        else:
            words = f"Seen {seen} times since {clock_text(first.first_ns, alert.zone)}."
        return replace(alert, text=f"{alert.text} {words}".strip())

    def _tell_repeats(self, matter: Matter, now: int) -> None:
        latest = Alert.from_json(matter.body)
        since = clock_text(matter.first_ns, latest.zone)
        # Unique by its time; an end of the matter finds it by the matter's own key.
        text = f"{latest.text} {matter.seen} times since {since}.".strip()
        title = latest.title
        if not matter.is_open:
            title, text = f"Over for now: {latest.title}", f"{text} The last one has ended."
        told = replace(latest, ts=now, text=text, title=title, resolves="")
        window_s = min(2 * matter.window_s, self._config.repeat_max_s)
        self._spool.put_matter(
            replace(matter, pending=0, is_told=matter.is_open, window_s=window_s, due_ns=now + int(window_s * NS_PER_SECOND))
        )
        number = self._spool.add(told, now)
        if number is not None:
            self._spool.set_fate(number, self._announce(number, told, now))

    # Floods

    def _announce(self, number: int, alert: Alert, now: int) -> Fate:
        channels = self._routes(alert)
        if not channels:
            return Fate.LISTED
        lane = alert.rank >= SERIOUS
        if self._is_flooded[lane] or not self._has_room(lane, now):
            self._is_flooded[lane] = True
            return Fate.SUPPRESSED
        self._recent[lane].append(now)
        self._send(number, alert, channels, now)
        return Fate.ROUTED

    def _has_room(self, lane: bool, now: int) -> bool:
        recent = self._recent[lane]
        while recent and not 0 <= now - recent[0] < NS_PER_MINUTE:
            recent.popleft()
        return len(recent) < self._config.max_per_minute

    def _routes(self, alert: Alert) -> tuple[str, ...]:
        if alert.rank < SERIOUS and alert.topic in self._config.muted:
            return ()
        return tuple(channel for channel in self._config.routes[alert.severity] if channel in self._channels)

    def _send(self, number: int, alert: Alert, channels: tuple[str, ...], now: int) -> None:
        self._spool.rewrite(number, alert)
        self._spool.deliver(number, alert, channels, self._after_quiet(alert, now))

    def _after_quiet(self, alert: Alert, now: int) -> int:
        start, end = self._config.quiet_from, self._config.quiet_until
        if start is None or end is None or alert.rank >= RANK[self._config.quiet_below]:
            return now
        local = from_ns(now, self._config.zone)
        clock = local.time().replace(tzinfo=None)
        is_quiet = start <= clock < end if start <= end else clock >= start or clock < end
        if not is_quiet:
            return now
        day = local.date() if clock < end else local.date() + timedelta(days=1)
        return to_ns(datetime.combine(day, end, tzinfo=ZoneInfo(self._config.zone)))

    def _sum_up(self, now: int, *, is_serious: bool) -> None:
        if not self._has_room(is_serious, now) or 0 <= now - self._summed_ns[is_serious] < NS_PER_MINUTE:
            return
        left = self._spool.suppressed(is_serious=is_serious)
        if not left:
            return
        gravest = max(left, key=lambda alert: alert.rank)
        kinds = Counter(alert.title for alert in left)
        lines = [f"{count} x {title}" for title, count in kinds.most_common(_NAMED)]
        if len(kinds) > _NAMED:
            lines.append(f"and {len(kinds) - _NAMED} other kinds")
        first, last = left[0], left[-1]
        summary = Alert(
            key=FLOOD,
            ts=now,
            severity=gravest.severity,
            topic=Topic.SYSTEM,
            title=f"{len(left)} more alerts since {clock_text(first.ts, first.zone)}",
            text="\n".join(lines) + f"\nThe last was at {last.time_text}; all of them: sovereign alerts list",
            zone=last.zone,
        )
        self._spool.mark_summarized(left)
        self._is_flooded[is_serious], self._summed_ns[is_serious] = False, now
        number = self._spool.add(summary, now)
        channels = tuple(dict.fromkeys(channel for alert in left for channel in self._routes(alert)))
        if number is not None and channels:
            self._recent[is_serious].append(now)
            self._send(number, summary, channels, now)
            self._spool.set_fate(number, Fate.ROUTED)


def _closed(matter: Matter) -> Matter:
    return replace(matter, is_open=False, is_told=False)
