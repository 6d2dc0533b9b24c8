"""`engine explain`: why, and what would flip it."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.exits import NO, YES
from engine.cli.options import (
    cache_option,
    format_option,
    policies_option,
    policy_option,
    request_options,
    screen,
    sources_of,
)
from engine.cli.requests import read_request
from engine.decide import load_policy
from engine.regress.sensitivity import explain
from engine.render import explain as forms

_EPILOG = """
\b
Examples:
  engine explain --inventory examples/8x-a100.yaml --params 70B \\
      --quantization bf16
  engine explain --request request.yaml --format json
  engine explain --policy my-policies/quota/1.0.0.yaml --input subject.yaml
"""


@click.command("explain", epilog=_EPILOG)
@request_options
@policy_option
@policies_option
@cache_option
@format_option("text", "json")
def command(
    policy: str,
    policies: tuple[str, ...],
    use_cache: bool,
    form: str,
    **asked: Any,
) -> int:
    """Tell why a request is decided as it is, and what would flip the decision.

    For each number of the request and each constant of the policy, the nearest value to either side at which
    another match is chosen, or by a search another plan, the nearest first.
    """
    read = read_request(sources_of(asked), policies)
    loaded = load_policy(policy, policies, use_cache=use_cache)
    with read.located():
        found = explain(loaded, read.request)
    click.echo(forms.as_json(found) if form == "json" else forms.text(found, screen()), nl=False)
    return YES if found.decision.feasible else NO
