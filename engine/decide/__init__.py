"""Requests in, decisions out; `engine.decide(...)` calls this module, see engine.decide.api."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.decide.decision import Decision
    from engine.decide.interpreter import Evaluator
    from engine.decide.policy import AUTO, Policy, catalogs_of, load_policy
    from engine.decide.remedies import Change, Remedied, Speed
    from engine.decide.request import REQUEST_INPUTS, Request
    from engine.decide.sources import (
        LocatedRequest,
        Sources,
        find_model,
        memory_bytes,
        parse_pin,
        read_sources,
    )
    from engine.decide.tracing import MatchTrace, Part, RuleTrace, Trace, VariableTrace

__all__ = [
    "AUTO",
    "REQUEST_INPUTS",
    "Change",
    "Decision",
    "Evaluator",
    "LocatedRequest",
    "MatchTrace",
    "Part",
    "Policy",
    "Remedied",
    "Request",
    "RuleTrace",
    "Sources",
    "Speed",
    "Trace",
    "VariableTrace",
    "catalogs_of",
    "find_model",
    "load_policy",
    "memory_bytes",
    "parse_pin",
    "read_sources",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "decision": "Decision",
            "interpreter": "Evaluator",
            "policy": "AUTO Policy catalogs_of load_policy",
            "remedies": "Change Remedied Speed",
            "request": "REQUEST_INPUTS Request",
            "sources": "LocatedRequest Sources find_model memory_bytes parse_pin read_sources",
            "tracing": "MatchTrace Part RuleTrace Trace VariableTrace",
        },
        "api capacity dicts found goals",
    )


class _Room(type(sys)):  # type: ignore[misc]
    """A module that can be called.

    The function `engine.decide` and the package `engine.decide` have one name: importing any module of the
    package sets the attribute `decide` of `engine` to the package. So the package is the function.
    """

    def __call__(self, **sources: object) -> Decision:
        """Decide one request; see engine.decide.api.decide."""
        from engine.decide.api import decide  # deferred: start-up time

        return decide(**sources)  # type: ignore[arg-type]

    @property
    def __signature__(self) -> object:
        """The signature of the function, which `help` and editors show."""
        import inspect

        from engine.decide.api import decide  # deferred: start-up time

        return inspect.signature(decide)


sys.modules[__name__].__class__ = _Room
