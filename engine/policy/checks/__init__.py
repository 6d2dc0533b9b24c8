"""The checks of policies, one module a code.

A module's docstring is the text of its page in docs/checks: the first line says what is found, the rest why
that is a fault and what to do. Examples, a bad and a good one for each, are in tests/data/checks.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

from engine.policy.checks.check import Check, Severity

__all__ = ["Check", "Severity", "checks", "page"]


def page(code: str) -> str:
    """The text of a check's page: the docstring of its module."""
    module = next(name for name in _modules() if name[:4].upper() == code)
    return (importlib.import_module(f"{__name__}.{module}").__doc__ or "").strip()


def _modules() -> Iterator[str]:
    for module in pkgutil.iter_modules(__path__):
        if module.name[0] in "ew" and module.name[1:4].isdigit():
            yield module.name


@cache
def checks() -> dict[str, Check]:
    """All checks by their codes."""
    modules = (importlib.import_module(f"{__name__}.{name}") for name in _modules())
    found: list[Check] = [module.CHECK for module in modules]
    return {check.code: check for check in sorted(found, key=lambda check: check.code)}
