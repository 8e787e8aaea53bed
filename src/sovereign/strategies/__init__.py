"""One folder per trading system. State in, proposals out.

A folder becomes a strategy by defining, in its `__init__`, `STRATEGY` (a class with the shape of `core.port.Strategy`, made
from its configuration alone) and `CONFIGURATION` (a subclass of `core.configuration.Configuration`). It may define `DEFAULTS`:
settings of other sections, by dotted key, that it assumes unless the user says otherwise. Nothing else is to be registered.

Some names are understood where they occur. A class attribute `market` of the strategy is "futures" (one product, the default)
or "portfolio" (several shares on one clock): it chooses the driftless market of its null test. A field `benchmarks` of the
configuration lists symbols that are fed first and never traded; a field `bar_seconds` says that the strategy decides on bars of
that width, and so may be run on recorded bars. An attribute `warm_up_sessions` of the strategy says how many sessions its
signals must have seen before they say anything (1 where it does not occur); a field of that name in the configuration says how
many sessions before the first one of a backtest on recorded bars they are shown, as far as the catalog has them. A method
`forecasts` of the strategy (session and rows in, `signals.calibration.Forecasts` out), with `forecast_sessions` and
`forecast_limits`, puts into its reports how often it was right for how sure it was. With `own_checks`, `screen` and
what else `core.port.ScreeningStrategy` asks for, a strategy says of many rows at once what it refuses by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Literal

from pydantic import ValidationError

from sovereign.core.configuration import Configuration
from sovereign.core.errors import ConfigurationError, NotFoundError, suggestion
from sovereign.core.port import Strategy

__all__ = [
    "Market",
    "assumed_settings",
    "bar_seconds_of",
    "benchmarks_of",
    "configuration_class",
    "load_strategy",
    "market_of",
    "strategy_names",
    "warm_up_sessions_of",
]

Market = Literal["futures", "portfolio"]


def strategy_names() -> tuple[str, ...]:
    """Return the names of all strategies, sorted; imports none of them."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if module.ispkg and not module.name.startswith("_")))


def _find(name: str) -> ModuleType:
    names = strategy_names()
    if name not in names:
        raise NotFoundError(f"strategy was '{name}'{suggestion(name, names)}; allowed are {', '.join(names)}")
    module = import_module(f"{__name__}.{name}")
    for attribute in ("STRATEGY", "CONFIGURATION"):
        if not hasattr(module, attribute):
            raise ConfigurationError(f"strategy '{name}' had no {attribute}; define it in strategies/{name}/__init__.py")
    return module


def _fields_beside(section: type[Configuration], path: tuple[int | str, ...]) -> list[str]:
    # Names that were allowed where the last part of `path` was given.
    for part in path[:-1]:
        inner = section.model_fields[part].annotation if part in section.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, Configuration)):
            return []
        section = inner
    return list(section.model_fields)


def configuration_class(name: str) -> type[Configuration]:
    """Return the configuration class of a strategy.

    Raises
    ------
    NotFoundError : there is no strategy of that name.
    """
    configuration: type[Configuration] = _find(name).CONFIGURATION
    return configuration


def assumed_settings(name: str) -> Mapping[str, Any]:
    """Return the settings of other sections that a strategy assumes, by dotted key; empty when it assumes none.

    Raises
    ------
    NotFoundError : there is no strategy of that name.
    """
    return dict(getattr(_find(name), "DEFAULTS", {}))


def market_of(name: str) -> Market:
    """Return what kind of market a strategy trades.

    Raises
    ------
    NotFoundError : there is no strategy of that name.
    ConfigurationError : it says something else.
    """
    market: Any = getattr(_find(name).STRATEGY, "market", "futures")
    if market not in ("futures", "portfolio"):
        raise ConfigurationError(f"market of strategy '{name}' was '{market}'; allowed are futures and portfolio")
    found: Market = market
    return found


def benchmarks_of(section: Configuration) -> tuple[str, ...]:
    """Return the symbols that a strategy wants to see and never trades; they are fed first."""
    return tuple(getattr(section, "benchmarks", ()))


def bar_seconds_of(section: Configuration) -> int | None:
    """Return the width of the bars that a strategy decides on (s); None when it needs ticks."""
    seconds = getattr(section, "bar_seconds", None)
    return None if seconds is None else int(seconds)


def warm_up_sessions_of(name: str, section: Configuration) -> int:
    """Return how many sessions a strategy's signals must have seen before they say anything."""
    return int(getattr(load_strategy(name, section), "warm_up_sessions", 1))


def load_strategy(name: str, section: Configuration | Mapping[str, Any] | None = None) -> Strategy:
    """Create a strategy from its configuration section: an instance, a mapping to validate, or None for the defaults.

    Raises
    ------
    NotFoundError : there is no strategy of that name.
    ConfigurationError : the section is another strategy's, or does not validate.
    """
    module = _find(name)
    wanted: type[Configuration] = module.CONFIGURATION
    if isinstance(section, Configuration):
        if not isinstance(section, wanted):
            raise ConfigurationError(
                f"section of strategy '{name}' was a {type(section).__name__}; allowed is {wanted.__name__}"
            )
        config = section
    else:
        try:
            config = wanted.model_validate({} if section is None else dict(section))
        except ValidationError as cause:
            first = cause.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            hint = suggestion(str(first["loc"][-1]), _fields_beside(wanted, first["loc"])) if first["loc"] else ""
            raise ConfigurationError(
                f"strategies.{name}.{key} was {first['input']!r}{hint}; {first['msg']}; correct the configuration"
            ) from cause
    strategy: Strategy = module.STRATEGY(config)
    return strategy
