"""`engine bench`: what a policy costs on this machine."""

from __future__ import annotations

import json
from typing import Any

import click

from engine.batch import decode_line
from engine.bench import Bench, measure
from engine.cli.exits import YES
from engine.cli.options import format_option, policies_option
from engine.documents.files import open_binary
from engine.errors import DocumentError, RequestError
from engine.request import Request
from engine.streams import read as read_stream

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
"""What is decided where no file says otherwise."""


@click.command("bench", epilog=_EPILOG)
@click.argument("policy", metavar="[POLICY]", default="sharding")
@click.option("--requests", metavar="FILE", help="Requests, one JSON line each.")
@click.option("--inputs", metavar="FILE", help="Any policy's inputs, one JSON line each.")
@policies_option
@format_option("text", "json")
def command(
    policy: str, requests: str | None, inputs: str | None, policies: tuple[str, ...], form: str
) -> int:
    """Measure what a policy costs: to compile, to decide, by match and by expression.

    The times of expressions are of each by itself; in one function they take less.
    """
    if requests and inputs:
        raise click.UsageError("--requests and --inputs are two ways to say the same; give one of them")
    file = requests or inputs
    read = Request.from_inputs if inputs else Request.from_dict
    asked = _read(file, read) if file else [Request.from_dict(each) for each in _REQUESTS]
    found = measure(policy, policies, asked)
    click.echo(json.dumps(found.to_dict(), indent=2) if form == "json" else _text(found))
    return YES


def _read(file: str, read: Any) -> list[Request]:
    asked: list[Request] = []
    with open_binary(file) as source:
        for line in read_stream(source, file):
            try:
                asked.append(read(decode_line(line.text)))
            except (RequestError, DocumentError) as error:
                raise DocumentError(f"{file}, line {line.number}: {error.message}", hint=error.hint) from None
    if not asked:
        raise DocumentError(f"{file}: no requests in it")
    return asked


def _text(found: Bench) -> str:
    rows = [
        f"{found.policy}, {found.requests} requests",
        f"compile      {found.compile * 1e3:10.1f} ms",
        f"decide p50   {found.decide_p50 * 1e6:10.1f} µs",
        f"decide p99   {found.decide_p99 * 1e6:10.1f} µs",
        "",
        f"{'match':48}{'chosen':>11}{'µs a decision':>16}",
    ]
    for match in found.matches:
        rows.append(f"{_short(match.id):48}{match.chosen:>11}{match.seconds * 1e6 / found.requests:>16.2f}")
    rows += [
        "",
        f"{'expression':48}{'evaluated':>11}{'µs a decision':>16}",
    ]
    for cost in found.costs:
        rows.append(f"{_short(cost.name):48}{cost.count:>11}{cost.seconds * 1e6 / found.requests:>16.2f}")
    return "\n".join(rows)


def _short(name: str) -> str:
    return name if len(name) <= 47 else name[:46] + "…"
