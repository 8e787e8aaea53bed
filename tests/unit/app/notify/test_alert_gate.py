"""Which alerts are sent and which are counted: repeats, ends, floods, quiet hours, routes."""

from hypothesis import given
from hypothesis import strategies as st

from alert_cases import NOON, alert
from sovereign.app.notify.alert import Topic
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.app.notify.gate import Gate
from sovereign.app.notify.spool import Fate, Spool
from sovereign.core.event import Severity
from sovereign.core.session import NS_PER_SECOND

SECOND = NS_PER_SECOND
BOTH = ("discord", "telegram")


def gate_of(spool=None, channels=BOTH, **changes):
    spool = spool or Spool(None)
    return Gate(AlertsConfig.model_validate(changes), spool, channels), spool


def sent(spool, channel="discord", now=NOON * 2):
    """Titles on their way to a channel, in order of writing."""
    found = sorted(spool.claim(channel, now, 0, 10_000), key=lambda delivery: delivery.id)
    return [delivery.alert.title for delivery in found]


def bodies(spool, channel="discord"):
    return [d.alert.text for d in sorted(spool.claim(channel, NOON * 2, 0, 10_000), key=lambda delivery: delivery.id)]


def test_alert_when_new_then_sent_by_the_routes_of_its_severity():
    gate, spool = gate_of()
    gate.take(alert("a", severity=Severity.INFO), NOON)
    gate.take(alert("b", severity=Severity.ALARM), NOON)
    assert sent(spool, "discord") == ["About a", "About b"]
    assert sent(spool, "telegram") == ["About b"]


def test_alert_when_taken_twice_from_one_event_then_once():
    gate, spool = gate_of()
    assert gate.take(alert("a"), NOON) is Fate.ROUTED
    assert gate.take(alert("a"), NOON + SECOND) is None
    assert sent(spool) == ["About a"]


def test_repeats_when_inside_the_interval_then_told_at_its_end_with_their_number():
    gate, spool = gate_of()
    for second in range(0, 50, 10):
        gate.take(alert("stale", NOON + second * SECOND), NOON + second * SECOND)
    gate.tick(NOON + 59 * SECOND)
    assert sent(spool) == ["About stale"]
    gate.tick(NOON + 60 * SECOND)
    assert bodies(spool) == ["Something.", "Something. 5 times since 12:00 EST."]


def test_repeats_when_they_go_on_then_told_at_intervals_that_double_up_to_the_longest():
    gate, spool = gate_of(repeat_after_s=60, repeat_max_s=480)
    told = []
    for second in range(0, 3_000, 5):
        now = NOON + second * SECOND
        gate.take(alert("stale", now), now)
        gate.tick(now)
        if len(sent(spool)) > len(told):
            told.append(second)
    # at once, after 60, then 120, 240, 480 and 480 more
    assert told == [0, 60, 180, 420, 900, 1_380, 1_860, 2_340, 2_820]


def test_repeat_when_graver_then_told_at_once():
    gate, spool = gate_of()
    gate.take(alert("a", severity=Severity.WARNING), NOON)
    gate.take(alert("a", NOON + 1, Severity.CRITICAL), NOON + 1)
    assert len(sent(spool)) == 2


def test_repeat_when_an_interval_was_silent_then_told_at_once_and_the_interval_is_short_again():
    gate, _ = gate_of()
    for second in (0, 5, 61, 62):  # the third is one repeat into the second, doubled interval
        gate.take(alert("a", NOON + second * SECOND), NOON + second * SECOND)
        gate.tick(NOON + second * SECOND)
    assert gate.take(alert("a", NOON + 1_000 * SECOND), NOON + 1_000 * SECOND) is Fate.REPEATED
    gate.tick(NOON + 1_000 * SECOND)
    later = NOON + 5_000 * SECOND
    assert gate.take(alert("a", later), later) is Fate.ROUTED
    assert gate.take(alert("a", later + 61 * SECOND), later + 61 * SECOND) is Fate.ROUTED


def lost(second):
    return alert("CONNECTION_LOST:feed", NOON + second * SECOND, Severity.ALARM, title="Connection lost", text="Lost.")


def restored(second, **more):
    return alert(
        "CONNECTION_RESTORED:feed",
        NOON + second * SECOND,
        title="Connection restored",
        text="Back.",
        resolves="CONNECTION_LOST:feed",
        **more,
    )


def feed(gate, *alerts):
    for one in alerts:
        gate.take(one, one.ts)
        gate.tick(one.ts)


def test_end_when_trouble_was_told_then_told_with_how_long_it_lasted():
    gate, spool = gate_of()
    feed(gate, lost(0), restored(180))
    assert bodies(spool) == ["Lost.", "Back. It lasted 3 min."]


def test_trouble_when_it_flaps_then_two_messages_and_a_sum_and_the_last_word_is_true():
    gate, spool = gate_of()
    for second in range(0, 50, 10):
        feed(gate, lost(second), restored(second + 5))
    gate.tick(NOON + 60 * SECOND)
    assert sent(spool) == ["Connection lost", "Connection restored", "Over for now: Connection lost"]


def test_trouble_when_it_flaps_and_stays_then_the_last_word_is_that_it_is_there():
    gate, spool = gate_of()
    feed(gate, lost(0), restored(5), lost(10), restored(15), lost(20))
    gate.tick(NOON + 60 * SECOND)
    assert sent(spool)[-1] == "Connection lost"
    feed(gate, restored(70))
    assert sent(spool)[-1] == "Connection restored"
    assert "Seen 3 times since 12:00 EST." in bodies(spool)[-1]


def test_end_when_nothing_was_wrong_then_told_unless_it_is_a_routine_word():
    gate, spool = gate_of()
    feed(gate, restored(0))
    assert sent(spool) == ["Connection restored"]
    routine = alert("RECONCILED:account", resolves="MISMATCH:account", is_quiet_alone=True)
    assert gate.take(routine, NOON) is Fate.LISTED


def test_end_when_it_names_a_prefix_then_all_those_matters_end():
    gate, spool = gate_of()
    feed(gate, alert("halt:a", NOON, Severity.ALARM), alert("halt:b", NOON, Severity.ALARM))
    feed(gate, alert("resumed", NOON + SECOND, resolves="halt:"))
    assert spool.matters_of("halt:") == []


def test_flood_when_many_kinds_come_then_capped_and_the_rest_summed_up_once_a_minute():
    gate, spool = gate_of(max_per_minute=20)
    for number in range(500):
        now = NOON + number * SECOND // 2  # two a second for 250 s
        gate.take(alert(f"k{number}", now, title=f"Kind {number % 3}"), now)
        gate.tick(now)
    gate.tick(NOON + 400 * SECOND)
    titles = sent(spool)
    summaries = [title for title in titles if "more alerts" in title]
    assert len(titles) <= 5 * 20
    assert len(summaries) in (4, 5)
    counted = sum(int(title.split()[0]) for title in summaries)
    assert counted + len(titles) - len(summaries) == 500


def test_flood_when_of_small_things_then_serious_alerts_pass():
    gate, spool = gate_of(max_per_minute=5)
    for number in range(100):
        gate.take(alert(f"k{number}", NOON + number), NOON + number)
    gate.take(alert("fire", NOON + 200, Severity.ALARM), NOON + 200)
    assert "About fire" in sent(spool)


def test_flood_when_serious_then_its_summary_is_as_serious_and_names_what_it_holds():
    gate, spool = gate_of(max_per_minute=3)
    for number in range(10):
        gate.take(alert(f"k{number}", NOON + number, Severity.CRITICAL if number == 7 else Severity.ALARM), NOON + number)
    gate.tick(NOON + 61 * SECOND)
    summary = spool.claim("telegram", NOON * 2, 0, 1)[0].alert
    assert summary.severity is Severity.CRITICAL
    assert all(f"About k{number}" in summary.text for number in range(3, 10))


def test_flood_when_process_dies_before_the_summary_then_the_next_one_sums_up():
    spool = Spool(None)
    gate, _ = gate_of(spool, max_per_minute=3)
    for number in range(10):
        gate.take(alert(f"k{number}", NOON + number, Severity.ALARM), NOON + number)
    gate, _ = gate_of(spool, max_per_minute=3)
    gate.tick(NOON + 2 * SECOND)
    assert sent(spool)[-1] == "7 more alerts since 12:00 EST"


def test_quiet_hours_when_night_then_lesser_alerts_wait_for_the_morning_and_serious_do_not():
    gate, spool = gate_of(quiet_from="22:00", quiet_until="07:30", zone="America/New_York")
    night = NOON + 11 * 3_600 * SECOND  # 23:00
    gate.take(alert("small", night), night)
    gate.take(alert("fire", night, Severity.ALARM), night)
    assert sent(spool, now=night) == ["About fire"]
    morning = night + int(8.5 * 3_600) * SECOND
    assert "About small" not in sent(spool, now=morning - 1)
    assert "About small" in sent(spool, now=morning)


def test_topic_when_muted_then_only_listed_unless_serious():
    gate, spool = gate_of(muted=["trade"])
    assert gate.take(alert("a", topic=Topic.TRADE), NOON) is Fate.LISTED
    assert gate.take(alert("b", NOON, Severity.ALARM, topic=Topic.TRADE), NOON) is Fate.ROUTED
    assert [listed.alert.key for listed in spool.recent(5)] == ["b", "a"]


def test_clock_when_set_back_a_day_then_alerts_are_not_held_back():
    gate, spool = gate_of()
    gate.take(alert("a", NOON), NOON)
    before = NOON - 86_400 * SECOND
    assert gate.take(alert("a", before), before) is Fate.ROUTED
    assert len(sent(spool)) == 2


def test_memory_when_old_then_forgotten_but_for_what_waits():
    spool = Spool(None)
    gate, _ = gate_of(spool, keep=100, max_per_minute=10_000, channels=("discord",))
    for number in range(500):
        gate.take(alert(f"k{number}", NOON + number), NOON + number)
    first = spool.claim("discord", NOON * 2, 0, 450)
    from sovereign.app.notify.spool import State

    spool.finish(first, State.SENT)
    gate.prune(NOON + 200_000 * SECOND)
    assert 100 <= len(spool.recent(10_000)) <= 150
    assert len(spool.claim("discord", NOON * 2, 0, 450)) == 50
    assert spool.matter("k0") is None


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 3)), max_size=150),
    st.integers(1, 8),
)
def test_gate_when_any_stream_of_alerts_then_no_flood_and_every_serious_one_is_accounted_for(stream, cap):
    gate, spool = gate_of(max_per_minute=cap, channels=("discord",))
    now, times = NOON, []

    def look():
        fresh = spool.claim("discord", now, 10**18, 1_000)
        times.extend((now, delivery.alert.rank >= 2) for delivery in fresh)
        return fresh

    told = []
    for gap, kind, rank in stream:
        now += gap * SECOND
        one = alert(f"k{kind}", now, list(Severity)[rank], title=f"Title {kind}", text=f"n{now}")
        gate.take(one, now)
        gate.tick(now)
        told += look()
    for _ in range(200):  # an hour and more of silence
        now += 30 * SECOND
        gate.tick(now)
        told += look()
    for moment, _ in times:
        for lane in (False, True):
            assert sum(1 for other, of in times if of is lane and moment <= other < moment + 60 * SECOND) <= cap
    words = "\n".join(f"{delivery.alert.title}\n{delivery.alert.text}" for delivery in told)
    for _, kind, rank in stream:
        assert rank < 2 or f"Title {kind}" in words
    assert spool.suppressed(is_serious=True) == []
    assert spool.matters_due(now) == []
