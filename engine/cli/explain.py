"""`engine explain`: why, and what would flip it."""

from __future__ import annotations

import click

from engine.cli.exits import NO, YES
from engine.cli.options import cache_option, format_option, policies_option, policy_option, screen
from engine.cli.requests import Sources, read_request
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
@click.option(
    "--inventory",
    metavar="FILE|-|WORD",
    help="Devices: YAML, JSON, what nvidia-smi or rocm-smi printed, or 8xH100-SXM.",
)
@click.option("--memory", metavar="SIZE", help="Of devices whose memory the inventory doesn't say: 80GiB.")
@click.option(
    "--model", metavar="FILE|DIR|NAME", help="The model: YAML, JSON, a config.json, or llama-3.1-70b."
)
@click.option("--params", metavar="N", help="The model's parameters instead: 70B, 7.24B, 350M.")
@click.option("--quantization", metavar="NAME", help="fp32, fp16, bf16, int8, int4, or auto.")
@click.option("--request", metavar="FILE|-", help="All of these in one file; flags win over it.")
@click.option("--input", "input_", metavar="FILE|-", help="Any policy's inputs: names and values.")
@policy_option
@policies_option
@cache_option
@format_option("text", "json")
def command(
    inventory: str | None,
    memory: str | None,
    model: str | None,
    params: str | None,
    quantization: str | None,
    request: str | None,
    input_: str | None,
    policy: str,
    policies: tuple[str, ...],
    use_cache: bool,
    form: str,
) -> int:
    """Tell why a request is decided as it is, and what would flip the decision.

    For each number of the request and each constant of the policy, the nearest value to either side at which
    another match is chosen, the nearest first.
    """
    asked = read_request(Sources(inventory, model, params, quantization, request, input_, memory), policies)
    loaded = load_policy(policy, policies, use_cache=use_cache)
    with asked.located():
        found = explain(loaded, asked.request)
    click.echo(forms.as_json(found) if form == "json" else forms.text(found, screen()), nl=False)
    return YES if found.decision.feasible else NO
