"""The shadow twin: each cause planted alone into a session that is otherwise its backtest, and found again as that cause."""

import json
from decimal import Decimal

import numpy as np
import pytest

from fakes.recorded_session import BALANCE, Planted, RecordedSession, S, command, recipe
from sovereign.core.columns import Trades
from sovereign.core.command import CommandKind
from sovereign.core.event import encode
from sovereign.engine.inputs import Slice, read_inputs, to_frame
from sovereign.research.backtest import LaneSpec, main_lane, run_backtest
from sovereign.research.twin.attribution import Cause
from sovereign.research.twin.books import ItemKind
from sovereign.research.twin.page import render_page
from sovereign.research.twin.plain import to_plain
from sovereign.research.twin.playback import exact, in_order
from sovereign.research.twin.shadow import Facts, shadow
from sovereign.store.recording import Recording, read_recording

FACTS = Facts(session_id="paper-order_flow-20251117")
MANUAL = command(CommandKind.TRADE, "c1", symbol="ES", side="BUY", qty="1")


def twin_of(planted=None, facts=FACTS, plan=None):
    live = RecordedSession(plan or recipe(), planted)
    result = shadow(live.recorded, facts, live.stored)
    # The books are those of the account, to the cent, and the parts add up to the difference.
    assert result.live.net == live.engine.account.balance - BALANCE
    assert sum((share.net for share in result.shares), Decimal(0)) == result.net
    assert result.replay.is_exact
    return result


def causes(result):
    return {share.cause for share in result.shares if not share.is_empty}


def share(result, cause):
    return next(share for share in result.shares if share.cause is cause)


@pytest.fixture(scope="module")
def clean():
    return RecordedSession(recipe())


@pytest.fixture(scope="module")
def identical(clean):
    return shadow(clean.recorded, FACTS, clean.stored)


def test_twin_when_nothing_went_otherwise_then_identical(identical):
    assert identical.verdict == "identical"
    assert identical.differences == ()
    assert causes(identical) == set()
    assert [text for one in identical.shares for text in one.evidence] == []
    assert identical.live == identical.twin
    assert identical.live.trades > 10


def test_twin_when_run_then_is_what_the_backtest_recipe_gives(clean, identical):
    class Tape:
        is_simulated = True

        def sessions(self):
            yield clean.session

        def instruments(self, _session):
            return clean.instruments

        def blocks(self, session):
            from sovereign.core.port import Block

            yield Block(clean.symbol, clean.trades, session.close_ns)

    execution = clean.plan.execution
    lane = LaneSpec(name="main", model=main_lane(execution).model)
    outcome = run_backtest(clean.plan, Tape(), lanes=(lane,))
    assert identical.twin.net == outcome.lanes["main"].final_balance - BALANCE
    assert identical.twin.trades == len(outcome.lanes["main"].trades)


def test_exact_when_a_recording_file_is_played_then_every_event_comes_again_byte_for_byte(clean, tmp_path):
    path = tmp_path / "a.rec"
    with Recording(path, {}, clean.session.open_ns) as recording:
        for item in clean.inputs:
            recording.append(to_frame(item))
    inputs = tuple(read_inputs(read_recording(path)))
    again = []
    exact(type(clean.recorded)(recipe=clean.plan, inputs=inputs, is_simulated_data=True), lambda e: again.append(encode(e)))
    assert again == clean.lines
    assert sum(b'"event":"DecisionMade"' in line for line in again) > 10
    assert sum(b'"event":"OrderFilled"' in line for line in again) > 10


def test_twin_when_the_venue_charges_other_fees_then_fee(identical):
    result = twin_of(Planted(fees={"ES": Decimal("3.10")}))
    assert causes(result) == {Cause.FEE}
    units = identical.live.fees / Decimal("2.25")  # the instrument's own fee a side
    assert share(result, Cause.FEE).fees == units * Decimal("0.85")
    assert result.net == -units * Decimal("0.85")
    assert share(result, Cause.FEE).trades == result.live.trades
    assert share(result, Cause.FEE).evidence == ("ES: charged 3.10 a side and unit, settings say 2.25",)


def test_twin_when_one_order_was_slow_then_latency():
    result = twin_of(Planted(slow={3: 2_500}))
    assert causes(result) == {Cause.LATENCY}
    assert share(result, Cause.LATENCY).trades == 1
    assert share(result, Cause.LATENCY).evidence == ("NEW: 17 took 1000 to 3500 ms (median 1000), modeled are 1000",)


def test_twin_when_the_venue_is_slower_than_modeled_then_latency():
    result = twin_of(Planted(all_slow_ms=300))
    assert causes(result) == {Cause.LATENCY}
    assert result.net != 0


def test_twin_when_reports_came_late_then_latency():
    result = twin_of(Planted(late_reports=((300, 330),)))
    assert causes(result) == {Cause.LATENCY}
    assert "reports were known up to" in share(result, Cause.LATENCY).evidence[0]


def test_twin_when_reports_came_at_the_bell_without_their_ticks_then_explained_and_the_replay_agrees(clean):
    fills = [json.loads(line) for line in clean.stored if "OrderFilled" in line]
    begun = next(fill["ts"] for fill in fills[4:] if fill["fill"]["role"] == "ENTRY")
    dead_from = (begun - clean.session.open_ns) // S  # an order is on its way, or working
    live = RecordedSession(recipe(), Planted(dead_from=dead_from))
    result = shadow(live.recorded, FACTS, live.stored)
    assert result.replay.is_exact
    assert result.verdict == "explained"
    at_the_bell = [json.loads(line) for line in live.stored if "OrderFilled" in line and json.loads(line)["ts"] >= begun]
    assert {fill["ts"] for fill in at_the_bell} == {live.session.close_ns}
    assert result.live.net == live.engine.account.balance - BALANCE == live.book.account.balance - BALANCE
    assert causes(result) == {Cause.FILL, Cause.LATENCY}  # no rule fills on ticks that never came


def test_twin_when_an_order_never_arrived_then_latency():
    result = twin_of(Planted(losses=frozenset({2})))
    assert causes(result) == {Cause.LATENCY}
    assert share(result, Cause.LATENCY).evidence[0] == "orders that never arrived: order_flow-20251117-ES-00004-E"


def test_twin_when_an_order_was_rejected_then_fill():
    result = twin_of(Planted(rejects=frozenset({2})))
    assert causes(result) == {Cause.FILL}
    rejected = [
        one for one in result.differences if one.kind is ItemKind.ORDER and (one.live or {}).get("status") == "REJECTED"
    ]
    assert [one.twin["status"] for one in rejected] == ["FILLED"]
    assert "refused by the test" in share(result, Cause.FILL).evidence[0]


def test_twin_when_an_order_filled_in_pieces_then_fill():
    result = twin_of(Planted(pieces={1: 2}))
    assert causes(result) == {Cause.FILL}
    assert share(result, Cause.FILL).evidence == ("orders that filled in another number of pieces: 1",)


def test_twin_when_the_feed_fell_silent_then_data():
    result = twin_of(Planted(silences=((300, 330),)))
    assert causes(result) == {Cause.DATA}
    assert result.net != 0
    assert any("ticks came after their time" in text for text in share(result, Cause.DATA).evidence)


@pytest.mark.parametrize("kind", [CommandKind.FLATTEN, CommandKind.HALT])
def test_twin_when_somebody_stepped_in_then_person(kind):
    result = twin_of(Planted(commands=((400, command(kind, "c1")),)))
    assert causes(result) == {Cause.PERSON}
    assert result.net != 0
    assert f"{kind.value} by ann (because)" in share(result, Cause.PERSON).evidence[0]


def test_twin_when_somebody_traded_by_hand_then_person_and_the_trade_is_named():
    result = twin_of(Planted(commands=((500, MANUAL),)))
    assert causes(result) == {Cause.PERSON}
    manual = [one for one in result.differences if one.kind is ItemKind.TRADE and "MANUAL" in one.name]
    assert [one.twin for one in manual] == [None]
    assert manual[0].parts == {Cause.PERSON: manual[0].net}


def test_twin_when_the_account_was_flattened_at_the_venue_itself_then_person():
    result = twin_of(Planted(flattened_at=400))
    assert Cause.PERSON in causes(result) <= {Cause.PERSON, Cause.FILL}
    assert result.net != 0
    assert share(result, Cause.PERSON).trades == 1
    assert "FLATTEN by the venue's administrator" in share(result, Cause.PERSON).evidence[0]


def test_twin_when_two_things_went_wrong_then_both_have_their_part():
    planted = Planted(fees={"ES": Decimal("3.10")}, silences=((300, 330),))
    result = twin_of(planted)
    assert causes(result) == {Cause.FEE, Cause.DATA}
    assert share(result, Cause.FEE).net == -share(result, Cause.FEE).fees


def test_twin_when_the_store_holds_other_events_then_unexplained(clean):
    stored = [
        line.replace('"price_ticks":200', '"price_ticks":201') if "OrderFilled" in line else line for line in clean.stored
    ]
    result = shadow(clean.recorded, FACTS, stored)
    assert result.verdict == "unexplained"
    assert "OrderFilled" in result.replay.difference
    assert Cause.UNEXPLAINED in causes(result)
    changed = shadow(clean.recorded, Facts(session_id="a", signal=("the code is another",)), stored)
    assert changed.verdict == "explained"
    assert causes(changed) == {Cause.SIGNAL}
    assert changed.shares[0].evidence == ("the code is another",)


def test_twin_when_the_stored_events_were_cut_off_then_only_a_session_that_is_over_is_unexplained(clean):
    cut = clean.stored[:-20]
    running = shadow(clean.recorded, Facts(session_id="a", is_over=False), cut)
    assert (running.verdict, running.replay.is_cut) == ("identical", True)
    assert shadow(clean.recorded, FACTS, cut).verdict == "unexplained"


def test_twin_when_the_recording_ends_early_then_both_end_there(clean):
    live = clean.recorded
    cut = live.inputs[: len(live.inputs) // 2]
    result = shadow(type(live)(recipe=live.recipe, inputs=cut, is_simulated_data=True), Facts(session_id="a", is_over=False))
    assert (result.verdict, result.is_closed) == ("identical", False)
    assert 0 < result.live.trades < 17


def test_page_when_rendered_then_escapes_and_refers_to_nothing_outside():
    facts = Facts(session_id="<b>x</b>", strategy="order_flow")
    result = twin_of(Planted(rejects=frozenset({2}), fees={"ES": Decimal("3.10")}), facts)
    page = render_page(result)
    assert "<b>x</b>" not in page
    assert "http" not in page
    assert "SIMULATED DATA" in page
    assert "refused by the test" in page
    plain = to_plain(result)
    assert sum(Decimal(one["net"]) for one in plain["causes"].values()) == Decimal(plain["net_difference"])
    for one in plain["differences"]:
        assert sum(map(Decimal, one["net_by_cause"].values())) == Decimal(one["net"])


def test_ticks_when_they_came_out_of_order_then_are_put_in_order_of_time():
    ts = np.array([5, 3, 3, 9], np.int64)
    column = np.array([1, 2, 3, 4], np.int32)
    trades = in_order(Trades(ts, column, column, np.ones(4, np.int8), column, column))
    assert trades.ts.tolist() == [3, 3, 5, 9]
    assert trades.price.tolist() == [2, 3, 1, 4]


def test_inputs_when_recorded_then_hold_every_tick_once(clean):
    assert sum(len(item.trades) for item in clean.inputs if isinstance(item, Slice)) == len(clean.trades)
