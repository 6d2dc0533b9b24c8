"""`engine eval --format json` as programs call it, without click.

Only arguments that click would read in just one way are taken; everything else, and all that is wrong with
arguments, is left to the command itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from engine.cli.exits import BROKEN_PIPE, NO, YES

_OPTIONS = {
    "--inventory",
    "--model",
    "--params",
    "--quantization",
    "--request",
    "--input",
    "--policy",
    "--format",
}
_OTHERS_SETTINGS = ("ENGINE_POLICIES", "_ENGINE_COMPLETE")


def run(arguments: Sequence[str]) -> int | None:
    """The exit code; None where this is not for the quick way."""
    given = _read(arguments)
    if given is None:
        return None
    from engine.cli.requests import Sources, read_request
    from engine.decide import load_policy
    from engine.render import Screen, render

    policy = given.pop("policy", "sharding")
    sources = Sources(**given)
    if sources.contradiction() is not None:
        return None
    asked = read_request(sources)
    loaded = load_policy(policy)
    with asked.located():
        decision = loaded.decide(asked.request)
    try:
        sys.stdout.write(render(decision, "json", Screen()))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return YES if decision.feasible else NO


def _read(arguments: Sequence[str]) -> dict[str, str] | None:
    """The options' values by name, of pairs of known options and plain values."""
    if len(arguments) % 2 == 0 or arguments[0] != "eval" or any(map(os.environ.get, _OTHERS_SETTINGS)):
        return None
    given: dict[str, str] = {}
    for option, value in zip(arguments[1::2], arguments[2::2], strict=True):
        name = option[2:]
        if option not in _OPTIONS or name in given or not value or (value[0] == "-" and value != "-"):
            return None
        given[name] = value
    return given if given.pop("format", None) == "json" else None
