"""Compare the throughput estimates of sharding 2.0.0 with measured servers.

    python benchmarks/serving.py [serving_measured.jsonl]

Each row holds a model, an accelerator, parallel degrees, lengths, concurrency and the measured output
tokens/s, which is compared with `saturated_tokens_per_sec`. Requests use the mean lengths, `length_factor` ×
nominal. Latencies are not compared: the rows' are those of loaded servers, the policy's of a single request.
The rows are in `data/serving_measured.jsonl.gz`: InferenceX's database and others, collected in NVIDIA's
AIConfigurator (Apache-2.0).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

import engine  # noqa: E402
from benchmarks import decoding  # noqa: E402
from benchmarks.decoding import DATA, POLICY, read_rows  # noqa: E402

ROWS = DATA / "serving_measured.jsonl.gz"

inventory_of, model_request = cache(decoding.inventory_of), cache(decoding.model_request)

DEGREES = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")


def request_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request that pins the degrees of a measured run."""
    ranks = row["tensor_parallel"] * row["pipeline_parallel"] * row["data_parallel"]
    factor = row["length_factor"]
    return {
        "id": row["id"],
        "inventory": inventory_of(row["accelerator"], ranks),
        "model": model_request(row["catalog_name"]),
        "quantization": row["precision"],
        "serving": {
            "input_tokens": max(1, round(row["input_tokens"] * factor)),
            "output_tokens": max(1, round(row["output_tokens"] * factor)),
            "concurrency": row["concurrency"],
        },
        "pin": {name: row[name] for name in DEGREES},
    }


def errors(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, list[float]], Counter[str]]:
    """Return relative errors by group of rows, and the number of refused rows by requirement."""
    policy = engine.load_policy(POLICY)
    by_group: dict[str, list[float]] = defaultdict(list)
    refused: Counter[str] = Counter()
    for row in rows:
        request = request_of(row)
        decision = policy.decide(engine.Request.from_dict(request), remedies=False)
        if decision.plan is None or decision.plan.estimates is None:
            refused[str(decision.refusal.requirement if decision.refusal else decision.outcome)] += 1
            continue
        estimate, measured = decision.plan.estimates.saturated_tokens_per_sec, row["output_tokens_per_sec"]
        assert estimate is not None
        for group in ("all", "MoE" if request["model"].get("experts") else "dense", row["server"]):
            by_group[group].append(abs(estimate - measured) / measured)
    return by_group, refused


def spread(values: list[float]) -> tuple[float, float]:
    """Return the median and the 90th percentile."""
    return statistics.median(values), sorted(values)[int(0.9 * (len(values) - 1))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="?", default=ROWS, type=Path)
    rows = read_rows(parser.parse_args().rows)
    by_group, refused = errors(rows)
    print(f"{'output tokens/s':16}{'rows':>6}{'median':>9}{'p90':>9}")
    for group, values in by_group.items():
        median, ninth = spread(values)
        print(f"{group:16}{len(values):>6}{median:>9.1%}{ninth:>9.1%}")
    judged = len(rows) - refused.total()
    print(f"{judged} of {len(rows)} rows are accepted" + (f"; refused: {dict(refused)}" if refused else ""))


if __name__ == "__main__":
    main()
