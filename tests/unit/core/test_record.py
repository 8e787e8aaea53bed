"""A quick record is made as its dataclass would make it."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from sovereign.core.event import OrderChanged
from sovereign.core.record import quick


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


def test_quick_when_a_field_is_set_then_refused_as_frozen():
    with pytest.raises(FrozenInstanceError):
        Quick(1, must=1.0).first = 2


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
