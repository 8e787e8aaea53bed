"""A quick record is made as its dataclass would make it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import pytest

from sovereign.core.decision import Check, make_check
from sovereign.core.event import OrderChanged, make_order_changed
from sovereign.core.order import Order, make_order
from sovereign.core.record import maker, quick


@dataclass(frozen=True, slots=True)
class Plain:
    first: int
    second: str = "two"
    many: list[int] = field(default_factory=list)
    named: float = field(default=0.5, kw_only=True)
    must: float = field(kw_only=True)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    first: int
    second: str = "two"
    many: list[int] = field(default_factory=list)
    named: float = field(default=0.5, kw_only=True)
    must: float = field(kw_only=True)


@pytest.mark.parametrize(
    ("places", "named"), [((1,), {"must": 2.0}), ((1, "b", [3]), {"must": 1.0, "named": 4.0}), ((), {"first": 1, "must": 0.0})]
)
def test_quick_when_made_then_holds_what_the_dataclass_would(places, named):
    one, other = Plain(*places, **named), Quick(*places, **named)
    assert repr(one).partition("(")[2] == repr(other).partition("(")[2]
    assert Quick(*places, **named) == other
    assert [f.name for f in fields(one)] == [f.name for f in fields(other)]
    assert replace(other, second="x").second == "x"
    assert Quick(1, must=1.0).many is not Quick(1, must=1.0).many


@pytest.mark.parametrize(
    ("places", "named"), [((1,), {"must": 2.0}), ((1, "b", [3]), {"must": 1.0, "named": 4.0}), ((), {"first": 1, "must": 0.0})]
)
def test_maker_when_asked_then_makes_what_the_class_makes(places, named):
    make = maker(Quick)
    made = make(*places, **named)
    assert type(made) is Quick
    assert made == Quick(*places, **named)
    assert make(1, must=1.0).many is not make(1, must=1.0).many


class Pair(NamedTuple):
    first: int
    second: str = "two"


def test_maker_when_the_class_is_a_tuple_then_makes_what_the_class_makes():
    make = maker(Pair)
    assert make(1) == Pair(1) == make(first=1, second="two")
    assert type(make(1, "b")) is Pair
    given = ("margin", 1.0, 2.0, "USD", True, ("{} of {}", 1, 2))
    assert make_check(*given) == Check(*given)
    assert make_check(*given).note == "1 of 2"
    assert make_check("margin", 1.0, 2.0, "USD", passed=False).note == ""


def test_maker_when_something_follows_then_it_does():
    @quick
    @dataclass(frozen=True, slots=True)
    class Positive:
        value: int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError("negative")

    with pytest.raises(ValueError, match="negative"):
        maker(Positive)(-1)


@pytest.mark.parametrize(("places", "named"), [((), {}), ((1,), {}), ((1,), {"must": 1.0, "other": 2}), ((1, 2, 3, 4, 5), {})])
def test_maker_when_arguments_are_wrong_then_type_error_as_of_the_class(places, named):
    with pytest.raises(TypeError):
        maker(Quick)(*places, **named)


@pytest.mark.skipif(sys.flags.dev_mode, reason="in development mode every class keeps its guard, and is called")
def test_maker_when_the_slots_cannot_be_filled_then_refused():
    with pytest.raises(TypeError, match="make it quick"):
        maker(Plain)


def test_maker_when_it_is_given_no_class_then_refused():
    with pytest.raises(TypeError, match="is no class"):
        maker(lambda: 1)


@pytest.mark.parametrize(("cls", "make"), [(Order, make_order), (OrderChanged, make_order_changed)])
def test_makers_when_compared_then_take_what_their_classes_take(cls, make):
    taken = [(one.name, one.kind) for one in inspect.signature(cls).parameters.values()]
    assert [(one.name, one.kind) for one in inspect.signature(make).parameters.values()] == taken


ASSIGN = """
from dataclasses import FrozenInstanceError
from sovereign.core.port import Block
from sovereign.core.columns import Trades
block = Block("ES", Trades.empty(), 1)
try:
    block.symbol = "NQ"
except FrozenInstanceError:
    print("refused")
"""


def test_quick_when_a_field_is_set_in_development_mode_then_refused_as_frozen():
    found = subprocess.run([sys.executable, "-X", "dev", "-c", ASSIGN], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.split() == ["refused"]


@pytest.mark.parametrize(("places", "named"), [((), {}), ((1,), {}), ((1,), {"must": 1.0, "other": 2}), ((1, 2, 3, 4, 5), {})])
def test_quick_when_arguments_are_wrong_then_type_error_as_of_the_dataclass(places, named):
    with pytest.raises(TypeError):
        Plain(*places, **named)
    with pytest.raises(TypeError):
        Quick(*places, **named)


def test_quick_when_fields_are_inherited_then_they_are_set():
    assert inspect.signature(OrderChanged).parameters.keys() == {f.name for f in fields(OrderChanged)}


def test_quick_when_there_are_no_slots_then_refused():
    @dataclass(frozen=True)
    class Open:
        value: int

    with pytest.raises(TypeError, match="field value of Open has no slot"):
        quick(Open)


def test_quick_when_there_is_something_to_do_after_then_it_is_done():
    @quick
    @dataclass(frozen=True, slots=True)
    class Positive:
        value: int

        def __post_init__(self):
            if self.value <= 0:
                raise ValueError(self.value)

    assert Positive(1).value == 1
    with pytest.raises(ValueError, match="-1"):
        Positive(-1)
