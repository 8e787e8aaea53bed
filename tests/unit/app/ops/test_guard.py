"""The guard's rules and what it does; instants are worked out by hand from the exchanges' hours."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from fakes.held_account import HeldAccount
from sovereign.app.cli.guard import speaks_for
from sovereign.app.ops.account import Holding
from sovereign.app.ops.configuration import GuardConfig, KillConfig
from sovereign.app.ops.guard import Guard, Hours, judge, judge_resources
from sovereign.app.ops.heartbeat import Beat, beat_file
from sovereign.core.event import NoticeCode, Severity
from sovereign.core.session import NS_PER_SECOND, to_ns

REGULAR = Hours(is_regular_only=True, flatten_before_close_minutes=5)
ALL = Hours(is_regular_only=False, flatten_before_close_minutes=5)
CONFIG = GuardConfig(grace_s=60, stale_s=60, stale_flatten_s=300)


def ns(text):
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


def holding(when, **positions):
    return Holding(now_ns=ns(when), positions=positions, working=())


@pytest.mark.parametrize(
    ("when", "hours", "is_late"),
    [
        ("2025-11-24 20:55:59", REGULAR, False),  # Monday: flatten time 15:55 New York is 20:55 UTC, a minute of grace
        ("2025-11-24 20:56:00", REGULAR, True),
        ("2025-11-24 21:59:00", REGULAR, True),
        ("2025-11-24 22:30:00", REGULAR, True),  # maintenance: the market is closed
        ("2025-11-24 23:30:00", REGULAR, True),  # Tuesday's evening session: before the hours begin
        ("2025-11-24 14:29:59", REGULAR, True),
        ("2025-11-24 14:30:00", REGULAR, False),  # 09:30 New York
        ("2025-11-28 17:55:59", REGULAR, False),  # day after Thanksgiving: stocks close 13:00, flatten time 12:55
        ("2025-11-28 17:56:00", REGULAR, True),
        ("2025-12-24 17:56:00", REGULAR, True),  # Christmas Eve likewise
        ("2026-03-09 19:56:00", REGULAR, True),  # the US in summer time already: 15:55 New York is 19:55 UTC
        ("2026-03-09 19:55:30", REGULAR, False),
        ("2026-10-26 19:56:00", REGULAR, True),  # and still, when Europe is not any more
        ("2025-11-24 23:30:00", ALL, False),  # trading whenever the venue does: 18:00 to 16:55 New York
        ("2025-11-25 21:55:30", ALL, False),
        ("2025-11-25 21:56:00", ALL, True),
        ("2025-11-28 18:11:00", ALL, True),  # half day: futures close 13:15, flatten time 13:10
        ("2025-11-29 12:00:00", ALL, True),  # Saturday
    ],
)
def test_position_when_the_venue_s_clock_says_so_then_bell(when, hours, is_late):
    found = judge(holding(when, ESZ5=2), 1.0, CONFIG, hours)
    assert [finding.key for finding in found] == (["bell"] if is_late else [])
    assert all(finding.must_flatten for finding in found)


def test_bell_when_early_close_then_says_so():
    (finding,) = judge(holding("2025-11-28 17:56:00", ESZ5=-1), 1.0, CONFIG, REGULAR)
    assert finding.text == "-1 ESZ5 is open after the flatten time 12:55 America/New_York, early close"


def test_bell_when_switched_off_then_nothing():
    config = GuardConfig(flat_at_bell=False)
    assert judge(holding("2025-11-24 22:30:00", ESZ5=1), 1.0, config, REGULAR) == []


def test_flat_account_when_anything_is_late_or_stale_then_nothing():
    assert judge(holding("2025-11-24 22:30:00"), None, CONFIG, REGULAR) == []


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (60.0, None),
        (60.1, ("stale", Severity.ALARM, False)),
        (300.0, ("stale", Severity.ALARM, False)),
        (300.1, ("dead", Severity.CRITICAL, True)),
        (None, ("stale", Severity.ALARM, False)),  # nobody claims the account: said, not closed
    ],
)
def test_heartbeat_when_old_and_a_position_is_open_then_alarm_and_later_flatten(age_s, expected):
    found = judge(holding("2025-11-24 15:00:00", ESZ5=1), age_s, CONFIG, REGULAR)
    assert [(f.key, f.severity, f.must_flatten) for f in found] == ([expected] if expected else [])


def test_heartbeat_when_flattening_is_switched_off_then_alarm_alone():
    config = GuardConfig(stale_flatten_s=None)
    (finding,) = judge(holding("2025-11-24 15:00:00", ESZ5=1), 1e6, config, REGULAR)
    assert (finding.severity, finding.must_flatten) == (Severity.ALARM, False)


def test_resources_when_short_then_warned():
    beat = Beat(
        ts=0,
        market_ns=0,
        pid=1,
        host="",
        process_token="",
        session_id="",
        strategy="",
        mode="",
        account="",
        state="",
        memory_mb=99,
    )
    config = GuardConfig(memory_mb=98, disk_free_mb=10)
    assert [f.key for f in judge_resources(beat, 11.0, config)] == ["memory"]
    assert [f.key for f in judge_resources(None, 9.0, config)] == ["disk"]


class Bench:
    """A guard over an account in memory, with a clock that the test sets."""

    def __init__(self, folder, account, accounts=(), **settings):
        self.wall = 1_000_000 * NS_PER_SECOND
        self.notices, self.latched = [], []
        self.file = folder / "heartbeat.json"
        self.account = account
        config = GuardConfig(**{"disk_free_mb": 0, "repeat_s": 100, **settings})
        self.guard = Guard(
            account,
            config,
            KillConfig(attempts=2, wait_s=0.01),
            REGULAR,
            self.file,
            wall_ns=lambda: self.wall,
            sink=self.notices.append,
            latch=self.latched.append,
            failures=(OSError,),
            is_ours=speaks_for(account, accounts or (account,)),
        )

    def beat(self, account="p", strategy="x"):
        beat = Beat(
            ts=self.wall,
            market_ns=0,
            pid=1,
            host="h",
            process_token="t",
            session_id="s",
            strategy=strategy,
            mode="paper",
            account=account,
            state="ACTIVE",
            broker="venue",
        )
        who = {"broker": "venue", "mode": "paper", "account": account, "strategy": strategy}
        beat_file(self.file, **who).write_text(json.dumps(asdict(beat)))

    def pass_s(self, seconds, every=10):
        for _ in range(int(seconds / every)):
            self.wall += every * NS_PER_SECOND
            self.guard.step()

    @property
    def texts(self):
        return [notice.text for notice in self.notices]


NOON = ns("2025-11-24 17:00:00")
AFTER_BELL = ns("2025-11-24 20:57:00")


def test_guard_when_position_is_open_after_the_bell_then_cancels_flattens_verifies_latches_and_says_so(tmp_path):
    bench = Bench(tmp_path, HeldAccount(AFTER_BELL, {"ESZ5": 2}))
    bench.beat()
    bench.guard.step()
    assert bench.account.positions == {}
    assert bench.account.asked == ["snapshot", "snapshot", "cancel_all", "flatten", "wait_flat", "snapshot"]
    assert {notice.code for notice in bench.notices} == {NoticeCode.GUARD}
    assert "15:55 America/New_York" in bench.texts[0]
    assert bench.texts[1].startswith("the guard cancels and flattens account 'paper'")
    assert "is flat, the venue says so; before: +2 ESZ5, 1 working orders" in bench.texts[2]
    assert len(bench.latched) == 1
    bench.pass_s(20)
    assert len(bench.notices) == 3


def test_guard_when_a_cancel_is_refused_then_flattens_all_the_same(tmp_path):
    bench = Bench(tmp_path, HeldAccount(AFTER_BELL, {"ESZ5": 2}))
    bench.account.refuses_cancels = True
    bench.guard.step()
    assert bench.account.positions == {}


def test_guard_when_the_venue_does_not_obey_then_alerts_and_tries_again(tmp_path):
    bench = Bench(tmp_path, HeldAccount(AFTER_BELL, {"ESZ5": 2}))
    bench.account.ignores = 3
    bench.guard.step()
    assert "is NOT flat after 2 attempts" in bench.texts[-1]
    assert "close it by hand" in bench.texts[-1]
    bench.pass_s(10)
    assert bench.account.positions == {}
    assert "is flat, the venue says so" in bench.texts[-1]


def test_guard_when_the_latch_fails_then_says_so_and_goes_on(tmp_path):
    bench = Bench(tmp_path, HeldAccount(AFTER_BELL, {"ESZ5": 2}))

    def fail(reason):
        raise OSError("disk is gone")

    bench.guard._latch = fail
    bench.guard.step()
    assert any("could not be latched (disk is gone)" in text for text in bench.texts)
    assert "is flat, the venue says so" in bench.texts[-1]


def test_guard_when_the_heartbeat_stops_with_a_position_open_then_alarms_and_then_flattens(tmp_path):
    bench = Bench(tmp_path, HeldAccount(NOON, {"ESZ5": 1}), stale_s=60, stale_flatten_s=300)
    bench.beat()
    bench.pass_s(60)
    assert bench.notices == []
    bench.pass_s(10)
    assert [notice.code for notice in bench.notices] == [NoticeCode.HEARTBEAT_STALE]
    bench.pass_s(230)
    assert bench.account.positions == {"ESZ5": 1}
    bench.pass_s(10)
    assert bench.account.positions == {}
    assert "the heartbeat is 310 s old" in bench.texts[-1]


def test_guards_when_two_sessions_share_a_folder_then_each_is_judged_by_its_own_heartbeat(tmp_path):
    one, other = HeldAccount(NOON, {"ESZ5": 1}, "one"), HeldAccount(NOON, {"NQZ5": 1}, "other")
    settings = {"stale_s": 60, "stale_flatten_s": 300}
    hung = Bench(tmp_path, one, (one, other), **settings)
    lively = Bench(tmp_path, other, (one, other), **settings)
    hung.beat("one")
    for _ in range(35):
        lively.beat("other")
        hung.pass_s(10)
        lively.pass_s(10)
    assert (one.positions, other.positions) == ({}, {"NQZ5": 1})
    assert lively.notices == []


def test_guard_when_another_process_has_taken_the_account_over_then_the_newest_speaks(tmp_path):
    bench = Bench(tmp_path, HeldAccount(NOON, {"ESZ5": 1}), stale_s=60, stale_flatten_s=300)
    bench.beat("paper", "left_behind")
    for _ in range(35):
        bench.beat("paper", "order_flow")
        bench.pass_s(10)
    assert bench.account.positions == {"ESZ5": 1}


def test_guard_when_a_process_calls_the_account_by_a_name_of_its_own_then_its_heartbeat_counts_all_the_same(tmp_path):
    bench = Bench(tmp_path, HeldAccount(NOON, {"ESZ5": 1}), stale_s=60, stale_flatten_s=300)
    bench.beat("what I call it")
    bench.pass_s(310)
    assert bench.account.positions == {}


def test_guard_when_the_session_ended_in_good_order_then_says_it_and_leaves_the_position(tmp_path):
    bench = Bench(tmp_path, HeldAccount(NOON, {"ESZ5": 1}))
    bench.pass_s(1_000)
    assert bench.account.positions == {"ESZ5": 1}
    assert "no process trades, while +1 ESZ5" in bench.texts[0]
    assert len(bench.notices) == 10  # once every `repeat_s` of 100


def test_guard_when_the_machine_slept_then_starts_counting_anew(tmp_path):
    bench = Bench(tmp_path, HeldAccount(NOON, {"ESZ5": 1}), stale_s=60, stale_flatten_s=300)
    bench.beat()
    bench.pass_s(10)
    bench.wall += 8 * 3_600 * NS_PER_SECOND
    bench.guard.step()
    bench.pass_s(60)
    assert bench.notices == []
    bench.pass_s(250)
    assert bench.account.positions == {}


def test_guard_when_looking_takes_long_then_is_not_taken_for_sleep_and_flattens_in_time(tmp_path):
    # three attempts at a slow venue, this account's or another's, take longer than `stale_s`
    bench = Bench(tmp_path, HeldAccount(NOON, {"ESZ5": 1}), stale_s=60, stale_flatten_s=300)
    bench.beat()
    for _ in range(5):
        bench.wall += 10 * NS_PER_SECOND
        bench.guard.step()
        bench.wall += 70 * NS_PER_SECOND
        bench.guard.looked()
    assert bench.account.positions == {}


def test_guard_when_the_venue_is_silent_then_warns_then_alarms_and_more_so_with_a_position(tmp_path):
    bench = Bench(tmp_path, HeldAccount(NOON, {"ESZ5": 1}), silent_s=30)
    bench.beat()
    bench.guard.step()
    bench.account.is_silent = True
    bench.beat()
    bench.pass_s(30)
    bench.beat()
    bench.pass_s(10)
    assert [notice.severity for notice in bench.notices] == [Severity.WARNING, Severity.CRITICAL]
    assert "when it last answered the account had +1 ESZ5" in bench.texts[-1]


def test_guard_when_the_heartbeat_file_is_damaged_then_goes_on(tmp_path):
    bench = Bench(tmp_path, HeldAccount(AFTER_BELL, {"ESZ5": 1}))
    bench.file.write_text("{")
    bench.file.with_name("heartbeat-venue-paper-p-x.json").write_text("{")
    bench.guard.step()
    assert bench.account.positions == {}


def test_guard_when_a_symbol_is_unknown_then_counts_as_closed_market(tmp_path):
    bench = Bench(tmp_path, HeldAccount(NOON, {"NOBODY-KNOWS-1": 1}))
    bench.beat()
    bench.guard.step()
    assert bench.account.positions == {}
    assert "while its market is closed" in bench.texts[0]
