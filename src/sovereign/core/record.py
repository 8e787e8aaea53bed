"""Records that are made by the thousand: dataclasses with slots and named tuples."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


def quick(cls: type[T]) -> type[T]:
    """Give a frozen dataclass with slots an `__init__` that fills its slots by plain assignment, and return it.

    The one that `dataclass` makes goes around the guard that refuses every assignment, field by field, which takes four to
    seven times as long. So there is no guard: that nobody assigns to a field afterwards is checked by the type checker, to
    which the class is frozen. In Python's development mode (`python -X dev`) the class keeps its guard, and stays as it is.
    Parameters, defaults, comparison, hash and what follows (`__post_init__`) are the same; written above
    `@dataclass(frozen=True, slots=True)`.

    Raises
    ------
    TypeError : the class is no dataclass, or a field has no slot or takes no part in `__init__`.
    """
    parameters, lines, scope = _written(cls)
    if sys.flags.dev_mode:
        return cls
    made = _compiled("__init__", ["self", *parameters], lines, scope)
    made.__qualname__, made.__doc__ = f"{cls.__qualname__}.__init__", cls.__init__.__doc__
    cls.__init__ = made  # type: ignore[method-assign]
    cls.__setattr__ = object.__setattr__  # type: ignore[method-assign]
    cls.__delattr__ = object.__delattr__  # type: ignore[method-assign]
    return cls


def maker(cls: Callable[P, T]) -> Callable[P, T]:
    """Return a function that makes objects of a class, as calling the class does, in a third to a half of the time.

    A call of a class gathers its named arguments in a dictionary, from which `__init__` is then called; a function takes
    them as they are (of 15 named arguments, or up to 30 slots on the stack with two for each; beyond that they are gathered
    too, so pass the first few by place). For dataclasses with slots, frozen ones only where they are `quick`, and for
    classes derived from a named tuple, whose `__new__` puts its parameters into the tuple in their order. In Python's
    development mode it is the class.

    Raises
    ------
    TypeError : the class is neither, or a field has no slot or takes no part in `__init__`.
    """
    if not isinstance(cls, type):
        raise TypeError(f"{cls!r} is no class; give a dataclass with slots or a named tuple")
    terms = getattr(cls, "__dataclass_params__", None)
    is_guarded = terms is not None and terms.frozen and vars(cls).get("__setattr__") is not object.__setattr__
    if issubclass(cls, tuple):
        given = list(inspect.signature(cls.__new__).parameters.values())[1:]
        scope: dict[str, Any] = {"_new": tuple.__new__, "_cls": cls}
        parameters = []
        for one in given:
            scope[f"_default_{one.name}"] = one.default
            parameters.append(one.name if one.default is one.empty else f"{one.name}=_default_{one.name}")
        lines = [f"    return _new(_cls, ({''.join(f'{one.name}, ' for one in given)}))"]
    else:
        parameters, lines, scope = _written(cls)
        scope |= {"_new": object.__new__, "_cls": cls}
        lines = ["    self = _new(_cls)", *lines, "    return self"]
    if sys.flags.dev_mode:
        return cls
    if is_guarded:
        raise TypeError(f"{cls.__name__} refuses that its slots are filled; make it quick, see above")
    made: Callable[P, T] = _compiled(cls.__name__, parameters, lines, scope)
    made.__doc__ = cls.__doc__
    return made


def _written(cls: type[Any]) -> tuple[list[str], list[str], dict[str, Any]]:
    """Return the parameters that a dataclass takes, the lines that fill its slots, and the names these need."""
    scope: dict[str, Any] = {"_missing": MISSING}
    places: list[str] = []
    named: list[str] = []
    lines: list[str] = []
    for field in fields(cls):
        name = field.name
        if not field.init or not hasattr(getattr(cls, name, None), "__set__"):
            raise TypeError(f"field {name} of {cls.__name__} has no slot to fill; use a frozen dataclass with slots")
        given, value = name, name
        if field.default is not MISSING:
            scope[f"_default_{name}"] = field.default
            given = f"{name}=_default_{name}"
        elif field.default_factory is not MISSING:
            scope[f"_make_{name}"] = field.default_factory
            given, value = f"{name}=_missing", f"_make_{name}() if {name} is _missing else {name}"
        (named if field.kw_only else places).append(given)
        lines.append(f"    self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()")
    return [*places, *(["*", *named] if named else [])], lines, scope


def _compiled(name: str, parameters: list[str], lines: list[str], scope: dict[str, Any]) -> Any:
    exec(f"def {name}({', '.join(parameters)}):\n" + "\n".join(lines), scope)  # noqa: S102 - names of fields, as `dataclass` does
    return scope[name]
