"""`engine eval`: decide one request and say why."""

from __future__ import annotations

import click

from engine.cli.exits import NO, YES
from engine.cli.options import (
    cache_option,
    format_option,
    pin_of,
    policies_option,
    policy_option,
    runtime_option,
    screen,
    serving_of,
    serving_options,
)
from engine.cli.requests import Sources, read_request
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
@click.option("--quantization", metavar="NAME", help="bf16, fp16, fp8, int8, int4 …, or auto.")
@serving_options
@click.option("--request", metavar="FILE|-", help="All of these in one file; flags win over it.")
@click.option("--input", "input_", metavar="FILE|-", help="Any policy's inputs: names and values.")
@policy_option
@policies_option
@runtime_option
@cache_option
@format_option(*TARGETS)
@click.option("--explain", is_flag=True, help="Add the trace: variables, matches, parts of conditions.")
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
    runtime: str,
    use_cache: bool,
    form: str,
    explain: bool,
    context: int | None,
    input_tokens: int | None,
    output_tokens: int | None,
    concurrency: int | None,
    utilization: float | None,
    objective: str | None,
    pin: str | None,
) -> int:
    """Decide one request and say why.

    The policy reads an inventory, a model and a quantization; another policy reads what it declares.
    """
    if explain and form not in ("text", "json", "yaml"):
        raise click.UsageError(
            f"{form}'s form has no place for a trace; --explain goes with text, json and yaml"
        )
    serving = serving_of(context, input_tokens, output_tokens, concurrency, utilization, objective)
    sources = Sources(inventory, model, params, quantization, request, input_, memory, serving, pin_of(pin))
    asked = read_request(sources, policies)
    loaded = load_policy(policy, policies, use_cache=use_cache)
    with asked.located():
        decision = loaded.decide(asked.request, explain=explain, runtime=runtime)
    click.echo(render(decision, form, screen()), nl=False)
    return YES if decision.feasible else NO
