"""`engine bench`: compile and decision times of a policy on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from engine.base.errors import DocumentError, RequestError
from engine.base.printable import printable, printable_lines
from engine.bulk.streams import read as read_stream
from engine.cli.exits import YES
from engine.cli.options import format_option, policies_option, set_option
from engine.decide.request import Request
from engine.documents.files import open_binary
from engine.documents.lines import decode_line
from engine.regress.bench import Bench, measure

_EPILOG = """
\b
Examples:
  engine bench
  engine bench sharding@1.0.0 --requests history.jsonl --format json
  engine bench my-policies/quota/1.0.0.yaml --inputs subjects.jsonl
"""

_REQUESTS = [
    {
        "inventory": {
            "devices": [{"kind": "CudaGpu", "count": count, "memory": "80GiB"}],
            "interconnects": [{"kind": "NVLink", "bandwidth_gbps": bandwidth}],
        },
        "model": {"params": params},
        "quantization": "bf16",
    }
    for count in (1, 2, 4, 8, 16)
    for bandwidth in (50, 600)
    for params in ("7B", "70B", "405B")
]
"""The requests that are decided if no file is named."""


@click.command("bench", epilog=_EPILOG)
@click.argument("policy", metavar="[POLICY]", default="sharding")
@click.option("--requests", metavar="FILE", help="Requests to decide (JSON Lines).")
@click.option("--inputs", metavar="FILE", help="Inputs of a custom policy (JSON Lines).")
@policies_option
@set_option
@format_option("text", "json")
def command(
    policy: str,
    requests: str | None,
    inputs: str | None,
    policies: tuple[str, ...],
    constants: dict[str, object],
    form: str,
) -> int:
    """Benchmark a policy: compile time, decision time, and time per match and expression.

    Expressions are timed one by one; compiled into one function, they take less.
    """
    if requests and inputs:
        raise click.UsageError("use either --requests or --inputs, not both")
    file = requests or inputs
    read = Request.from_inputs if inputs else Request.from_dict
    asked = _read(file, read) if file else [Request.from_dict(request) for request in _REQUESTS]
    found = measure(policy, policies, asked, constants)
    click.echo(json.dumps(found.to_dict(), indent=2) if form == "json" else _text(found))
    return YES


def _read(file: str, read: Callable[[object], Request]) -> list[Request]:
    asked: list[Request] = []
    with open_binary(file) as source:
        for line in read_stream(source, file):
            try:
                asked.append(read(decode_line(line.text)))
            except (RequestError, DocumentError) as error:
                raise DocumentError(f"{file}, line {line.number}: {error.message}", hint=error.hint) from None
    if not asked:
        raise DocumentError(f"{file}: the file has no requests")
    return asked


def _text(found: Bench) -> str:
    rows = [
        f"{found.policy}, {found.requests} requests",
        f"compile      {found.compile * 1e3:10.1f} ms",
        f"decide p50   {found.decide_p50 * 1e6:10.1f} µs",
        f"decide p99   {found.decide_p99 * 1e6:10.1f} µs",
        "",
        f"{'match':48}{'chosen':>11}{'µs/decision':>16}",
    ]
    for match in found.matches:
        rows.append(f"{_short(match.id):48}{match.chosen:>11}{match.seconds * 1e6 / found.requests:>16.2f}")
    rows += [
        "",
        f"{'expression':48}{'evaluated':>11}{'µs/decision':>16}",
    ]
    for cost in found.costs:
        rows.append(f"{_short(cost.name):48}{cost.count:>11}{cost.seconds * 1e6 / found.requests:>16.2f}")
    return printable_lines("\n".join(rows))


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= 47 else name[:46] + "…"
