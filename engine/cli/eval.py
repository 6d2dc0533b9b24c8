"""`engine eval`: decide one request and explain the decision."""

from __future__ import annotations

import click

from engine.cli.exits import NO, YES
from engine.cli.options import (
    cache_option,
    policies_option,
    policy_option,
    request_options,
    runtime_option,
    set_option,
    sources_of,
)
from engine.cli.requests import read_request
from engine.cli.targets import imply_server, target_option
from engine.cli.terminal import screen
from engine.decide.policy import load_policy
from engine.render import Target, targets

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
  engine eval --inventory 8xH200-SXM --model deepseek-v3 \\
      --quantization fp8 --target sglang@0.5
  engine eval --inventory 2x8xH100-SXM --model llama-3.1-405b \\
      --quantization bf16 --context 32768 --pin tp=8,pp=2
  engine eval --inventory 8xH100-SXM --model llama-3.1-70b \\
      --quantization fp8 --slo ttft=1s,tpot=40ms --policy sharding@3
  engine eval --inventory 8xH100-SXM --model llama-3.1-70b \\
      --quantization bf16 --set default_utilization=0.85
  engine eval --policy my-policies/quota/1.0.0.yaml --input subject.yaml

\b
Exit codes: 0 a plan or a value, 1 infeasible or no match, 2 bad usage or
bad input.
"""


@click.command("eval", epilog=_EPILOG)
@request_options
@policy_option
@policies_option
@set_option
@runtime_option
@cache_option
@target_option
@click.option("--explain", is_flag=True, help="Add the trace: matches, conditions, candidates, variables.")
def command(
    policy: str,
    policies: tuple[str, ...],
    constants: dict[str, object],
    runtime: str,
    use_cache: bool,
    target: Target,
    explain: bool,
    **asked: object,
) -> int:
    """Choose a sharding plan and explain it.

    The default policy needs an inventory, a model and a quantization; custom policies declare their own
    inputs.
    """
    if explain and not target.shows_trace:
        *others, last = (other.name for other in targets() if other.shows_trace)
        able = f"{', '.join(others)} or {last}"
        raise click.UsageError(f"--explain cannot be used with --format {target.name}; use {able}")
    sources = sources_of(asked)
    loaded = load_policy(policy, policies, constants=constants, use_cache=use_cache)
    if asked["slo"] is not None or asked["rate"] is not None:
        from engine.decide.goals import check_policy  # deferred: start-up time

        check_policy(f"{loaded.name}@{loaded.version}", reads=loaded.reads("serving"))
    request = read_request(sources, loaded.catalogs)
    if target.servers and loaded.reads("serving"):
        imply_server(request, target, loaded.catalogs)
    with request.located():
        decision = loaded.decide(request.request, explain=explain, runtime=runtime)
    click.echo(target.render(decision, screen()), nl=False)
    return YES if decision.feasible else NO
