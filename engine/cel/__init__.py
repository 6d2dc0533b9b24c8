"""CEL: syntax, parser, checker, functions and runtimes; the only room that knows a CEL library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.cel.budget import STEPS, Budget, BudgetError, CellBudget, steps_allowed
    from engine.cel.checker import (
        TYPE_NAMES,
        CelCheckError,
        Checked,
        Environment,
        ResolvedCall,
        check,
        check_parsed,
        explore,
        parse_checked,
    )
    from engine.cel.coercion import CoercionError, coerce
    from engine.cel.costs import Price
    from engine.cel.declarations import Overload, definition, packages_of
    from engine.cel.library import ENTRY_POINTS, Library, add_library
    from engine.cel.parser import NOT_FIELDS, RESERVED
    from engine.cel.runtimes.compiled import CompiledRuntime, compile_module, function_definition
    from engine.cel.runtimes.protocol import Native, Program, Runtime, Scope
    from engine.cel.runtimes.registry import RUNTIMES, create_runtime
    from engine.cel.values import (
        CelError,
        ObjectValue,
        Uint,
        Value,
        equal,
        json_key,
        limited,
        no_overload,
        object_class,
        plain,
        to_json,
        type_name,
        within,
    )

__all__ = [
    "ENTRY_POINTS",
    "NOT_FIELDS",
    "RESERVED",
    "RUNTIMES",
    "STEPS",
    "TYPE_NAMES",
    "Budget",
    "BudgetError",
    "CelCheckError",
    "CelError",
    "CellBudget",
    "Checked",
    "CoercionError",
    "CompiledRuntime",
    "Environment",
    "Library",
    "Native",
    "ObjectValue",
    "Overload",
    "Price",
    "Program",
    "ResolvedCall",
    "Runtime",
    "Scope",
    "Uint",
    "Value",
    "add_library",
    "check",
    "check_parsed",
    "coerce",
    "compile_module",
    "create_runtime",
    "definition",
    "equal",
    "explore",
    "function_definition",
    "json_key",
    "limited",
    "no_overload",
    "object_class",
    "packages_of",
    "parse_checked",
    "plain",
    "steps_allowed",
    "to_json",
    "type_name",
    "within",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "budget": "Budget BudgetError CellBudget STEPS steps_allowed",
            "checker": (
                "CelCheckError Checked Environment ResolvedCall TYPE_NAMES check check_parsed explore "
                "parse_checked"
            ),
            "coercion": "CoercionError coerce",
            "costs": "Price",
            "declarations": "Overload definition packages_of",
            "library": "ENTRY_POINTS Library add_library",
            "parser": "NOT_FIELDS RESERVED",
            "runtimes.compiled": "CompiledRuntime compile_module function_definition",
            "runtimes.protocol": "Native Program Runtime Scope",
            "runtimes.registry": "RUNTIMES create_runtime",
            "values": (
                "CelError ObjectValue Uint Value equal json_key limited no_overload object_class plain "
                "to_json type_name within"
            ),
        },
        "celtypes declarations functions hints limits literals mismatches recall records runtimes.codegen "
        "runtimes.identifiers runtimes.link suffixes syntax times unparse",
    )
