"""The live session against a market, a broker and a person that are all this test."""

from decimal import Decimal

import pytest
from live_bench import BALANCE, SESSION, TEN, Bench, Journal, S, buy, command, play

from fakes.hand_fed import HandLink
from sovereign.core.errors import BrokerError, RiskHaltError
from sovereign.core.event import TradeClosed, TradingState
from sovereign.core.order import OrderEvent
from sovereign.engine.inputs import read_inputs
from sovereign.store.recording import read_recording


def ready(bench):
    bench.push(0, 20_000)
    return lambda: bench.is_well() and bench.engine.last_ticks()


# Commands


def test_trade_of_a_person_when_asked_for_then_takes_the_door_and_fills(tmp_path):
    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: bench.seen("COMMAND_TAKEN")
        bench.push(1, 20_001, 20_001)
        yield lambda: bench.held() == 1
        yield command("trade", symbol="ES", side="SELL")
        yield lambda: bench.seen("COMMAND_REFUSED")
        yield command("trade", symbol="NQ", side="BUY")
        yield lambda: len(bench.seen("COMMAND_REFUSED")) == 2
        yield command("trade", symbol="ES", side="SELL", qty=1, flip="yes", stop_ticks=16, target_ticks=40)
        yield lambda: len(bench.seen("COMMAND_TAKEN")) == 2
        bench.push(2, 20_003, 20_003, 20_003)
        yield lambda: bench.held() == -1

    bench = play(tmp_path, script)
    assert bench.ending.exit_code == 0, bench.ending.reason
    texts = [notice.text for notice in bench.seen("COMMAND_REFUSED")]
    assert "flip" in texts[0]
    assert "traded in this session are ES" in texts[1]
    assert [event.trade.gross for event in bench.events if isinstance(event, TradeClosed)] == [Decimal(25)]


def test_flip_when_the_closing_order_is_rejected_then_it_is_given_up_and_nothing_is_opened_later(tmp_path):
    link = HandLink()

    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: bench.held() == 1
        link.fills = None
        yield command("trade", symbol="ES", side="SELL", qty=1, flip="yes", stop_ticks=16, target_ticks=40)
        yield lambda: len([name for name, _ in link.requests if name == "NEW"]) == 2
        leaving = list(link.orders)[-1]
        link.tell(OrderEvent.REJECT, leaving, reason="the market is closed")
        del link.orders[leaving]
        yield lambda: bench.seen("COMMAND_REFUSED")
        link.fills = 20_000
        yield command("flatten")
        yield lambda: bench.held() == 0
        bench.push(1, 20_000)
        yield lambda: bench.conductor.until_ns >= TEN + S

    bench = play(tmp_path, script, link)
    assert bench.ending.exit_code == 0, bench.ending.reason
    (notice,) = bench.seen("COMMAND_REFUSED")
    assert "given up" in notice.text
    assert "is REJECTED" in notice.text
    assert bench.held() == 0
    assert [order.side for order in link.orders.values() if order.filled_qty] == ["BUY", "SELL"]


def test_resume_when_a_kill_is_named_then_it_is_cleared_with_what_else_a_person_may_clear(tmp_path):
    def script(bench):
        yield ready(bench)
        yield command("halt", cause="kill")
        yield lambda: bench.engine.state is TradingState.HALTED
        yield command("halt")
        yield command("resume", by="bob")
        yield lambda: len(bench.seen("COMMAND_TAKEN")) == 3
        assert bench.engine.state is TradingState.HALTED
        yield command("resume", by="bob", kill="true")
        yield lambda: bench.engine.state is TradingState.ACTIVE

    bench = play(tmp_path, script)
    assert bench.ending.exit_code == 0, bench.ending.reason


def test_halt_when_a_person_orders_it_then_everything_is_closed_and_stays_so_until_resumed_by_name(tmp_path):
    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: bench.seen("COMMAND_TAKEN")
        bench.push(1, 20_001)
        yield lambda: bench.held() == 1
        yield command("halt", reason="smoke")
        yield lambda: bench.engine.state is TradingState.HALTED
        bench.push(2, 20_001)
        yield lambda: bench.held() == 0
        yield buy()
        yield lambda: bench.seen("COMMAND_REFUSED")
        yield command("resume", by="bob", reason="no fire")
        yield lambda: bench.engine.state is TradingState.ACTIVE
        yield buy()
        yield lambda: len(bench.seen("COMMAND_TAKEN")) == 4
        bench.push(3, 20_001)
        yield lambda: bench.held() == 1

    bench = play(tmp_path, script)
    assert bench.ending.exit_code == 0, bench.ending.reason
    states = [(e.state.name, e.by) for e in bench.events if type(e).__name__ == "TradingStateChanged"]
    assert states == [("HALTED", "ann"), ("ACTIVE", "bob")]


def test_reduce_flatten_cancel_dry_run_and_repeated_ids_when_given_then_do_what_they_say(tmp_path):
    def script(bench):
        yield ready(bench)
        dry = buy(dry_run="yes")
        yield dry
        yield lambda: bench.seen("COMMAND_TAKEN")
        yield dry
        yield buy()
        yield lambda: len(bench.seen("COMMAND_TAKEN")) == 2
        bench.push(1, 20_001)
        yield lambda: bench.held() == 1
        yield command("reduce")
        yield lambda: bench.engine.state is TradingState.REDUCING
        assert bench.held() == 1
        yield command("flatten", symbol="NQ")
        yield lambda: bench.seen("COMMAND_REFUSED")
        yield command("flatten")
        yield lambda: len(bench.seen("COMMAND_TAKEN")) == 4
        bench.push(2, 20_001)
        yield lambda: bench.held() == 0
        yield command("cancel", order="nonsense")
        yield lambda: len(bench.seen("COMMAND_REFUSED")) == 2
        yield command("stop")
        yield lambda: False

    bench = play(tmp_path, script)
    assert bench.ending.exit_code == 0
    assert "stopped by ann" in bench.ending.reason
    assert not bench.ending.is_closed
    assert "would be sent" in bench.seen("COMMAND_TAKEN")[0].text
    assert len(bench.seen("COMMAND_TAKEN")) == 5


# Silence and lines


def test_feed_when_mute_then_entries_are_refused_the_line_is_made_anew_and_data_restore_it(tmp_path):
    def script(bench):
        bench.push(0, 20_000)
        yield lambda: bench.seen("DATA_STALE", "ALARM") and bench.feed.reconnects
        yield buy()
        yield lambda: bench.seen("COMMAND_REFUSED")
        for second in range(1, 1_000):
            bench.push(second, 20_000)
            yield bench.is_well
            told = len(bench.seen("COMMAND_REFUSED"))
            yield buy()
            yield lambda told=told: bench.seen("COMMAND_TAKEN") or len(bench.seen("COMMAND_REFUSED")) > told
            if bench.seen("COMMAND_TAKEN"):
                break  # a machine that is busy for a tenth of a second makes it mute again before the order comes
        assert bench.seen("DATA_RESTORED")

    bench = play(tmp_path, script, stale_data_s=0.1)
    assert bench.ending.exit_code == 0, bench.ending.reason
    assert "health" in bench.seen("COMMAND_REFUSED")[0].text
    assert bench.seen("DATA_STALE")[0].subject == "data:ES"


def test_feed_when_mute_while_the_venue_is_closed_then_nothing_is_wrong(tmp_path):
    def script(bench):
        yield ready(bench)
        bench.feed.clock.ts = SESSION.close_ns - 1
        bench.feed.clock.ts = SESSION.close_ns + S
        beats = len(bench.beats)
        yield lambda: bench.live.conductor.is_closed or len(bench.beats) > beats + 300

    bench = play(tmp_path, script, stale_data_s=0.5)
    assert bench.ending.is_closed
    assert not bench.seen("DATA_STALE")


def test_connection_when_lost_then_entries_are_refused_until_it_is_back(tmp_path):
    def script(bench):
        yield ready(bench)
        bench.feed.on_connection(False, "reset")
        yield lambda: bench.seen("CONNECTION_LOST", "ALARM")
        yield buy()
        yield lambda: bench.seen("COMMAND_REFUSED")
        bench.feed.on_connection(True, "again")
        yield lambda: bench.seen("CONNECTION_RESTORED")
        yield buy()
        yield lambda: bench.seen("COMMAND_TAKEN")

    assert play(tmp_path, script).ending.exit_code == 0


def test_backlog_when_market_data_is_old_then_entries_are_refused_until_it_is_worked_off(tmp_path):
    def script(bench):
        yield ready(bench)
        bench.feed.clock.ts = TEN + 60 * S
        bench.push(1, 20_000)
        yield lambda: any(n.subject == "backlog" for n in bench.seen("DATA_STALE"))
        yield lambda: any(n.subject == "backlog" for n in bench.seen("DATA_RESTORED"))

    assert play(tmp_path, script).ending.exit_code == 0


def test_time_when_the_feed_is_silent_then_goes_on_by_the_clock_and_the_flattening_fires(tmp_path):
    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: bench.seen("COMMAND_TAKEN")
        bench.push(1, 20_001)
        yield lambda: bench.held() == 1
        bench.feed.clock.ts = bench.engine.door.flatten_ns(SESSION) + S
        yield lambda: any(o.role.name == "FLATTEN" for o in bench.engine.executor.working())

    assert play(tmp_path, script).ending.exit_code == 0


def test_io_thread_when_something_breaks_there_then_session_ends_loudly_with_an_exit_code(tmp_path):
    def script(bench):
        bench.feed.failure = BrokerError("the socket library exploded")
        bench.push(0, 20_000)
        yield lambda: False

    bench = play(tmp_path, script, stale_data_s=0.05)
    assert bench.ending.exit_code == 7
    assert "exploded" in bench.seen("FAILURE", "CRITICAL")[0].text


def test_decision_thread_when_something_breaks_there_then_session_ends_loudly_with_an_exit_code(tmp_path):
    def script(bench):
        yield ready(bench)
        raise ZeroDivisionError("a defect")

    bench = play(tmp_path, script)
    assert bench.ending.exit_code == 1
    assert "a defect" in bench.seen("FAILURE", "CRITICAL")[0].text


# The broker


def test_remote_session_when_begun_then_waits_for_a_clean_comparison_before_entries(tmp_path):
    link = HandLink(is_deaf=True)

    def script(bench):
        bench.push(0, 20_000)
        yield bench.engine.last_ticks
        yield buy()
        yield lambda: bench.seen("COMMAND_REFUSED")
        link.is_deaf = False
        yield lambda: bench.seen("RECONCILED")
        yield buy()
        yield lambda: bench.held() == 1

    bench = play(tmp_path, script, link)
    assert bench.ending.exit_code == 0, bench.ending.reason
    assert "reconciliation" in bench.seen("COMMAND_REFUSED")[0].text


def test_fill_when_told_twice_or_late_then_counts_once(tmp_path):
    link = HandLink(fills=None)

    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: link.orders
        (name,) = link.orders
        link.fill(name, 1, 20_000)
        link.tell(OrderEvent.FILL, name, trade_id="E1", quantity=1, price_ticks=20_000)
        link.tell(OrderEvent.ACCEPT, name)
        yield lambda: bench.held() == 1
        bench.push(1, 20_000)
        yield lambda: bench.conductor.until_ns >= TEN + S

    bench = play(tmp_path, script, link)
    assert bench.ending.exit_code == 0, bench.ending.reason
    assert bench.held() == 1


@pytest.mark.parametrize("arrived", [True, False])
def test_order_when_not_answered_then_is_asked_for_and_the_venue_decides(tmp_path, arrived):
    link = HandLink(answers=False, loses=not arrived)

    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: bench.seen("ORDER_IN_FLIGHT") and link.asked
        bench.push(30, 20_000)
        yield lambda: not bench.engine.executor.in_flight(bench.engine.now_ns)
        yield lambda: bench.seen("RECONCILED") and bench.is_well()

    bench = play(tmp_path, script, link, in_flight_s=0.05, in_flight_grace_s=5)
    assert bench.ending.exit_code == 0, bench.ending.reason
    assert bench.held() == (1 if arrived else 0)
    assert [request for request, _ in link.requests] == ["NEW"]


def test_position_when_the_broker_has_one_that_nobody_knows_then_is_adopted_and_announced(tmp_path):
    link = HandLink()
    link.positions["ES"] = (2, 40_010)

    def script(bench):
        bench.push(0, 20_000)
        yield lambda: bench.seen("POSITION_ADOPTED") and bench.seen("RECONCILED")

    bench = play(tmp_path, script, link)
    assert bench.ending.exit_code == 0, bench.ending.reason
    position = bench.engine.positions["ES"]
    assert (position.quantity, position.cost_ticks) == (2, 40_010)


def entered(bench):
    yield ready(bench)
    yield buy()
    yield lambda: bench.held() == 1


class Batches:
    """A journal that keeps several requests at once, and notes what had left when it did."""

    def __init__(self, link):
        self.link = link
        self.kept = []
        self.breaks = False

    def record_all(self, requests):
        if self.breaks:
            raise RiskHaltError("the disk is full")
        self.kept.append(
            ([(order.client_order_id, request, order.status) for order, request, _ in requests], len(self.link.requests))
        )


def test_requests_when_one_input_leads_to_several_then_they_are_durable_together_before_the_first_leaves(tmp_path):
    link = HandLink()
    journal = Batches(link)

    def script(bench):
        link.fills = None
        yield ready(bench)
        yield command("trade", symbol="ES", side="BUY", qty=2, stop_ticks=16, target_ticks=40)
        yield lambda: link.orders
        link.fill(next(iter(link.orders)), 1, 20_000)
        yield lambda: bench.held() == 1
        link.fills = 20_000
        yield command("flatten")
        yield lambda: bench.held() == 0

    bench = Bench(tmp_path / "a.rec", script, link, journal)
    bench.ending = bench.run()
    assert bench.ending.exit_code == 0, bench.ending.reason
    assert [[request for _, request, _ in requests] for requests, _ in journal.kept] == [["NEW"], ["CANCEL", "NEW"]]
    assert [left for _, left in journal.kept] == [0, 1]  # what had left when they were kept
    said = [one for batch, _ in journal.kept for one in batch]
    assert [(request, name) for name, request, _ in said] == link.requests
    assert {status for _, request, status in said if request == "NEW"} == {"INITIALIZED"}


def test_requests_when_they_cannot_be_kept_then_none_of_them_leaves_and_the_session_says_so(tmp_path):
    link = HandLink()
    journal = Batches(link)

    def script(bench):
        yield from entered(bench)
        journal.breaks = True
        yield command("flatten")
        yield lambda: False

    bench = Bench(tmp_path / "a.rec", script, link, journal)
    bench.ending = bench.run()
    assert bench.ending.exit_code == RiskHaltError.exit_code
    assert "the disk is full" in bench.ending.reason
    assert [request for request, _ in link.requests] == ["NEW"]

    # The next start finds that the close never left, and decides on it anew.
    def going_on(bench):
        yield lambda: bench.held() == 0

    journal.breaks = False
    said = [one for batch, _ in journal.kept for one in batch]
    kept = [type("Kept", (), {"client_order_id": name, "request": request})() for name, request, _ in said]
    again = Bench(tmp_path / "a.rec", going_on, link, journal, kept)
    assert again.run().exit_code == 0
    assert [request for request, _ in link.requests] == ["NEW", "NEW"]


# Recovery with a broker elsewhere


def test_restart_when_a_request_had_not_been_kept_then_never_left_and_is_closed_not_sent(tmp_path):
    link, journal = HandLink(fills=None), Journal()

    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: link.orders

    Bench(tmp_path / "a.rec", script, link, journal=journal).run()
    assert [request for _, request in journal.kept] == ["NEW"]
    second, again = HandLink(fills=None), Journal()

    def resumed(bench):
        yield bench.is_well

    # As if it had been killed between recording the command and keeping the request: nothing was kept.
    bench = Bench(tmp_path / "a.rec", resumed, second, journal=again)
    assert [request for _, request in bench.journal.never_left] == ["NEW"]
    assert bench.run().exit_code == 0
    assert bench.seen("RECOVERED")
    assert not list(bench.engine.executor.working())
    assert (second.requests, again.kept) == ([], [])
    assert bench.feed.resumed[-1] == ("ES", TEN, 1)
    assert bench.feed.worked[0] == TEN  # told again: the first may have died before it did, and a lockstep venue waits for it


def test_restart_when_a_request_had_been_kept_then_is_in_flight_and_not_sent_twice(tmp_path):
    link, journal = HandLink(fills=None, answers=False), Journal()

    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: link.orders

    Bench(tmp_path / "a.rec", script, link, journal=journal).run()
    kept = [type("Kept", (), {"client_order_id": name, "request": request})() for name, request in journal.kept]
    (name,) = link.orders
    link.fill(name, 1, 20_002, is_told=False)  # while nobody listened
    link.requests.clear()

    def resumed(bench):
        yield lambda: bench.held() == 1 and bench.is_well()

    bench = Bench(tmp_path / "a.rec", resumed, link, journal=Journal(), kept=kept)
    assert bench.run().exit_code == 0
    assert link.requests == []
    assert bench.engine.positions["ES"].cost_ticks == 20_002
    assert not bench.seen("REPLAY_DIFFERS")


def test_restart_when_the_journal_holds_what_the_replay_does_not_make_then_is_said_and_waits_for_a_person(tmp_path):
    def script(bench):
        yield ready(bench)

    Bench(tmp_path / "a.rec", script, HandLink(), journal=Journal()).run()
    kept = [type("Kept", (), {"client_order_id": "order_flow-20250304-ES-00099-E", "request": "NEW"})()]

    def resumed(bench):
        yield bench.is_well
        yield buy()
        yield lambda: bench.seen("COMMAND_REFUSED")
        yield command("resume", by="bob")
        yield lambda: bench.engine.state is TradingState.ACTIVE

    bench = Bench(tmp_path / "a.rec", resumed, HandLink(), journal=Journal(), kept=kept)
    ending = bench.run()
    assert ending.exit_code == 0, ending.reason
    assert "00099" in bench.seen("REPLAY_DIFFERS", "ALARM")[0].text


def test_restart_when_the_recording_is_gone_then_nothing_is_opened_until_a_person_has_looked(tmp_path):
    # the journal knows of a request of this session; the halts, losses and order numbers before it are unknown here
    kept = [type("Kept", (), {"client_order_id": "order_flow-20250304-ES-00001-E", "request": "NEW"})()]

    def script(bench):
        yield ready(bench)
        yield buy()
        yield lambda: bench.seen("COMMAND_REFUSED")

    bench = Bench(tmp_path / "elsewhere.rec", script, HandLink(), journal=Journal(), kept=kept)
    ending = bench.run()
    assert ending.exit_code == 0, ending.reason
    assert "its recording is not here" in bench.seen("REPLAY_DIFFERS", "ALARM")[0].text
    assert bench.engine.state is TradingState.REDUCING
    assert not bench.link.orders


def test_restart_when_repeated_many_times_then_the_books_stay_what_they_are(tmp_path):
    link, journal = HandLink(), Journal()
    bench = Bench(tmp_path / "a.rec", entered, link, journal=journal)
    assert bench.run().exit_code == 0

    def resumed(bench):
        yield bench.is_well

    for _ in range(4):
        kept = [type("Kept", (), {"client_order_id": n, "request": r})() for n, r in journal.kept]
        bench = Bench(tmp_path / "a.rec", resumed, link, journal=journal, kept=kept)
        assert bench.run().exit_code == 0
        assert bench.held() == 1
        assert bench.engine.account.balance == BALANCE
    assert [request for request, _ in link.requests] == ["NEW"]
    kinds = [type(item).__name__ for item in read_inputs(read_recording(tmp_path / "a.rec"))]
    assert kinds.count("SessionOpened") == 1
