"""`engine map`: which plan wins where."""

from __future__ import annotations

import click

from engine.base.paint import painter
from engine.base.pool import collect_rarely
from engine.cli.exits import YES
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
from engine.cli.requests import machine_name, read_request
from engine.cli.terminal import screen
from engine.decide.capacity.regions import Span, parse_span, plan_map
from engine.decide.policy import load_policy
from engine.render.report import regions as forms

_EPILOG = """
\b
Examples:
  engine map --inventory 8xH100-SXM --model llama-3.1-70b \\
      --quantization fp8 --x context=1k..128k --y concurrency=1..512
  engine map --inventory 8xB200-SXM --model deepseek-v3 \\
      --quantization fp8 --objective throughput --x input=128..32k \\
      --y concurrency=1..1k --format svg > map.svg
"""


def _span(context: click.Context, option: click.Parameter, text: str) -> Span:
    try:
        return parse_span(text)
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from None


@click.command("map", epilog=_EPILOG)
@click.option(
    "--x",
    default="context=1k..128k",
    show_default=True,
    callback=_span,
    metavar="GOAL=LOW..HIGH",
    help="Horizontal axis: context, input, output or concurrency.",
)
@click.option(
    "--y",
    default="concurrency=1..512",
    show_default=True,
    callback=_span,
    metavar="GOAL=LOW..HIGH",
    help="Vertical axis.",
)
@request_options
@policy_option
@policies_option
@set_option
@cache_option
@format_option("text", "json", "svg")
def command(
    x: Span,
    y: Span,
    policy: str,
    policies: tuple[str, ...],
    constants: dict[str, object],
    use_cache: bool,
    form: str,
    **asked: object,
) -> int:
    """Show which plan the policy chooses where, over two serving goals.

    Borders are exact on the lines of a grid, and straight in between.
    """
    sources = sources_of(asked)
    loaded = load_policy(policy, policies, constants=constants, use_cache=use_cache)
    located = read_request(sources, loaded.catalogs)
    collect_rarely()
    with located.located(), Progress(None, False) as progress:
        found = plan_map(
            loaded, located.request, x, y, machine_name(located.request), lambda: progress.advance(1)
        )
    if form == "text":
        click.echo(forms.text(found, screen().width, painter(screen().color)), nl=False)
    else:
        click.echo({"json": forms.as_json, "svg": forms.svg}[form](found), nl=False)
    return YES
