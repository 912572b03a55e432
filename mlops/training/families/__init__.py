"""The model families, one module each; see `mlops.training.family` for what such a module has.

Nothing lists them: a module that is put here can be named in a specification.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from mlops.exceptions import TrainingError
from mlops.training.family import Family


def family_names() -> tuple[str, ...]:
    """Return the names of the families that there are, sorted."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def family(name: str) -> Family[Any]:
    """Return the model family `name`. Raises TrainingError, naming those that there are."""
    if name not in family_names():
        raise TrainingError(f"There is no model family {name!r}; there is {', '.join(family_names())}.")
    found: Family[Any] = import_module(f"{__name__}.{name}").FAMILY
    return found
