"""Compare the TPOT and memory estimates of sharding 2.0.0 with published kernel tables.

    python benchmarks/decoding.py [decode_estimates.jsonl] [--requests FILE]

Each row holds a model, an accelerator, parallel degrees and token counts, and the published answer: whether
it fits, memory per device and time per output token. `--requests FILE` writes the rows as requests for
`engine batch` instead.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

import engine  # noqa: E402
from engine.catalogs.hardware import load_hardware, load_names  # noqa: E402
from engine.inventory.shorthand import read_shorthand  # noqa: E402
from engine.model.well_known import find_model  # noqa: E402

DATA = TOP / "benchmarks" / "data"

PRODUCTS = {
    "a100_sxm": "A100-SXM", "a100_pcie": "A100-PCIE", "a30": "A30", "h100_sxm": "H100-SXM",
    "h100_pcie": "H100-PCIE", "h200_sxm": "H200-SXM", "b200_sxm": "B200-SXM", "gb200": "GB200", "l4": "L4",
    "l40s": "L40S",
}  # fmt: skip
"""Catalog products by the names that the published rows use."""

POLICY = "sharding@2.0.0"


def inventory_of(product: str, devices: int, per_node: int = 8) -> dict[str, Any]:
    """Return the inventory of a request with that many devices."""
    hardware = load_hardware()
    nodes, rest = divmod(devices, per_node)
    word = f"{nodes}x{per_node}x{product}" if nodes > 1 and not rest else f"{devices}x{product}"
    inventory = read_shorthand(word, hardware).inventory
    return {
        "devices": [
            {
                "kind": device.kind,
                "name": device.name,
                "memory_bytes": device.memory_bytes,
                "device_id": device.device_id,
                **({} if device.node is None else {"node": device.node}),
                **device.attributes,
            }
            for device in inventory.devices
        ],
        "interconnects": [
            {"kind": link.kind, "bandwidth_gbps": link.bandwidth_gbps} for link in inventory.interconnects
        ],
    }


def model_request(name: str) -> dict[str, Any]:
    """Return the fields of a request for a model of the catalog."""
    model = find_model(load_names, name)
    assert model is not None
    fields = {key: value for key, value in model.to_value().items() if value is not None}
    return {**fields, "params": model.params}


def request_of(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the request that pins the degrees of a published row."""
    tensor, pipeline = row["tensor_parallel"], row["pipeline_parallel"]
    return {
        "id": number,
        "inventory": inventory_of(PRODUCTS[row["accelerator"]], tensor * pipeline),
        "model": model_request(row["model"]),
        "quantization": row["precision"],
        "serving": {
            "input_tokens": row["input_tokens"],
            "output_tokens": row["output_tokens"],
            "concurrency": row["concurrency"],
        },
        "pin": {
            "tensor_parallel": tensor,
            "pipeline_parallel": pipeline,
            "data_parallel": 1,
            "expert_parallel": 1,
        },
    }


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines, compressed with gzip or not."""
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def compare(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print the relative errors by device and by model."""
    policy = engine.load_policy(POLICY)
    errors: dict[str, list[float]] = defaultdict(list)
    memory: list[float] = []
    fits = total = 0
    print(_LINE.format("model", "device", "tp", "pp", "published", "estimate", "error", "GiB", "estimate"))
    for number, row in enumerate(rows):
        model, device = row["model"].split("/")[-1], row["accelerator"]
        plan = policy.decide(engine.Request.from_dict(request_of(row, number))).plan
        total += 1
        fits += (plan is not None) is row["fits"]
        if (plan is not None) is not row["fits"]:
            print(f"{model} on {device}: published fits: {row['fits']}")
        if plan is None or plan.estimates is None or not row["fits"]:
            continue
        published, estimate = row["time_per_output_token_ms"], plan.estimates.time_per_output_token_ms
        assert estimate is not None
        error = abs(estimate - published) / published
        for name in ("all", f"device {device}", f"model {model}"):
            errors[name].append(error)
        gib, reference = plan.estimates.memory_bytes_per_device / 2**30, row["memory_gib_per_device"]
        memory.append(abs(gib - reference) / reference)
        cells = (f"{published:.2f}", f"{estimate:.2f}", f"{error:.1%}", f"{reference:.1f}", f"{gib:.1f}")
        print(_LINE.format(model[:23], device, row["tensor_parallel"], row["pipeline_parallel"], *cells))
    print()
    for name, values in errors.items():
        ninth = sorted(values)[int(0.9 * (len(values) - 1))]
        median, worst = statistics.median(values), max(values)
        spread = f"median {median:.1%}, 90th percentile {ninth:.1%}, worst {worst:.1%}"
        print(f"{name:28}{len(values):4} rows: {spread}")
    print(f"fits: {fits} of {total} agree; memory: median error {statistics.median(memory):.1%}")


_LINE = "{:24}{:11}{:>3}{:>3}{:>11}{:>10}{:>8}{:>8}{:>10}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="?", default=DATA / "decode_estimates.jsonl.gz", type=Path)
    parser.add_argument("--requests", type=Path, help="write the rows as requests instead")
    arguments = parser.parse_args()
    rows = read_rows(arguments.rows)
    if arguments.requests:
        lines = (json.dumps(request_of(row, number)) for number, row in enumerate(rows))
        arguments.requests.write_text("".join(line + "\n" for line in lines))
    else:
        compare(rows)


if __name__ == "__main__":
    main()
