"""`engine size`: the fewest or cheapest devices that meet goals."""

from __future__ import annotations

import sys
from functools import partial

import click

from engine.base.paint import painter
from engine.base.pool import collect_rarely
from engine.base.printable import printable_lines
from engine.base.records import replace
from engine.catalogs.resolved import Catalogs
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
from engine.cli.requests import read_request
from engine.cli.terminal import screen
from engine.decide.capacity.machines import Machine, read_fleet, read_offers
from engine.decide.capacity.prices import read_prices
from engine.decide.capacity.sizing import size
from engine.decide.policy import AUTO, load_policy
from engine.decide.sources import LocatedRequest, memory_bytes
from engine.inventory.source import read_source
from engine.render.report import sizing as forms

_EPILOG = """
\b
Examples:
  engine size --model llama-3.1-70b --quantization fp8 \\
      --slo ttft=1s,tpot=40ms --rate 20/s \\
      --on 8xH100-SXM,4xL40S,8xMI300X
  engine size --model llama-3.1-70b --slo tpot=40ms,p95 --rate 600/min \\
      --on 8xH100-SXM,8xH200-SXM --price H100-SXM=2.49USD/h \\
      --price H200-SXM=3.80USD/h --format markdown
  engine size --request goals.yaml --fleet cluster.yaml

\b
Exit codes: 0 an option meets the goals, 1 none does, 2 bad usage or bad
input.
"""


@click.command("size", epilog=_EPILOG)
@click.option("--on", "offers", metavar="MACHINES", help="Machines to choose from: 8xH100-SXM,4xL40S.")
@click.option("--fleet", metavar="FILE|-|WORD", help="Devices to choose from, which are all there are.")
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="NAME=AMOUNT/h",
    help="Price of a device or machine, e.g. H100-SXM=2.49USD/h; repeatable.",
)
@click.option("--currency", metavar="CODE", help="Currency of prices that state none, e.g. USD.")
@click.option("--whole-machines", is_flag=True, help="Charge for all devices of a machine, not those used.")
@partial(request_options, without=("--inventory", "--concurrency", "--objective"))
@policy_option
@policies_option
@set_option
@cache_option
@format_option(*forms.FORMS)
def command(
    offers: str | None,
    fleet: str | None,
    prices: tuple[str, ...],
    currency: str | None,
    whole_machines: bool,
    policy: str,
    policies: tuple[str, ...],
    constants: dict[str, object],
    use_cache: bool,
    form: str,
    **asked: object,
) -> int:
    """Find the fewest or cheapest devices that serve a rate within limits on latency.

    Each machine is one option, with as many instances of the model as the rate needs. Without --rate, an
    option is one machine at full load. Prices are never assumed: they come from --price, or from a catalog
    `prices` in a folder of policies.
    """
    if offers is not None and fleet is not None:
        raise click.UsageError("use either --on or --fleet, not both")
    sources = sources_of(asked)
    loaded = load_policy(policy, policies, constants=constants, use_cache=use_cache)
    located = read_request(sources, loaded.catalogs)
    collect_rarely()
    memory = None if sources.memory is None else memory_bytes(sources.memory)
    machines = _machines(offers, fleet, located, loaded.catalogs, memory)
    request = located.request
    if request.inputs.get("quantization") is None:
        request = request.with_inputs(quantization=AUTO)
    serving = request.inputs.get("serving")
    if isinstance(serving, dict) and "concurrency" in serving:
        rest = {name: value for name, value in serving.items() if name != "concurrency"}
        request = request.with_inputs(serving=rest)
    names = [name for machine in machines for name in (machine.product, machine.type) if name is not None]
    table = read_prices(prices, currency, loaded.catalogs, names)
    with replace(located, request=request).located():
        found = size(loaded, request, machines, prices=table, whole_machines=whole_machines)
    for note in found.notes:
        print(f"note: {printable_lines(note)}", file=sys.stderr)
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
    return NO if found.best is None else YES


def _machines(
    offers: str | None, fleet: str | None, located: LocatedRequest, catalogs: Catalogs, memory: int | None
) -> list[Machine]:
    """Return what may be chosen from: --on, --fleet, or the inventory of --request."""
    if offers is not None:
        return read_offers(offers, catalogs, memory)
    if fleet is not None:
        source = read_source(fleet, catalogs.hardware)
        for note in source.notes:
            print(f"note: {printable_lines(note)}", file=sys.stderr)
        return read_fleet(source.inventory, catalogs, memory)
    inventory = located.request.inventory
    if inventory is None:
        raise click.UsageError("name what to choose from: --on 8xH100-SXM,4xL40S or --fleet FILE")
    return read_fleet(inventory, catalogs, memory)
