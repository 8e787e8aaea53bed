"""A session's market from its recording: followed while it is written, and as it was at any moment."""

import numpy as np
import pytest

from dashboard_stage import DAY, ticks_between, write_slices
from example_run import ES, START
from sovereign.app.dashboard.replica import Replica, closed_bars, open_bar
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.conductor import opened
from sovereign.engine.inputs import HealthChanged, Opening, SessionClosed, Slice, TimePromised, to_frame
from sovereign.signals.order_flow import OrderFlowStream
from sovereign.store.recording import Recording

TICKS = ticks_between(DAY.regular_open_ns, DAY.regular_open_ns + 40 * NS_PER_MINUTE)


@pytest.fixture
def new_replica():
    made = []

    def make(path, new_stream=OrderFlowStream):
        made.append(Replica(path, new_stream))
        return made[-1]

    yield make
    for replica in made:
        replica.close()


@pytest.fixture
def recording(tmp_path):
    found = Recording(tmp_path / "s.rec", {}, DAY.open_ns)
    found.append(to_frame(opened(DAY, [ES], Opening(balance=START, high_water_mark=START))))
    yield found
    found.close()


def whole_stream():
    stream = OrderFlowStream(ES)
    stream.start_session(DAY)
    stream.advance(TICKS, int(TICKS.ts[-1]))
    return stream


def test_replica_when_read_while_written_then_the_same_bars_as_in_one_piece(recording, new_replica):
    replica = new_replica(recording.path)
    for part in range(4):
        write_slices(recording, TICKS.slice(part * 1_000, (part + 1) * 1_000))
        assert replica.look()
    assert not replica.look()
    stream, tape = whole_stream(), replica.tapes["ES"]
    assert len(tape.rows()) == len(stream.rows) > 5
    assert tape.rows().tobytes() == stream.rows.tobytes()
    for row in range(len(stream.rows)):
        assert tape.levels(row).tobytes() == stream.footprint(row).tobytes()


def test_bars_when_asked_for_a_moment_then_made_of_what_was_known_then(recording, new_replica):
    write_slices(recording, TICKS)
    replica = new_replica(recording.path)
    replica.look()
    tape = replica.tapes["ES"]
    for minute in (3, 7, 12, 26):
        at = DAY.regular_open_ns + minute * NS_PER_MINUTE + 1
        total = len(tape.rows(at))
        assert total == minute // 5
        assert all(bar["close_ms"] * 1e6 <= at for bar in closed_bars(tape, 0, total, total))
        growing = open_bar(tape, at, total)
        known = tape.ticks[4] <= at
        inside = known & (TICKS.ts >= DAY.regular_open_ns + total * 5 * NS_PER_MINUTE)
        assert growing["volume"] == int(TICKS.size[inside].sum())
        assert growing["delta"] == int((TICKS.size[inside] * TICKS.side[inside].astype(np.int64)).sum())
        assert growing["close"] == int(TICKS.price[inside][-1]) == tape.last(at).ticks


def test_cells_when_listed_then_volumes_add_up_to_the_bar(recording, new_replica):
    write_slices(recording, TICKS)
    replica = new_replica(recording.path)
    replica.look()
    tape = replica.tapes["ES"]
    for bar in closed_bars(tape, 0, 100, len(tape.rows())):
        assert sum(bid + ask for _, bid, ask, _ in bar["cells"]) == bar["volume"]
        assert sum(ask - bid for _, bid, ask, _ in bar["cells"]) == bar["delta"]
        assert {mark for *_, mark in bar["cells"]} <= {-1, 0, 1, 2}


def test_replica_when_the_end_is_broken_then_waits_for_the_rest(recording, new_replica, tmp_path):
    write_slices(recording, TICKS)
    whole = recording.path.read_bytes()
    file = tmp_path / "cut.rec"
    file.write_bytes(whole[:-7])
    replica = new_replica(file, None)
    replica.look()
    before = replica.inputs
    assert not replica.look()
    with file.open("ab") as stream:
        stream.write(whole[-7:])
    assert replica.look()
    assert replica.inputs == before + 1


def test_replica_when_a_tick_comes_too_late_then_taken_at_the_time_already_promised(recording, new_replica):
    write_slices(recording, TICKS)
    late = TICKS.slice(10, 11)
    last = int(TICKS.ts[-1])
    recording.append(to_frame(Slice(ts=last + 5, symbol="ES", trades=late, until_ns=last + 5)))
    replica = new_replica(recording.path)
    replica.look()
    tape = replica.tapes["ES"]
    assert tape.fault == ""
    assert tape.last().ts == last
    assert tape.last(last + 4).ticks == int(TICKS.price[-1])
    assert tape.last(last + 5).ticks == int(late.price[0])


def test_replica_when_there_is_no_file_then_nothing_is_new(tmp_path):
    assert Replica(tmp_path / "none.rec", None).look() is False


def test_parts_when_asked_for_a_moment_then_the_last_word_until_then(recording, new_replica):
    for minute, is_well in ((1, False), (5, True)):
        ts = DAY.regular_open_ns + minute * NS_PER_MINUTE
        recording.append(to_frame(HealthChanged(ts=ts, subject="data:ES", is_well=is_well, reason=f"minute {minute}")))
    recording.append(to_frame(TimePromised(ts=DAY.regular_open_ns + 6 * NS_PER_MINUTE)))
    recording.append(to_frame(SessionClosed(ts=DAY.close_ns)))
    replica = new_replica(recording.path, None)
    replica.look()
    assert replica.parts()["data:ES"].is_well
    assert not replica.parts(DAY.regular_open_ns + 2 * NS_PER_MINUTE)["data:ES"].is_well
    assert replica.parts(DAY.regular_open_ns) == {}
    assert replica.is_over
    assert replica.now_ns == DAY.close_ns
