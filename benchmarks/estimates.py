"""Compare the estimates of library llm-speed with measured servers, kernel tables and the best choices.

    python benchmarks/estimates.py [--rows FILE] [--server NAME] [--policy sharding@3] [--worst N]

Evaluates the library's CEL formulas for

- `data/serving_measured.jsonl.gz`: 797 runs of vLLM, SGLang and TensorRT-LLM;
- `data/serving_tables.jsonl.gz`: 215 points of kernel tables, which hold no server;
- `data/choices.jsonl.gz`: 15 questions (model, machine, lengths, limits) with the tables' values of all
  candidates.

Prints the relative errors of throughput, TPOT and TTFT by regime, device, model, server and precision, how
often the stated ranges hold the measured value, and the regret: the fraction of tokens/s that the candidate
chosen by the estimates loses against the best one, both by the tables' values. With limits of TTFT and TPOT,
a candidate is worth its best point within them. `engine size` chooses for any number of requests, and its
choices are compared in two ways: by the tables' batches, which are coarse (16, 32, 48, 64, 96), so that a
limit just below a point costs up to a third; and between them, where the tables are read linearly.

With `--policy`, also decides on the measured rows, with their degrees and server pinned, and compares what
the plan reports; rows that the policy refuses are counted by requirement.

Requests use mean lengths (`length_factor` × nominal) and a KV cache of 16 bits. Waiting for KV cache is not
compared: the rows do not state how much memory the server had.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

import engine  # noqa: E402
from benchmarks.decoding import DATA, inventory_of, model_request, read_rows  # noqa: E402
from engine.catalogs.hardware import load_names  # noqa: E402
from engine.decide.capacity.machines import read_offers  # noqa: E402
from engine.decide.capacity.sizing import size  # noqa: E402
from engine.decide.sources import Sources, read_sources  # noqa: E402

LIBRARY = "library/llm-speed@1"
SERVERS = {"trtllm": "tensorrt-llm"}
"""Servers in the catalog by the names of the rows."""
TABLES = "kernels"
"""Server that kernel tables are compared with."""
DEFAULT_SERVER = "vllm"
"""Server that choices are made for."""

Inputs = dict[str, Any]
Output = Mapping[str, Any]


@cache
def rows_of(catalog: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the rows of the newest version of a catalog."""
    return load_names(catalog).rows


@cache
def device(name: str) -> Mapping[str, Any]:
    """Return what the library reads of a product, by one of its names."""
    names = load_names("products")
    product = names.loose(name)
    assert product is not None, name
    row = names.rows[product]
    fast = row["fabric"] not in (None, "PCIe")
    fabric = rows_of("fabrics")["nvlink" if fast else "pcie"]
    generations = rows_of("product_generations")
    return {
        "bandwidth_gbs": row["memory_bandwidth_gbs"],
        "bf16_tflops": row["bf16_tflops"],
        "generation": generations[product]["generation"] if product in generations else "unknown",
        "link_gbs": row["link_gbs"] or fabric["link_gbs"],
        "allreduce_us": (fast and row["allreduce_us"]) or fabric["allreduce_us"],
        "fast": fast,
        "native": row["native"],
    }


@cache
def model_fields(name: str) -> Mapping[str, Any]:
    """Return the fields of a model of the catalog."""
    return model_request(name)


def inputs_of(row: Mapping[str, Any], server: str) -> Inputs:
    """Return the library's inputs for a row: shape, bytes and rates from the catalogs."""
    model = model_fields(row["catalog_name"] if "catalog_name" in row else row["model"])
    precision, factor = row["precision"], row.get("length_factor", 1.0)
    tensor, pipeline, data, expert = (float(row[f"{name}_parallel"]) for name in DEGREES)
    prompt, output = row["input_tokens"] * factor, row["output_tokens"] * factor
    layers, experts = model["layers"], model.get("experts") or 0
    embedding = model["embedding_params"]
    head = embedding if model.get("tied_embeddings") else embedding / 2
    routed = model.get("expert_params") or 0
    dense = model["params"] - embedding - routed
    bytes_per_param = rows_of("quantization")[precision]["bits_per_param"] / 8
    rates = rows_of("compute_rates")[precision]
    dense_bytes_per_param = 2.0 if rates.get("experts_only") else bytes_per_param
    cached = 2.0 * model["latent_size"] if model.get("latent_size") else 0.0
    if not cached:
        heads_of_rank = -(-model["kv_heads"] // tensor)
        cached = 2.0 * 2.0 * heads_of_rank * model["head_dim"]
    windowed, window = model.get("sliding_layers") or 0, model.get("sliding_window") or 0
    middle = prompt + output / 2
    hardware = dict(device(row["accelerator"]))
    return {
        **hardware,
        "native": precision in hardware["native"],
        "tensor_parallel": tensor,
        "pipeline_parallel": pipeline,
        "data_parallel": data,
        "expert_parallel": expert,
        "concurrency": max(float(row["concurrency"]), pipeline * data if server == TABLES else 1.0),
        "capacity": 1e9,
        "input_tokens": prompt,
        "output_tokens": output,
        "prefix_hit": 0.0,
        "draft_tokens": 0.0,
        "accepted_tokens": 1.0,
        "offload_bytes": 0.0,
        "offload_experts": False,
        "offload_share": 0.0,
        "offload_gbs": 25.0,
        "offload_copy_gbs": 25.0,
        "draft_passes": 0.0,
        "draft_layers": 0.0,
        "draft_params": 0.0,
        "draft_dense_bytes": 0.0,
        "draft_expert_bytes": 0.0,
        "layers": float(layers),
        "windowed_layers": float(windowed),
        "window": float(window),
        "hidden": float(model["hidden_size"]),
        "heads": float(model["attention_heads"]),
        "head_dim": float(model["head_dim"]),
        "latent": bool(model.get("latent_size")),
        "experts": float(experts),
        "experts_per_token": float(model.get("experts_per_token") or 0),
        "dense_params": float(dense),
        "active_expert_params": float(model["active_params"] - model["params"] + routed) if experts else 0.0,
        "head_params": float(head),
        "dense_bytes": dense * dense_bytes_per_param / tensor,
        "expert_bytes": routed * bytes_per_param / (tensor * max(1.0, expert / tensor)),
        "head_bytes": 2.0 * head / tensor,
        "kv_bytes": cached * ((layers - windowed) * middle + windowed * min(middle, window)),
        "quantization": precision,
        "server": server,
        "calibration": "none",
        "hops_ms": 0.0,
    }


DEGREES = ("tensor", "pipeline", "data", "expert")


@dataclass(frozen=True)
class Case:
    """A row with the library's inputs for it and what they should yield."""

    row: Mapping[str, Any]
    inputs: Inputs
    groups: tuple[str, ...]

    @property
    def dense(self) -> bool:
        return not self.inputs["experts"]

    def truth(self, quantity: str) -> float:
        value: float = self.row[TRUTH[quantity]]
        return value


TRUTH = {
    "throughput": "output_tokens_per_sec",
    "tpot": "time_per_output_token_ms",
    "ttft": "time_to_first_token_ms",
}
ESTIMATE = {"throughput": "tokens_per_sec", "tpot": "tpot_ms", "ttft": "ttft_ms"}


def measured(path: Path = DATA / "serving_measured.jsonl.gz") -> list[Case]:
    """Return the measured runs."""
    cases = []
    for row in read_rows(path):
        server = SERVERS.get(row["server"], row["server"])
        inputs = inputs_of(row, server)
        kind = "dense" if inputs["experts"] == 0.0 else "MoE"
        names = (
            f"measured, {kind}",
            f"device {row['accelerator']}",
            f"model {row['catalog_name']}",
            f"server {server}",
            f"precision {row['precision']}",
        )
        cases.append(Case(row, inputs, names))
    return cases


def tabled(path: Path = DATA / "serving_tables.jsonl.gz") -> list[Case]:
    """Return the points of kernel tables that fit."""
    return [
        Case(row, inputs_of(row, TABLES), (f"tables, {row['regime']}", f"tables, {row['accelerator']}"))
        for row in read_rows(path)
        if row["fits"]
    ]


class Speed:
    """The library's formulas, evaluated by the engine."""

    def __init__(self, folders: Sequence[str] = (), reference: str = LIBRARY) -> None:
        self.policy = engine.load_policy(reference, list(folders) or None)

    def __call__(self, inputs: Inputs) -> Output:
        output: Output = self.policy.decide(engine.Request.from_inputs(inputs)).output
        return output


class Decisions:
    """Estimates of the plans that a policy decides on, with degrees and server of the rows pinned."""

    def __init__(self, reference: str) -> None:
        self.policy = engine.load_policy(reference)
        self.refused: Counter[str] = Counter()

    def __call__(self, case: Case) -> Output | None:
        """Return what the plan for a row reports, by the library's names; None if the policy refuses it."""
        row = case.row
        degrees = {f"{name}_parallel": row[f"{name}_parallel"] for name in DEGREES}
        devices = degrees["tensor_parallel"] * degrees["pipeline_parallel"] * degrees["data_parallel"]
        request = {
            "inventory": inventory(row["accelerator"], devices),
            "model": model_fields(row["catalog_name"]),
            "quantization": row["precision"],
            "serving": {
                "input_tokens": round(case.inputs["input_tokens"]),
                "output_tokens": round(case.inputs["output_tokens"]),
                "concurrency": row["concurrency"],
                "server": case.inputs["server"],
            },
            "pin": degrees,
        }
        decision = self.policy.decide(engine.Request.from_dict(request), remedies=False).to_dict()
        if decision["plan"] is None or decision["plan"]["estimates"] is None:
            self.refused[str(decision["binding"])] += 1
            return None
        estimates: Any = decision["plan"]["estimates"]
        reported = {**estimates, **estimates["loaded"]}
        output: dict[str, Any] = {}
        for name, field in REPORTED.items():
            value = output[ESTIMATE[name]] = reported[field]
            output[f"{name}_factors"] = (reported[f"{field}_low"] / value, reported[f"{field}_high"] / value)
        return output


REPORTED = {
    "throughput": "throughput_tokens_per_sec",
    "tpot": "time_per_output_token_ms",
    "ttft": "time_to_first_token_ms",
}
"""Fields of a plan's estimates, those under load where there are two."""

inventory = cache(inventory_of)


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which that share of the values lies, interpolated."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@dataclass
class Errors:
    """Relative errors of a group of rows."""

    by_quantity: dict[str, list[float]]
    held: list[bool]
    early: list[float]

    @classmethod
    def new(cls) -> Errors:
        return cls({name: [] for name in TRUTH}, [], [])

    def add(self, case: Case, output: Output) -> None:
        for name, errors in self.by_quantity.items():
            truth, estimate = case.truth(name), output[ESTIMATE[name]]
            low, high = (factor * estimate for factor in output[f"{name}_factors"])
            errors.append(estimate / truth - 1)
            self.held.append(low <= truth <= high)
            if name == "ttft" and case.row["concurrency"] <= 4:
                self.early.append(estimate / truth - 1)

    def line(self) -> str:
        cells = [f"{len(self.held) // len(TRUTH):>6}"]
        for name in ("throughput", "tpot", "ttft"):
            sizes = [abs(error) for error in self.by_quantity[name]]
            cells.append(f"{statistics.median(sizes):>8.1%}{quantile(sizes, 0.9):>8.1%}")
        early = f"{statistics.median(map(abs, self.early)):>10.1%}" if self.early else f"{'-':>10}"
        bias = statistics.median(self.by_quantity["throughput"])
        return "".join(cells) + early + f"{bias:>+9.1%}{sum(self.held) / len(self.held):>9.0%}"


LABELS = (
    ("", 30),
    ("rows", 6),
    ("throughput", 16),
    ("TPOT", 16),
    ("TTFT", 16),
    ("TTFT <=4", 10),
    ("bias", 9),
    ("in range", 9),
)
HEAD = "".join(label.rjust(width) for label, width in LABELS)


def compare(cases: Iterable[Case], speed: Speed) -> dict[str, Errors]:
    """Return the errors by group of rows."""
    groups: dict[str, Errors] = defaultdict(Errors.new)
    for case in cases:
        output = speed(case.inputs)
        for name in case.groups:
            groups[name].add(case, output)
    return groups


@dataclass(frozen=True)
class Point:
    """One number of requests of one candidate: the tables' values and ours, of all workers together."""

    requests: int
    truth: tuple[float, float, float]
    estimate: tuple[float, float, float]


def points_of(
    question: Mapping[str, Any], candidate: Mapping[str, Any], speed: Speed, server: str
) -> list[Point]:
    """Return a candidate's points, with the devices left over as further workers."""
    ranks = candidate["tensor_parallel"] * candidate["pipeline_parallel"] * candidate["data_parallel"]
    workers = question["devices"] // ranks
    points = []
    for requests, ttft, tpot, throughput, _ in candidate["points"]:
        if requests > MOST_REQUESTS:
            continue
        concurrency = requests * candidate["data_parallel"] * candidate["pipeline_parallel"]
        output = speed(inputs_of({**question, **candidate, "concurrency": concurrency}, server))
        ours = (output["tokens_per_sec"] * workers, output["ttft_ms"], output["tpot_ms"])
        points.append(Point(requests, (throughput * workers, ttft, tpot), ours))
    return points


MOST_REQUESTS = 512
"""The tables' throughput stops growing at this batch."""


def worth(values: Iterable[tuple[float, float, float]], most: tuple[float, float]) -> float:
    """Return the highest throughput of points within limits of TTFT and TPOT; 0 if there is none."""
    return max((v[0] for v in values if v[1] <= most[0] and v[2] <= most[1]), default=0.0)


def worth_between(points: Sequence[tuple[int, float, float, float]], most: tuple[float, float]) -> float:
    """Return the highest throughput within limits of TTFT and TPOT, with batches between those of the points.

    Args:
        points: requests, TTFT, TPOT and throughput; several of as many
            requests differ in the tokens per step.
        most: limits of TTFT and TPOT in ms.
    """
    best = worth([(point[3], point[1], point[2]) for point in points], most)
    by_requests: dict[int, list[tuple[int, float, float, float]]] = defaultdict(list)
    for point in points:
        by_requests[point[0]].append(point)
    batches = [by_requests[requests] for requests in sorted(by_requests)]
    for below, above in itertools.pairwise(batches):
        for low, high in zip(below, above, strict=False):
            if low[1] <= most[0] and low[2] <= most[1]:
                reached = [
                    (most[n] - low[n + 1]) / (high[n + 1] - low[n + 1])
                    for n in (0, 1)
                    if high[n + 1] > most[n]
                ]
                share = min(reached, default=1.0)
                best = max(best, low[3] + share * (high[3] - low[3]))
    return best


def degrees_of(row: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the degrees of a candidate or a plan."""
    return tuple(row[f"{name}_parallel"] for name in DEGREES)


def workers_of(question: Mapping[str, Any], candidate: Mapping[str, Any]) -> int:
    """Return how many workers of a candidate a question's devices hold."""
    devices: int = question["devices"]
    tensor, pipeline, data, _ = degrees_of(candidate)
    return devices // (tensor * pipeline * data)


@dataclass(frozen=True)
class Answers:
    """What each candidate of a question yields within its limits, by the tables."""

    on_points: Mapping[tuple[int, ...], float]
    between: Mapping[tuple[int, ...], float]

    @classmethod
    def of(cls, question: Mapping[str, Any]) -> Answers:
        """Return the answers to a question."""
        limits = limits_of(question)
        on_points, between = {}, {}
        for candidate in question["candidates"]:
            points = [tuple(point[:4]) for point in candidate["points"] if point[0] <= MOST_REQUESTS]
            workers, key = workers_of(question, candidate), degrees_of(candidate)
            on_points[key] = workers * worth([(point[3], point[1], point[2]) for point in points], limits)
            between[key] = workers * worth_between(points, limits)
        return cls(on_points, between)

    def regret(self, chosen: tuple[int, ...]) -> tuple[float, float]:
        """Return what a choice loses; of plans that the tables lack, the next one in expert parallelism."""
        if chosen not in self.on_points:
            alike = [key for key in self.on_points if key[:3] == chosen[:3]]
            chosen = min(alike, key=lambda key: abs(key[3] - chosen[3]))
        on_points, between = (
            1 - values[chosen] / max(values.values()) for values in (self.on_points, self.between)
        )
        return on_points, between


def limits_of(question: Mapping[str, Any]) -> tuple[float, float]:
    """Return a question's limits of TTFT and TPOT in ms."""
    return question["max_time_to_first_token_ms"], question["max_time_per_output_token_ms"]


def sized(question: Mapping[str, Any], policy: engine.Policy) -> tuple[int, ...]:
    """Return the degrees of one instance that `engine size` chooses for a question."""
    ttft, tpot = limits_of(question)
    serving = {
        "input_tokens": question["input_tokens"],
        "output_tokens": question["output_tokens"],
        "max_ttft_ms": float(ttft),
        "max_tpot_ms": float(tpot),
    }
    sources = Sources(model=question["model"], quantization=question["precision"], serving=serving)
    request = read_sources(sources, policy.catalogs).request
    offers = read_offers(
        f"{question['devices']}x{MEMORIES.get(question['accelerator'], question['accelerator'])}",
        policy.catalogs,
    )
    layout = size(policy, request, offers).options[0].layout
    assert layout is not None, question["question"]
    return degrees_of(layout.strategy.to_dict())


MEMORIES = {"A100-SXM": "A100-SXM-80GB"}
"""Products of the tables that come with several sizes of memory."""


def size_regrets(path: Path = DATA / "choices.jsonl.gz") -> dict[str, tuple[float, float]]:
    """Return each question with the regret of `engine size`: at the tables' batches, and between them."""
    policy = engine.load_policy("sharding")
    return {
        question["question"]: Answers.of(question).regret(sized(question, policy))
        for question in read_rows(path)
    }


def regrets(
    speed: Speed, server: str, path: Path = DATA / "choices.jsonl.gz"
) -> dict[str, tuple[float, float]]:
    """Return each question with its regret of throughput, without and with its limits of TTFT and TPOT.

    A candidate is worth its best point, within the limits where they count: by the estimates for the choice,
    by the tables for the regret.
    """
    results = {}
    for question in read_rows(path):
        candidates = [points_of(question, candidate, speed, server) for candidate in question["candidates"]]
        limits = (question["max_time_to_first_token_ms"], question["max_time_per_output_token_ms"])
        lost = []
        for most in ((float("inf"), float("inf")), limits):
            ours = [worth([point.estimate for point in points], most) for points in candidates]
            theirs = [worth([point.truth for point in points], most) for points in candidates]
            best = max(theirs)
            lost.append(1 - theirs[ours.index(max(ours))] / best if best else 0.0)
        results[question["question"]] = (lost[0], lost[1])
    return results


def show_decisions(cases: Iterable[Case], reference: str) -> None:
    """Print the errors of the plans that a policy decides on, and how many rows it refuses."""
    decide = Decisions(reference)
    groups: dict[str, Errors] = defaultdict(Errors.new)
    for case in cases:
        output = decide(case)
        if output is not None:
            groups[f"{reference}, {'dense' if case.dense else 'MoE'}"].add(case, output)
    for name, errors in sorted(groups.items()):
        print(f"{name:30}{errors.line()}")
    print(f"refused: {dict(decide.refused)}")


SUMMARY: dict[str, Callable[[list[float]], float]] = {
    "mean": statistics.fmean,
    "90th percentile": lambda values: quantile(values, 0.9),
    "worst": max,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=Path, default=DATA / "serving_measured.jsonl.gz", help="measured runs")
    parser.add_argument("--server", default=DEFAULT_SERVER, help="server that choices are made for")
    parser.add_argument("--policy", help="also compare the plans that this policy decides on")
    parser.add_argument("--worst", type=int, default=0, help="also print the rows with the largest errors")
    arguments = parser.parse_args()
    speed = Speed()
    cases = measured(arguments.rows)
    print(HEAD)
    for name, errors in sorted(compare([*cases, *tabled()], speed).items()):
        print(f"{name:30}{errors.line()}")
    if arguments.policy:
        show_decisions(cases, arguments.policy)
    lost = regrets(speed, arguments.server)
    by_size = size_regrets()
    columns = {question: (*lost[question], *by_size[question]) for question in lost}
    print(f"\n{'regret':38}{'throughput':>12}{'with limits':>12}{'engine size':>12}{'between':>12}")
    for question, values in columns.items():
        print(f"{question:38}" + "".join(f"{value:>12.1%}" for value in values))
    for label, pick in SUMMARY.items():
        print(
            f"{label:38}"
            + "".join(f"{pick(list(column)):>12.1%}" for column in zip(*columns.values(), strict=True))
        )
    for case in sorted(cases, key=lambda case: -_miss(case, speed))[: arguments.worst]:
        output = speed(case.inputs)
        print(case.row["id"], {name: (case.truth(name), round(output[ESTIMATE[name]], 1)) for name in TRUTH})


def _miss(case: Case, speed: Speed) -> float:
    ratio: float = speed(case.inputs)["tokens_per_sec"] / case.truth("throughput")
    return max(ratio, 1 / ratio)


if __name__ == "__main__":
    main()
