"""`engine inventory`: what tools print of machines, as inventories."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from engine.cli.exits import YES
from engine.cli.options import format_option, policies_option
from engine.documents import read_text
from engine.inventory import Interconnect, Inventory
from engine.inventory.captures import SOURCES
from engine.inventory.source import import_texts, on_node, read_source
from engine.policy.hardware import load_hardware
from engine.render import inventory as forms

_EPILOG = """
\b
Examples:
  engine inventory detect > inventory.yaml
  nvidia-smi topo -m > topo.txt
  nvidia-smi --query-gpu=index,name,memory.total,memory.free \\
      --format=csv > gpus.csv
  engine inventory import topo.txt gpus.csv > inventory.yaml
  engine inventory join a=machine-a.txt b=machine-b.txt > cluster.yaml
  engine inventory show inventory.yaml
  engine inventory show 2x8xH100-SXM
"""


@click.group("inventory", epilog=_EPILOG)
def command() -> None:
    """Read machines from what their tools print, and show them."""


node_option = click.option(
    "--node", metavar="NAME", help="The node that the devices are on; the machine's own name is never kept."
)


@command.command("detect")
@node_option
@policies_option
@format_option("yaml", "json", "text")
def detect(node: str | None, policies: tuple[str, ...], form: str) -> int:
    """Describe this machine, as its tools do.

    NVML, nvidia-smi, rocm-smi, amd-smi, hl-smi, xpu-smi, neuron-ls and system_profiler are asked, as far as
    they are there; /sys and /dev tell of the rest. Nothing leaves the machine; serial numbers and its name
    are not asked for.
    """
    from engine.inventory import detect as this_machine

    found = this_machine.detect(load_hardware(policies))
    _notes(found.notes, found.inventory)
    click.echo(_text(on_node(found.inventory, node), form), nl=False)
    return YES


@command.command("import")
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
@click.option(
    "--from",
    "source",
    type=click.Choice(SOURCES),
    default="auto",
    show_default=True,
    help="Whose output it is.",
)
@node_option
@policies_option
@format_option("yaml", "json")
def import_(
    files: tuple[str, ...], source: str, node: str | None, policies: tuple[str, ...], form: str
) -> int:
    """Make one inventory of what tools printed of one machine.

    nvidia-smi without arguments, topo -m, --query-gpu=… --format=csv, -L, -q, -q -x; rocm-smi --showtopo,
    --showproductname, --showmeminfo vram; amd-smi without arguments, static, topology; neuron-ls -j; lscpu;
    what vLLM's or PyTorch's collect_env printed, in which these are found; kubectl get nodes -o json;
    ai-hwaccel's registry. What a source doesn't say stays unknown.
    """
    texts = [("<stdin>" if file == "-" else file, read_text(file)) for file in files]
    imported = import_texts(texts, load_hardware(policies), source)
    _notes(imported.notes, imported.inventory)
    click.echo(_text(on_node(imported.inventory, node), form), nl=False)
    return YES


@command.command("join")
@click.argument("sources", metavar="[NAME=]FILE|WORD…", nargs=-1, required=True)
@click.option(
    "--network",
    metavar="KIND=GBS",
    help="What joins the nodes, and GB/s of each device: InfiniBand=50. Else what is usual for the product.",
)
@policies_option
@format_option("yaml", "json")
def join(sources: tuple[str, ...], network: str | None, policies: tuple[str, ...], form: str) -> int:
    """Make one inventory of several machines, each a node.

    A machine is whatever --inventory takes; its node is named NAME, else as its file is.
    """
    from engine.inventory.join import join as joined

    hardware = load_hardware(policies)
    machines = []
    notes: list[str] = []
    for number, source in enumerate(sources):
        name, given, file = source.rpartition("=")
        found = read_source(file, lambda: hardware)
        notes += found.notes
        stem = Path(file).stem if Path(file).exists() else f"node{number}"
        machines.append((name if given else stem, found.inventory))
    imported = joined(machines, hardware, None if network is None else _network(network))
    _notes(tuple(dict.fromkeys([*notes, *imported.notes])), imported.inventory)
    click.echo(_text(imported.inventory, form), nl=False)
    return YES


def _network(text: str) -> Interconnect:
    kind, _, rate = text.partition("=")
    try:
        gbs = float(rate)
    except ValueError:
        gbs = 0.0
    if not kind or not 0 < gbs < float("inf"):
        raise click.BadParameter(f"expected KIND=GBS, found {text!r}", param_hint="--network")
    return Interconnect(kind, gbs)


@command.command("show")
@click.argument("source", metavar="FILE|-|WORD")
@policies_option
@format_option("text", "yaml", "json", "svg")
def show(source: str, policies: tuple[str, ...], form: str) -> int:
    """Show the devices of an inventory, and what joins them.

    WORD is a shorthand: 8xH100-SXM, 2x8xH200-SXM (nodes x devices), v5p-8, 2xGaudi3+8xL40S.
    """
    found = read_source(source, lambda: load_hardware(policies))
    _notes(found.notes, found.inventory)
    if form == "svg":
        from engine.render.picture import svg

        click.echo(svg(found.inventory, forms.headline(found.inventory)), nl=False)
    else:
        click.echo(_text(found.inventory, form), nl=False)
    return YES


def _text(inventory: Inventory, form: str) -> str:
    if form == "text":
        return forms.text(inventory)
    return forms.as_yaml(inventory) if form == "yaml" else forms.as_json(inventory)


def _notes(notes: tuple[str, ...], inventory: Inventory) -> None:
    """Say on standard error what a source left open."""
    for each in notes:
        print(f"note: {each}", file=sys.stderr)
    if any(device.memory_bytes is None for device in inventory.devices):
        print("note: the memory of some devices is not said; --memory gives it", file=sys.stderr)
