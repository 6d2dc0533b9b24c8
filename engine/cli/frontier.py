"""`engine frontier`: throughput per device against speed per user."""

from __future__ import annotations

import click

from engine.base.paint import painter
from engine.base.pool import collect_rarely
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
from engine.cli.requests import machine_name, read_request
from engine.cli.terminal import screen
from engine.decide.capacity.frontier import frontier
from engine.decide.policy import load_policy
from engine.render.report import frontier as forms

_EPILOG = """
\b
Examples:
  engine frontier --inventory 8xH100-SXM --model llama-3.1-70b \\
      --quantization fp8
  engine frontier --inventory 8xH200-SXM --model deepseek-v3 \\
      --quantization fp8 --slo ttft=2s,tpot=50ms --format svg > frontier.svg

\b
Exit codes: 0 there is a plan, 1 the policy chooses none, 2 bad usage or
bad input.
"""


@click.command("frontier", epilog=_EPILOG)
@request_options
@policy_option
@policies_option
@set_option
@cache_option
@format_option("text", "json", "csv", "markdown", "svg")
def command(
    policy: str,
    policies: tuple[str, ...],
    constants: dict[str, object],
    use_cache: bool,
    form: str,
    **asked: object,
) -> int:
    """Show throughput per device against speed per user, over all layouts and concurrencies.

    The front is what no other layout beats in both. It is marked what the policy chooses for the request, and
    which points are within its limits.
    """
    sources = sources_of(asked)
    loaded = load_policy(policy, policies, constants=constants, use_cache=use_cache)
    located = read_request(sources, loaded.catalogs)
    collect_rarely()
    with located.located():
        found = frontier(loaded, located.request, machine_name(located.request))
    if form == "text":
        click.echo(forms.text(found, screen().width, painter(screen().color)), nl=False)
    else:
        renderings = {
            "json": forms.as_json,
            "csv": forms.as_csv,
            "markdown": forms.markdown,
            "svg": forms.svg,
        }
        click.echo(renderings[form](found), nl=False)
    return YES if found.chosen is not None else NO
