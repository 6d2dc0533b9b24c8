"""`engine eval` in its usual form, without click.

Fast path of the command line: importing click takes longer than deciding. It takes only arguments that click
would read in exactly one way and leaves everything else, usage errors included, to the command itself.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from engine.cli.exits import NO, YES

_SOURCES = {
    "--inventory",
    "--model",
    "--params",
    "--quantization",
    "--request",
    "--input",
    "--memory",
}
_OPTIONS = _SOURCES | {"--policy", "--policies", "--format"}
_FORMS = ("text", "json")
_MANY = 100_000
"""New objects before a garbage collection: one decision leaves little garbage, and collecting is slow."""
_OTHER_SETTINGS = ("ENGINE_POLICIES", "ENGINE_POLICY", "_ENGINE_COMPLETE")


def run(arguments: Sequence[str]) -> int | None:
    """Decide one request and print the decision.

    Returns:
        The exit code, or None if the arguments are not for this path.
    """
    options = _read(arguments)
    if options is None or options.get("format", "text") not in _FORMS:
        return None
    thresholds = gc.get_threshold()
    gc.set_threshold(_MANY, *thresholds[1:])
    try:
        return _decide(options)
    finally:
        gc.set_threshold(*thresholds)


def _decide(options: dict[str, str]) -> int | None:
    """Decide and print; None if the command itself has to report what the options contradict."""
    from engine.base.records import replace
    from engine.cli.requests import Sources, contradiction, read_request
    from engine.cli.terminal import screen
    from engine.decide.policy import load_policy
    from engine.render import Screen, render

    form = options.pop("format", "text")
    policy, policies = options.pop("policy", "sharding"), options.pop("policies", None)
    use_cache = options.pop("no-cache", None) is None
    sources = replace(Sources(), **options)
    if contradiction(sources) is not None:
        return None
    loaded = load_policy(policy, policies, use_cache=use_cache)
    asked = read_request(sources, loaded.catalogs)
    with asked.located():
        decision = loaded.decide(asked.request)
    sys.stdout.write(render(decision, form, screen() if form == "text" else Screen()))
    return YES if decision.feasible else NO


def _read(arguments: Sequence[str]) -> dict[str, str] | None:
    """Return option values by name; None for unknown or repeated options and for missing values."""
    if not arguments or arguments[0] != "eval" or any(map(os.environ.get, _OTHER_SETTINGS)):
        return None
    values: dict[str, str] = {}
    rest = iter(arguments[1:])
    for option in rest:
        value = "yes" if option == "--no-cache" else next(rest, "")
        name = option[2:]
        if name in values or not value or (value[0] == "-" and value != "-"):
            return None
        if option not in _OPTIONS and option != "--no-cache":
            return None
        values[name] = value
    return values
