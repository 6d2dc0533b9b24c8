"""Compare sharding 2.0.0 with published deployments, pinned to their parallel degrees and unpinned.

    python benchmarks/deployments.py [deployments.yaml]

A deployment that ran must be accepted at its published degrees, a published failure must be rejected. The
last column is the policy's own choice: with the objective `throughput` for throughput benchmarks, otherwise
`balanced`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

import engine  # noqa: E402
from benchmarks.decoding import DATA, POLICY, model_request  # noqa: E402
from engine.base.errors import RequestError  # noqa: E402
from engine.catalogs.hardware import load_hardware  # noqa: E402

DEGREES = {
    "tp": "tensor_parallel",
    "pp": "pipeline_parallel",
    "dp": "data_parallel",
    "ep": "expert_parallel",
}


def inventory_of(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inventory of a case: its devices, or a number of one product of the catalog."""
    if "devices" in case:
        return {"devices": case["devices"]}
    name, count, nodes = case["product"], case["count"], case.get("nodes", 1)
    row = load_hardware().product(name)
    if row is None:
        raise RequestError(f"unknown product '{name}'")
    memory = f"{row['memory_mib']}MiB"
    entry = {"kind": row["kind"], "name": case.get("name", name), "memory": memory, "count": count // nodes}
    return {"devices": [{**entry, **({"node": f"node{n}"} if nodes > 1 else {})} for n in range(nodes)]}


def request_of(case: Mapping[str, Any], *, pinned: bool) -> dict[str, Any]:
    """Return the request of a case, with its degrees or without."""
    devices, model = case["count"], case["model"]
    serving: dict[str, Any] = {"utilization": case.get("utilization", 0.9)}
    if "objective" in case and not pinned:
        serving |= {"objective": case["objective"], "concurrency": 64 * devices, "context": 2048}
    request = {
        "inventory": inventory_of(case),
        "model": model_request(model) if isinstance(model, str) else model,
        "quantization": case["quantization"],
        "serving": serving,
    }
    degrees = case.get("degrees")
    if pinned and degrees:
        pin = {field: degrees.get(name, 1) for name, field in DEGREES.items()}
        return {**request, "pin": pin}
    if pinned:
        # The source names no degrees, only that an even split over all devices does not fit.
        return {**request, "pin": {"tensor_parallel": devices}}
    return request


def degrees_of(decision: engine.Decision) -> str:
    """Return TP·PP·DP, and EP if experts are spread, or what stopped the plan."""
    if decision.plan is None:
        return f"none ({decision.refusal.requirement if decision.refusal else ''})"
    strategy = decision.plan.strategy
    experts = f"·ep{strategy.expert_parallel}" if (strategy.expert_parallel or 1) > 1 else ""
    return f"{strategy.tensor_parallel}·{strategy.pipeline_parallel}·{strategy.data_parallel}{experts}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="?", default=DATA / "deployments.yaml", type=Path)
    policy = engine.load_policy(POLICY)
    wrong = agreed = ran = 0
    print(f"{'deployment':54}{'published':>13}  {'pinned':10}{'unpinned':>14}")
    for case in yaml.safe_load(parser.parse_args().cases.read_text(encoding="utf-8"))["cases"]:
        pinned = policy.decide(engine.Request.from_dict(request_of(case, pinned=True)))
        unpinned = policy.decide(engine.Request.from_dict(request_of(case, pinned=False)))
        degrees = case.get("degrees")
        published = "unknown"
        if degrees:
            experts = f"·ep{degrees['ep']}" if degrees.get("ep", 1) > 1 else ""
            published = f"{degrees['tp']}·{degrees['pp']}·{degrees['dp']}{experts}"
        should_run = "failed" not in case
        accepted = pinned.plan is not None
        wrong += accepted is not should_run
        ran += should_run
        agreed += should_run and degrees_of(unpinned) == published
        verdict = (
            "accepted" if accepted else f"rejected: {pinned.refusal.requirement if pinned.refusal else ''}"
        )
        mark = "" if accepted is should_run else "  WRONG"
        print(f"{case['id'][:53]:54}{published:>13}  {verdict:10}{degrees_of(unpinned):>14}{mark}")
    print(f"\n{wrong} wrong; unpinned, {agreed} of {ran} that ran match the published degrees")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
