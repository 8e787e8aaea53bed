"""Schedules on exchange calendars; every instant below was worked out by hand from the exchanges' published hours."""

from datetime import UTC, datetime, time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.app.ops.schedule import Agenda, Anchor, At, Entry, Every, Offset, due, late_notice, next_ns
from sovereign.core.errors import CorruptFileError, UsageError
from sovereign.core.event import NoticeCode
from sovereign.core.session import NEVER, NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, from_ns, to_ns

NEW_YORK = "America/New_York"


def ns(text):
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


def utc(ts):
    return from_ns(ts).strftime("%Y-%m-%d %H:%M")


def times(rule, day, calendar="XNYS"):
    """Every time of a rule on one UTC day, found by asking minute by minute where a repetition needs it."""
    entry = Entry(name="x", calendar=calendar, rule=rule, run_late_minutes=0)
    found, now, end = [], ns(day) - 1, ns(day) + NS_PER_DAY - 1
    while (now := next_ns([entry], now)) <= end:
        found.append(utc(now)[11:])
    return found


# What the requirement of the tug-of-war system asks for (its page "24/7 Schedule").
TUG_OF_WAR = (
    Entry(name="cycle", calendar="XNYS", rule=Every(minutes=15, start=At(time(4)), end=At(time(20)))),
    Entry(name="news", calendar="XNYS", rule=Every(minutes=30, start=At(time(4)), end=At(time(20)))),
    Entry(name="regime", calendar="XNYS", rule=Every(minutes=60, start=At(time(4)), end=At(time(20)))),
    Entry(name="tape", calendar="XNYS", rule=Every(seconds=60, start=At(time(4)), end=At(time(20)))),
    Entry(name="close", calendar="XNYS", rule=At(time(15, 45)), run_late_minutes=15),
)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-03-06", "20:45"),  # Friday, Eastern Standard Time, UTC-5
        ("2026-03-09", "19:45"),  # Monday after the US change of 8 March, UTC-4
        ("2026-03-27", "19:45"),  # Europe has not changed yet
        ("2026-03-30", "19:45"),  # Europe changed on 29 March: nothing moves in New York
        ("2026-10-23", "19:45"),
        ("2026-10-26", "19:45"),  # Europe changed back on 25 October, New York not yet
        ("2026-11-02", "20:45"),  # New York changed back on 1 November
        ("2025-11-26", "20:45"),  # the day before Thanksgiving is a full one
        ("2025-11-28", "17:45"),  # the day after: NYSE closes 13:00, so 12:45 New York
        ("2025-12-24", "17:45"),  # Christmas Eve: 13:00
        ("2025-12-26", "20:45"),
        ("2025-07-03", "16:45"),  # day before Independence Day: 13:00, in summer time
        ("2026-11-27", "17:45"),
    ],
)
def test_close_at_1545_when_day_is_given_then_fires_at_the_hand_worked_instant(day, expected):
    assert times(At(time(15, 45)), day) == [expected]


@pytest.mark.parametrize("day", ["2025-11-27", "2025-12-25", "2026-01-01", "2026-11-28", "2026-11-29", "2026-04-03"])
def test_close_when_exchange_is_closed_then_nothing_is_due(day):
    assert times(At(time(15, 45)), day) == []


@pytest.mark.parametrize(
    ("day", "london", "new_york"),
    [
        ("2026-03-06", "16:30", "14:30"),  # both in winter time: five hours apart
        ("2026-03-10", "16:30", "13:30"),  # New York in summer time alone: four
        ("2026-03-31", "15:30", "13:30"),  # both: five
        ("2026-10-27", "16:30", "13:30"),  # London back in winter time alone: four
        ("2026-11-03", "16:30", "14:30"),
    ],
)
def test_wall_clocks_when_us_and_eu_change_in_different_weeks_then_each_keeps_its_zone(day, london, new_york):
    assert times(At(time(16, 30), "Europe/London"), day) == [london]
    assert times(At(time(9, 30), NEW_YORK), day) == [new_york]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2025-11-26", ["20:55"]),  # five minutes before 16:00 New York
        ("2025-11-27", []),  # Thanksgiving: futures trade to 13:00 for the next trade date, no day session
        ("2025-11-28", ["17:55"]),  # stocks close 13:00, futures 13:15: five before the day session's end
        ("2025-12-24", ["17:55"]),
        ("2025-12-25", []),
        ("2026-03-09", ["19:55"]),
    ],
)
def test_auto_flatten_of_futures_when_half_day_then_moves_with_the_close(day, expected):
    assert times(Offset(Anchor.REGULAR_CLOSE, -5), day, "CME_EQUITY") == expected


def test_hourly_when_cme_maintenance_then_nothing_between_17_and_18_new_york():
    hourly = times(Every(minutes=60, start=Offset(Anchor.OPEN), end=Offset(Anchor.CLOSE)), "2026-11-17", "CME_EQUITY")
    # Tuesday in winter: 17:00 New York is 22:00 UTC; the next session opens 18:00 New York, 23:00 UTC.
    assert hourly == [f"{hour:02d}:00" for hour in range(24) if hour != 22]


def test_hourly_when_cme_maintenance_in_summer_time_then_an_hour_earlier_in_utc():
    hourly = times(Every(minutes=60, start=Offset(Anchor.OPEN), end=Offset(Anchor.CLOSE)), "2026-10-27", "CME_EQUITY")
    assert hourly == [f"{hour:02d}:00" for hour in range(24) if hour != 21]


def test_hourly_when_thanksgiving_then_pauses_at_the_halt_and_stops_at_the_early_close():
    rule = Every(minutes=60, start=Offset(Anchor.OPEN), end=Offset(Anchor.CLOSE))
    # Thursday: halt 13:00 to 18:00 New York (18:00 to 23:00 UTC). Friday: close 13:15 New York, 18:15 UTC.
    assert times(rule, "2025-11-27", "CME_EQUITY") == [f"{h:02d}:00" for h in (*range(18), 23)]
    assert times(rule, "2025-11-28", "CME_EQUITY") == [f"{h:02d}:00" for h in range(19)]
    assert times(rule, "2025-11-29", "CME_EQUITY") == []
    assert times(rule, "2025-11-30", "CME_EQUITY") == ["23:00"]  # Sunday evening belongs to Monday


def test_cycles_when_full_and_half_day_then_run_over_the_extended_hours():
    cycle = TUG_OF_WAR[0].rule
    full = times(cycle, "2026-11-24")
    # Monday's last hour (19:00 New York) falls into the UTC day, then nothing until 04:00 New York
    assert full[:5] == ["00:00", "00:15", "00:30", "00:45", "09:00"]
    assert (len(full), full[-1]) == (4 + 15 * 4, "23:45")
    half = times(cycle, "2026-11-27")
    assert (len(half), half[0], half[-1]) == (13 * 4, "09:00", "21:45")  # extended hours end 17:00 New York


def test_tug_of_war_when_asked_at_the_close_then_all_five_are_due():
    found = due(TUG_OF_WAR, ns("2026-11-24 19:59:59"), ns("2026-11-24 20:45:00"))
    assert {item.entry.name: (utc(item.ts)[11:], item.skipped) for item in found} == {
        "cycle": ("20:45", 3),
        "news": ("20:30", 1),
        "regime": ("20:00", 0),
        "tape": ("20:45", 45),
        "close": ("20:45", 0),
    }


def test_tug_of_war_when_weekend_or_night_then_idle():
    assert due(TUG_OF_WAR, ns("2026-11-28 02:00:00"), ns("2026-11-30 08:59:59")) == []


def test_early_time_when_half_day_then_stays():
    assert times(At(time(12, 30)), "2025-11-28") == ["17:30"]
    assert times(At(time(15, 45), stays=True), "2025-11-28") == ["20:45"]


def test_due_when_asked_twice_then_each_time_comes_once():
    entry = TUG_OF_WAR[4]
    at = ns("2026-11-24 20:45:00")
    assert due([entry], at - 1, at)[0].ts == at
    assert due([entry], at, at + NS_PER_MINUTE) == []


def test_stalled_process_when_within_the_limit_then_runs_late_and_beyond_says_so():
    entry = TUG_OF_WAR[4]
    at = ns("2026-11-24 20:45:00")
    (soon,) = due([entry], at - 1, at + 15 * NS_PER_MINUTE)
    assert not soon.is_missed
    assert late_notice(soon, at) is None
    (late,) = due([entry], at - 1, at + 16 * NS_PER_MINUTE)
    assert late.is_missed
    notice = late_notice(late, at + 16 * NS_PER_MINUTE)
    assert notice.code is NoticeCode.SCHEDULE_LATE
    assert "2026-11-24 20:45" in notice.text
    assert "did not run" in notice.text
    assert notice.values["late_s"] == 960.0


def test_stalled_process_when_cycles_were_skipped_then_runs_the_last_and_counts_the_others():
    (item,) = due([TUG_OF_WAR[0]], ns("2026-11-24 14:00:00"), ns("2026-11-24 15:02:00"))
    assert (utc(item.ts)[11:], item.skipped, item.is_missed) == ("15:00", 3, False)
    assert "3 earlier times were passed over" in late_notice(item, ns("2026-11-24 15:02:00")).text


def test_agenda_when_process_restarts_then_what_was_due_in_between_comes_back(tmp_path):
    file = tmp_path / "agenda.json"
    first = Agenda(TUG_OF_WAR[4:], ns("2026-11-23 12:00:00"), file=file)
    assert [utc(item.ts) for item in first.take(ns("2026-11-23 20:45:01"))] == ["2026-11-23 20:45"]
    again = Agenda(TUG_OF_WAR[4:], ns("2026-11-24 22:00:00"), file=file)
    (item,) = again.take(ns("2026-11-24 22:00:01"))
    assert (utc(item.ts), item.is_missed) == ("2026-11-24 20:45", True)
    assert utc(again.next_ns()) == "2026-11-25 20:45"


def test_agenda_when_clock_goes_back_then_nothing_is_repeated():
    agenda = Agenda(TUG_OF_WAR[4:], ns("2026-11-24 20:00:00"))
    assert len(agenda.take(ns("2026-11-24 20:46:00"))) == 1
    assert agenda.take(ns("2026-11-24 20:44:00")) == []
    assert agenda.take(ns("2026-11-24 20:47:00")) == []


def test_agenda_when_file_is_damaged_then_says_which(tmp_path):
    (tmp_path / "agenda.json").write_text("{")
    with pytest.raises(CorruptFileError, match=r"agenda\.json"):
        Agenda(TUG_OF_WAR, 0, file=tmp_path / "agenda.json")


def test_due_when_now_lies_before_the_last_look_then_refused():
    with pytest.raises(UsageError, match="before"):
        due(TUG_OF_WAR, ns("2026-11-24 20:00:00"), ns("2026-11-24 19:00:00"))


def test_entry_when_step_is_zero_then_refused():
    with pytest.raises(UsageError, match="at least a second"):
        Entry(name="x", calendar="XNYS", rule=Every(start=At(time(4)), end=At(time(20))))


def test_next_when_nothing_is_scheduled_then_never():
    assert next_ns([], ns("2026-11-24 20:00:00")) == NEVER


@given(
    start_s=st.integers(0, 196 * 86_400),
    cuts=st.lists(st.integers(1, 4 * 86_400), min_size=1, max_size=6),
)
def test_due_when_a_span_is_cut_anywhere_then_runs_and_skips_add_up_to_the_same(start_s, cuts):
    edges = [ns("2025-10-01") + start_s * NS_PER_SECOND]
    for cut in cuts:
        edges.append(edges[-1] + cut * NS_PER_SECOND)

    def counted(spans):
        totals = {}
        for one, other in spans:
            for item in due(TUG_OF_WAR, one, other):
                totals[item.entry.name] = totals.get(item.entry.name, 0) + 1 + item.skipped
        return totals

    assert counted([(edges[0], edges[-1])]) == counted(list(pairwise(edges)))


def test_next_when_walked_over_a_month_then_agrees_with_due():
    entries = TUG_OF_WAR[4:]
    now, end, walked = ns("2026-11-01 00:00:00"), ns("2026-12-01 00:00:00"), 0
    while (now := next_ns(entries, now)) <= end:
        walked += 1
        assert due(entries, now - 1, now)[0].ts == now
    # November 2026: 21 weekdays, Thanksgiving closed
    assert walked == 20
