"""`engine eval --format json` as programs call it, without click.

Only arguments that click would read in just one way are taken; everything else, and all that is wrong with
arguments, is left to the command itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from engine.cli.exits import BROKEN_PIPE, NO, YES

_OPTIONS = {
    "--inventory",
    "--model",
    "--params",
    "--quantization",
    "--request",
    "--input",
    "--memory",
    "--policy",
    "--policies",
    "--format",
}
_OTHERS_SETTINGS = ("ENGINE_POLICIES", "ENGINE_POLICY", "_ENGINE_COMPLETE")


def run(arguments: Sequence[str]) -> int | None:
    """The exit code; None where this is not for the quick way."""
    given = _read(arguments)
    if given is None:
        return None
    from engine.cli.requests import Sources, read_request
    from engine.decide import load_policy
    from engine.render import Screen, render

    policy, policies = given.pop("policy", "sharding"), given.pop("policies", None)
    use_cache = given.pop("no-cache", None) is None
    sources = Sources(**given)
    if sources.contradiction() is not None:
        return None
    asked = read_request(sources, [policies] if policies else ())
    loaded = load_policy(policy, policies, use_cache=use_cache)
    with asked.located():
        decision = loaded.decide(asked.request)
    try:
        sys.stdout.write(render(decision, "json", Screen()))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return YES if decision.feasible else NO


def _read(arguments: Sequence[str]) -> dict[str, Any] | None:
    """The options' values by name, of known options given once with plain values, and `--no-cache`."""
    if not arguments or arguments[0] != "eval" or any(map(os.environ.get, _OTHERS_SETTINGS)):
        return None
    given: dict[str, str] = {}
    rest = iter(arguments[1:])
    for option in rest:
        value = "yes" if option == "--no-cache" else next(rest, "")
        name = option[2:]
        if name in given or not value or (value[0] == "-" and value != "-"):
            return None
        if option not in _OPTIONS and option != "--no-cache":
            return None
        given[name] = value
    return given if given.pop("format", None) == "json" else None
