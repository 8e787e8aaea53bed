"""Whatever differs between a session and its twin, the parts of the causes add up to it, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.recorded_session import BALANCE, Planted, RecordedSession, command, recipe
from sovereign.core.command import CommandKind
from sovereign.research.twin.attribution import Cause, Stage, attribute
from sovereign.research.twin.books import Books, Item, ItemKind, total
from sovereign.research.twin.shadow import Facts, shadow

MONEY = st.decimals(-100_000, 100_000, places=6, allow_nan=False)
KEYS = st.sampled_from([(kind, name) for kind in ItemKind for name in "abc"])


@st.composite
def items(draw):
    values = {"quantity": draw(st.integers(0, 2)), "side": draw(st.sampled_from(["BUY", "SELL"]))}
    return Item(kind=ItemKind.TRADE, ts=1, name="x", values=values, net=draw(MONEY), fee=draw(MONEY))


BOOKS = st.dictionaries(KEYS, items(), max_size=6).map(lambda found: Books(items=found))


@settings(max_examples=100, deadline=None)
@given(st.lists(BOOKS, min_size=len(Cause), max_size=len(Cause)), BOOKS)
def test_parts_when_added_then_are_the_difference_of_every_item_of_fees_and_of_profit(row, twin):
    stages = [Stage(cause=cause, books=books) for cause, books in zip(Cause, row, strict=True)]
    shares, differences = attribute(stages, twin, {})
    session = row[0]
    assert total(share.net for share in shares) == total((session.net, -twin.net))
    assert total(share.fees for share in shares) == total((session.fees, -twin.fees))
    wanted = {key for key in {*session.items, *twin.items} if session.items.get(key) != twin.items.get(key)}
    assert len(differences) == len(wanted)
    for one in differences:
        assert one.causes
        assert total(one.parts.values()) == one.net
        assert total(one.fee_parts.values()) == one.fee
    assert total(one.net for one in differences) == total((session.net, -twin.net))


@settings(max_examples=100, deadline=None)
@given(BOOKS)
def test_parts_when_nothing_differs_then_there_are_none(books):
    shares, differences = attribute([Stage(cause=cause, books=books) for cause in Cause], books, {})
    assert differences == ()
    assert all(share.is_empty for share in shares)


@pytest.mark.parametrize("seed", range(3))
def test_sessions_when_everything_went_wrong_then_every_difference_has_a_cause_and_the_sum_is_exact(seed):
    planted = Planted(
        fees={"ES": Decimal("2.40") + seed},
        slow={3 + seed: 1_500.0, 9: 400.0},
        rejects=frozenset({1 + seed}),
        pieces={5: 2},
        late_reports=((500 + 100 * seed, 520 + 100 * seed),),
        silences=((600 + 40 * seed, 640 + 40 * seed),),
        commands=((900, command(CommandKind.HALT, "c1")), (1_000, command(CommandKind.RESUME, "c2"))),
    )
    live = RecordedSession(recipe(), planted)
    result = shadow(live.recorded, Facts(session_id="a"), live.stored)
    assert result.verdict == "explained"
    assert result.live.net == live.engine.account.balance - BALANCE
    assert total(share.net for share in result.shares) == result.net
    assert total(one.net for one in result.differences) == result.net
    assert all(one.causes and Cause.UNEXPLAINED not in one.causes for one in result.differences)
    assert {share.cause for share in result.shares if not share.is_empty} >= {Cause.FEE, Cause.PERSON}
