"""Published deployments, pinned to their degrees and left free: what sharding 2.0.0 makes of each.

    python benchmarks/deployments.py [deployments.yaml]

A deployment that ran must be accepted at its published degrees, a published failure refused. What the policy
would choose by itself is shown beside: with the objective `throughput` for benchmarks of throughput, else
`balanced`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

import engine  # noqa: E402
from benchmarks.estimates import REFERENCE, model_request  # noqa: E402
from engine.errors import RequestError  # noqa: E402
from engine.policy.hardware import load_hardware  # noqa: E402

PRECISIONS = {"fp4": "nvfp4", "fp8 (dynamic)": "fp8", "see recipe": "bf16", "not stated": "bf16"}
"""Ways to store weights, where the published word isn't the catalog's."""

SHAPES: list[tuple[str, dict[str, Any] | str]] = [
    (r"Llama-3\.[13]-70B|Llama-3 70B", "llama-3.1-70b"),
    (r"Llama-3\.1-405B", "llama-3.1-405b"),
    (r"Llama-3\.1-8B", "llama-3.1-8b"),
    (r"Llama-2-70b", "llama-2-70b"),
    (r"Mixtral-8x7B", "mixtral-8x7b-v0.1"),
    (r"Mixtral-8x22B", "mixtral-8x22b-v0.1"),
    (r"DeepSeek-(V3|R1)", "deepseek-v3"),
    (r"Kimi-K2", "kimi-k2"),
    (r"Qwen3-Coder-480B", "qwen3-coder-480b-a35b"),
    (r"Qwen3-235B", "qwen3-235b-a22b"),
    (r"Qwen3-30B", "qwen3-30b-a3b"),
    (r"Qwen3-14B", "qwen3-14b"),
    (r"Qwen3-32B", "qwen3-32b"),
    (r"Qwen3-8B", "qwen3-8b"),
    (r"Qwen2\.5-32B", "qwen2.5-32b"),
    (r"Qwen2\.5-72B", "qwen2.5-72b"),
    (r"gpt-oss-120b", "gpt-oss-120b"),
    (r"gpt-oss-20b", "gpt-oss-20b"),
    (r"opt-66b", "opt-66b"),
    (r"opt-13b", "opt-13b"),
]
"""Models of the catalog; of others only the published number of parameters is known."""


def model_of(case: Mapping[str, Any]) -> dict[str, Any]:
    """The model of a case, as requests have it."""
    for pattern, known in SHAPES:
        if re.search(pattern, case["model"], re.IGNORECASE):
            return model_request(known) if isinstance(known, str) else known
    total, _, active = str(case["params"]).partition(" total / ")
    model: dict[str, Any] = {"params": total}
    if active:
        model["active_params"] = active.removesuffix(" active")
    return model


def inventory_of(hardware: Mapping[str, Any]) -> dict[str, Any]:
    """The machines of a case, as requests have them."""
    name, count, nodes = hardware["accelerator"], hardware["count"], hardware.get("nodes") or 1
    if isinstance(name, list):
        memories = hardware["memory_gib"]
        return {
            "devices": [
                {"kind": "CudaGpu", "memory": f"{memory}GiB", "node": f"node{number * nodes // count}"}
                for number, memory in enumerate(memories)
            ]
        }
    if "trn1" in name or "inf2" in name:
        chip = "Trainium" if "trn1" in name else "Inferentia"
        cores = hardware["cores"] // count
        memory = f"{hardware['memory_gib'] * cores}GiB"
        return {
            "devices": [
                {
                    "kind": "AwsNeuron",
                    "chip_type": chip,
                    "core_count": cores,
                    "memory": memory,
                    "count": count,
                }
            ]
        }
    if "TPU" in name:
        version = re.search(r"v\d\w?", name)
        assert version is not None
        memory = f"{hardware['memory_gb'] * count}GiB"
        return {
            "devices": [
                {"kind": "Tpu", "version": "V" + version[0][1:], "chip_count": count, "memory": memory}
            ]
        }
    products = load_hardware()
    row = products.product(re.sub(r" \d+GB HBM\w+", "", name))
    if row is None:
        raise RequestError(f"unknown product '{name}'")
    memory = f"{row['memory_mib']}MiB"
    entry = {"kind": row["kind"], "name": name, "memory": memory, "count": count // nodes}
    return {"devices": [{**entry, **({"node": f"node{n}"} if nodes > 1 else {})} for n in range(nodes)]}


def request_of(case: Mapping[str, Any], *, pinned: bool) -> dict[str, Any]:
    """The request of a case, with its degrees or without."""
    throughput = "ffline" in str(case.get("scenario"))
    devices = case["hardware"]["count"]
    serving: dict[str, Any] = {"utilization": case.get("gpu_memory_utilization", 0.9)}
    if throughput and not pinned:
        serving |= {"objective": "throughput", "concurrency": 64 * devices, "context": 2048}
    request = {
        "inventory": inventory_of(case["hardware"]),
        "model": model_of(case),
        "quantization": PRECISIONS.get(case["precision"], case["precision"]),
        "serving": serving,
    }
    degrees = case["parallelism"]
    if pinned and degrees:
        names = {
            "tp": "tensor_parallel",
            "pp": "pipeline_parallel",
            "dp": "data_parallel",
            "ep": "expert_parallel",
        }
        pin = {names[name]: degree or 1 for name, degree in degrees.items()}
        return {**request, "pin": pin}
    if pinned:
        # No degrees are told, just that an even split over all doesn't fit.
        return {**request, "pin": {"tensor_parallel": devices}}
    return request


def degrees_of(decision: engine.Decision) -> str:
    """`8·2·1`: tensor, pipeline and data parallel, and experts where they are spread."""
    if decision.plan is None:
        return f"none ({decision.refusal.requirement if decision.refusal else ''})"
    found = decision.plan.strategy
    experts = f"·ep{found.expert_parallel}" if (found.expert_parallel or 1) > 1 else ""
    return f"{found.tensor_parallel}·{found.pipeline_parallel}·{found.data_parallel}{experts}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="?", default=REFERENCE / "deployments.yaml", type=Path)
    policy = engine.load_policy("sharding@2")
    wrong = agreed = ran = 0
    print(f"{'deployment':54}{'published':>13}  {'pinned':10}{'free':>14}")
    for case in yaml.safe_load(parser.parse_args().cases.read_text())["cases"]:
        pinned = policy.decide(engine.Request.from_dict(request_of(case, pinned=True)))
        free = policy.decide(engine.Request.from_dict(request_of(case, pinned=False)))
        degrees = case["parallelism"]
        published = "not told"
        if degrees:
            experts = f"·ep{degrees['ep']}" if (degrees.get("ep") or 1) > 1 else ""
            published = f"{degrees['tp']}·{degrees['pp']}·{degrees['dp']}{experts}"
        should_run = case.get("expected", "supported") == "supported"
        accepted = pinned.plan is not None
        wrong += accepted is not should_run
        ran += should_run
        agreed += should_run and degrees_of(free) == published
        verdict = (
            "accepted" if accepted else f"refused: {pinned.refusal.requirement if pinned.refusal else ''}"
        )
        mark = "" if accepted is should_run else "  WRONG"
        print(f"{case['id'][:53]:54}{published:>13}  {verdict:10}{degrees_of(free):>14}{mark}")
    print(f"\n{wrong} wrong; the free plan is the published one in {agreed} of {ran} that ran")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
