"""`engine eval`: decide one request and say why."""

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
    runtime_option,
    screen,
    sources_of,
)
from engine.cli.requests import read_request
from engine.decide import load_policy
from engine.render import TARGETS, render

_EPILOG = """
\b
Examples:
  engine eval --inventory examples/8x-a100.yaml --params 70B \\
      --quantization bf16
  engine eval --request request.yaml --quantization auto --explain
  engine eval --inventory examples/mixed-gpus.yaml --params 8B \\
      --quantization int8 --policies my-policies --format json
  engine eval --inventory paste.txt --model llama-3.1-70b \\
      --quantization bf16 --format vllm
  engine eval --inventory 2x8xH100-SXM --model llama-3.1-405b \\
      --quantization bf16 --context 32768 --pin tp=8,pp=2
  engine eval --policy my-policies/quota/1.0.0.yaml --input subject.yaml

\b
Exit codes: 0 a plan or a value; 1 no match, or nothing that fits;
2 bad usage or bad input.
"""


@click.command("eval", epilog=_EPILOG)
@request_options
@policy_option
@policies_option
@runtime_option
@cache_option
@format_option(*TARGETS)
@click.option("--explain", is_flag=True, help="Add the trace: variables, matches, parts of conditions.")
def command(
    policy: str,
    policies: tuple[str, ...],
    runtime: str,
    use_cache: bool,
    form: str,
    explain: bool,
    **asked: Any,
) -> int:
    """Decide one request and say why.

    The policy reads an inventory, a model and a quantization; another policy reads what it declares.
    """
    if explain and form not in ("text", "json", "yaml"):
        raise click.UsageError(
            f"{form}'s form has no place for a trace; --explain goes with text, json and yaml"
        )
    found = read_request(sources_of(asked), policies)
    loaded = load_policy(policy, policies, use_cache=use_cache)
    with found.located():
        decision = loaded.decide(found.request, explain=explain, runtime=runtime)
    click.echo(render(decision, form, screen()), nl=False)
    return YES if decision.feasible else NO
