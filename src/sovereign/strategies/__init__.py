"""One folder per trading system. State in, proposals out.

A folder becomes a strategy by defining, in its `__init__`, `STRATEGY` (a class with the shape of `core.port.Strategy`, made
from its configuration alone) and `CONFIGURATION` (a subclass of `core.configuration.Configuration`). It may define `DEFAULTS`:
settings of other sections, by dotted key, that it assumes unless the user says otherwise. Nothing else is to be registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from sovereign.core.configuration import Configuration
from sovereign.core.errors import ConfigurationError, NotFoundError, suggestion
from sovereign.core.port import Strategy

__all__ = ["assumed_settings", "configuration_class", "load_strategy", "strategy_names"]


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
