"""`engine explain`: a decision with its trace, and the nearest changes that alter it."""

from __future__ import annotations

import click

from engine.cli.exits import NO, YES
from engine.cli.options import (
    cache_option,
    format_option,
    policies_option,
    policy_option,
    request_options,
    set_option,
    sources_of,
)
from engine.cli.progress import Progress
from engine.cli.requests import read_request
from engine.cli.terminal import screen
from engine.decide.policy import load_policy
from engine.regress.sensitivity import explain
from engine.render.report import explain as forms

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
@set_option
@cache_option
@format_option("text", "json")
def command(
    policy: str,
    policies: tuple[str, ...],
    constants: dict[str, object],
    use_cache: bool,
    form: str,
    **asked: object,
) -> int:
    """Explain a decision and list the nearest changes that would alter it.

    For each number and time in the request, each constant of the policy and each catalog cell that it reads,
    find the nearest lower and higher value that selects another match (or, for a search, another plan) or
    changes texts and bools of the output. Texts, bools and lists take other values that the policy mentions.
    Nearest changes come first; what is not moved is listed.
    """
    sources = sources_of(asked)
    loaded = load_policy(policy, policies, constants=constants, use_cache=use_cache)
    read = read_request(sources, loaded.catalogs)
    with read.located(), Progress(None, False) as progress:
        explanation = explain(loaded, read.request, after=lambda: progress.advance(0))
    click.echo(forms.as_json(explanation) if form == "json" else forms.text(explanation, screen()), nl=False)
    return YES if explanation.decision.feasible else NO
