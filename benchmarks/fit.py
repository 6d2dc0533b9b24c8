"""Fit the constants of library llm-speed, and estimate its errors on models and devices that it has not seen.

    pip install numpy && python benchmarks/fit.py [--rounds N]

Reads the rows of `estimates.py`. Minimizes a robust loss (pseudo-Huber at 10 %) of the logarithms of TPOT,
throughput and TTFT over the constants below, each held near a physical guess by a prior. Derivatives are
differences of the library's CEL formulas, evaluated by the engine with changed copies of its catalogs and
constants.

Then leaves out one model, one device or all choices, fits the rest and prints the errors on what it left out.
Constants that the remaining rows do not determine fall back to the guess, not to the shipped value.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

from benchmarks.decoding import DATA, read_rows  # noqa: E402
from benchmarks.estimates import (  # noqa: E402
    ESTIMATE,
    MOST_REQUESTS,
    TABLES,
    TRUTH,
    Case,
    Speed,
    inputs_of,
    measured,
    quantile,
    regrets,
    tabled,
)

Array = np.ndarray


@dataclass(frozen=True)
class Constant:
    """A fitted constant: cells of catalogs or the library, a guess and the spread of its logarithm."""

    cells: tuple[tuple[str, str, str], ...]
    guess: float
    spread: float

    @property
    def name(self) -> str:
        return ".".join(self.cells[0])


def _constants() -> list[Constant]:
    """Return what is fitted: (file, entry, column), guess, spread of its logarithm."""
    found: list[Constant] = []

    def add(guess: float, spread: float, *cells: tuple[str, str, str]) -> None:
        found.append(Constant(cells, guess, spread))

    for name, bandwidth, compute in (
        ("ampere", 0.76, 0.75),
        ("ada", 0.83, 0.6),
        ("hopper", 0.92, 0.75),
        ("blackwell", 0.92, 0.75),
    ):
        add(bandwidth, 0.02, ("generations", name, "bandwidth"))
        add(compute, 0.1, ("generations", name, "compute"))
    add(0.9, 0.3, ("generations", "blackwell", "launch"))
    add(1.5, 0.2, ("compute_rates", "fp8", "native"))
    add(2.2, 0.3, ("compute_rates", "nvfp4", "native"))
    add(1.5, 0.3, ("compute_rates", "mxfp4", "native"))
    dequantized = [("compute_rates", name, "native") for name in ("int8", "int4", "weight-only")]
    dequantized += [("compute_rates", name, "emulated") for name in ("fp8", "nvfp4", "mxfp4", "int8", "int4")]
    add(0.8, 0.3, *dequantized)
    for name, guess, spread in (
        ("attention_efficiency", 0.5, 0.5),
        ("expert_efficiency", 0.5, 0.3),
        ("expert_skew", 0.5, 0.7),
        ("fast_link", 0.6, 0.3),
        ("slow_link", 0.14, 0.3),
        ("dispatch_us", 12.0, 0.7),
        ("stall", 0.1, 1.0),
    ):
        add(guess, spread, ("llm-speed", name, "value"))
    for server in ("vllm", "sglang", "tensorrt-llm", TABLES):
        # SGLang was measured with MLA only; published runs of Qwen3-235B spend about 105 us on a layer.
        add(105.0 if server == "sglang" else 60.0, 0.25, ("servers", server, "layer_us"))
        add(5.0 if server == "tensorrt-llm" else 40.0, 0.5, ("servers", server, "latent_layer_us"))
        add(10.0, 0.7, ("servers", server, "request_us"))
        add(20.0, 0.7, ("servers", server, "first_token_ms"))
        add(800.0, 0.4, ("servers", server, "prefill_layer_us"))
        add(1000.0, 0.7, ("servers", server, "prefill_latent_layer_us"))
        add(0.12, 1.0, ("servers", server, "prefill_queue"))
    add(20.0, 0.7, ("servers", TABLES, "expert_layer_us"))
    add(20.0, 0.7, ("servers", TABLES, "quantized_layer_us"))
    return found


CONSTANTS = _constants()


class Variant:
    """Copies of the library and its catalogs with other values of the constants."""

    def __init__(self) -> None:
        self.documents = {
            name: yaml.safe_load((TOP / "policies" / "catalog" / name / "1.0.0.yaml").read_text())
            for name in ("generations", "compute_rates", "servers")
        }
        self.documents["llm-speed"] = _library(TOP / "policies" / "library" / "llm-speed")

    def rows(self, file: str) -> dict[str, dict[str, float]]:
        document = self.documents[file]
        rows: dict[str, dict[str, float]] = document["constants" if file == "llm-speed" else "entries"]
        return rows

    def shipped(self) -> Array:
        """Return the logarithms of the shipped values."""
        return np.log([self.rows(file)[entry][column] for file, entry, column in _first(CONSTANTS)])

    def speed(self, values: Array) -> Speed:
        """Return the library with these logarithms of the constants."""
        for constant, value in zip(CONSTANTS, np.exp(values), strict=True):
            for file, entry, column in constant.cells:
                self.rows(file)[entry][column] = float(value)
        with tempfile.TemporaryDirectory() as folder:
            for name, document in self.documents.items():
                kind = "library" if name == "llm-speed" else "catalog"
                path = Path(folder, kind, name, "1.0.0.yaml")
                path.parent.mkdir(parents=True)
                path.write_text(yaml.safe_dump(document, sort_keys=False, width=100_000))
            return Speed([folder])


def _first(constants: Sequence[Constant]) -> list[tuple[str, str, str]]:
    return [constant.cells[0] for constant in constants]


def _library(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return the library as one document, whether it is a file or a folder of parts."""
    file = folder / "1.0.0.yaml"
    if file.exists():
        return yaml.safe_load(file.read_text())  # type: ignore[no-any-return]
    head = yaml.safe_load((folder / "1.0.0" / "library.yaml").read_text())
    for part in sorted((folder / "1.0.0").glob("*.yaml")):
        if part.name == "library.yaml":
            continue
        for key, value in yaml.safe_load(part.read_text()).items():
            if isinstance(value, dict):
                head.setdefault(key, {}).update(value)
            elif isinstance(value, list):
                head.setdefault(key, []).extend(value)
    return head  # type: ignore[no-any-return]


QUANTITIES = tuple(TRUTH)


def outputs(speed: Speed, cases: Sequence[Case]) -> Array:
    """Return the logarithms of all estimates, one row a quantity."""
    rows = [speed(case.inputs) for case in cases]
    return np.log([[row[ESTIMATE[name]] for row in rows] for name in QUANTITIES])


def choices(share: float, seed: int = 0) -> list[Case]:
    """Return a share of the points of `choices.jsonl.gz`, the first of each candidate and batch."""
    pick = random.Random(seed)
    cases = []
    for question in read_rows(DATA / "choices.jsonl.gz"):
        for candidate in question["candidates"]:
            seen = set()
            ranks = candidate["data_parallel"] * candidate["pipeline_parallel"]
            for requests, ttft, tpot, throughput, _ in candidate["points"]:
                if requests in seen or requests > MOST_REQUESTS or pick.random() > share:
                    continue
                seen.add(requests)
                values = dict(zip(TRUTH.values(), (throughput, tpot, ttft), strict=True))
                row = {
                    **question,
                    **candidate,
                    **values,
                    "concurrency": requests * ranks,
                    "catalog_name": question["model"],
                }
                cases.append(Case(row, inputs_of(row, TABLES), ("choices",)))
    return cases


def weights_of(cases: Sequence[Case]) -> Array:
    """Return how much each row counts: measured rows most, TTFT mostly at low concurrency."""
    by_kind = {"measured": 1.0, "tables": 0.7, "choices": 0.35}
    base = np.array([by_kind[case.groups[0].split(",")[0]] for case in cases])
    early = np.array([1.0 if case.row["concurrency"] <= EARLY else 0.3 for case in cases])
    # Rows where requests waited for KV cache, or where the first ones waited for a warm-up.
    waited = np.array([case.row[TRUTH["ttft"]] > WAITED_MS for case in cases])
    base = np.where(waited & (base == 1.0), 0.0, base)
    return np.array([base * early if name == "ttft" else base for name in QUANTITIES])


EARLY = 4
WAITED_MS = 10_000.0
SCALE = 0.1


def solve(jacobian: Array, errors: Array, weights: Array, start: Array) -> Array:
    """Return the constants that minimize the robust loss, with the estimates linear in their logarithms."""
    guess = np.log([constant.guess for constant in CONSTANTS])
    precision = np.array([constant.spread for constant in CONSTANTS]) ** -2
    step = np.zeros(len(CONSTANTS))
    for _ in range(ITERATIONS):
        scaled = (errors + np.tensordot(jacobian, step, 1)) / SCALE
        factor = (weights**2 / np.sqrt(1 + (weights * scaled) ** 2)).ravel()
        flat = jacobian.reshape(-1, len(CONSTANTS)) / SCALE
        left = flat.T @ (flat * factor[:, None]) + np.diag(precision)
        right = flat.T @ (factor * errors.ravel() / SCALE) + precision * (start - guess)
        step = -np.linalg.solve(left, right)
    return start + step


ITERATIONS = 30
MOST_STEP = 0.7


def derivatives(variant: Variant, cases: Sequence[Case], at: Array) -> tuple[Array, Array]:
    """Return the estimates and their derivatives by the logarithm of each constant."""
    base = outputs(variant.speed(at), cases)
    columns = []
    for place in range(len(at)):
        moved = at.copy()
        moved[place] += DELTA
        columns.append((outputs(variant.speed(moved), cases) - base) / DELTA)
    return base, np.stack(columns, axis=-1)


DELTA = 0.01


def fit(variant: Variant, cases: Sequence[Case], rounds: int) -> Array:
    """Return the logarithms of the constants that fit all rows, starting from the guesses."""
    truth = np.log([[case.truth(name) for case in cases] for name in QUANTITIES])
    weights = weights_of(cases)
    at = np.log([constant.guess for constant in CONSTANTS])
    for number in range(rounds):
        base, jacobian = derivatives(variant, cases, at)
        step = solve(jacobian, base - truth, weights, at) - at
        at = at + np.clip(step, -MOST_STEP, MOST_STEP)
        print(f"round {number + 1}: largest change {np.abs(step).max():.1%}", file=sys.stderr)
    return at


def held_out(
    variant: Variant,
    cases: Sequence[Case],
    start: Array,
    key: Callable[[Case], str],
    linear: tuple[Array, Array],
) -> tuple[dict[str, dict[str, list[float]]], float]:
    """Return the errors on measured rows, each without its group in the fit, and how often the ranges hold.

    Args:
        variant: the library to change.
        cases: all rows.
        start: constants that `linear` is at.
        key: group of a row.
        linear: estimates and derivatives at `start`.
    """
    base, jacobian = linear
    truth = np.log([[case.truth(name) for case in cases] for name in QUANTITIES])
    weights = weights_of(cases)
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    held: list[bool] = []
    for left_out in sorted({key(case) for case in cases if case.groups[0].startswith("measured")}):
        inside = np.array([key(case) != left_out for case in cases])
        at = solve(jacobian, base - truth, weights * inside, start)
        tested = [case for case, used in zip(cases, inside, strict=True) if not used]
        tested = [case for case in tested if case.groups[0].startswith("measured")]
        speed = variant.speed(at)
        for case in tested:
            output = speed(case.inputs)
            for name in QUANTITIES:
                ratio = output[ESTIMATE[name]] / case.truth(name)
                low, high = output[f"{name}_factors"]
                held.append(low * ratio <= 1 <= high * ratio)
                errors["dense" if case.dense else "MoE"][name].append(ratio - 1)
    return errors, sum(held) / len(held)


def show(label: str, errors: Mapping[str, Mapping[str, Sequence[float]]], share: float) -> None:
    for kind, by_quantity in sorted(errors.items()):
        cells = [
            f"{name} {statistics.median(map(abs, values)):.1%} / {quantile(map(abs, values), 0.9):.1%}"
            for name, values in by_quantity.items()
        ]
        print(f"without the row's {label}, {kind:6} {len(by_quantity['tpot']):4} rows: " + ", ".join(cells))
    print(f"without the row's {label}, in range: {share:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=0, help="also fit all rows again, with this many rounds"
    )
    rounds = parser.parse_args().rounds
    variant = Variant()
    cases = [*measured(), *tabled(), *choices(0.35)]
    shipped = variant.shipped()
    at = fit(variant, cases, rounds) if rounds else shipped
    print(f"{'constant':42}{'guess':>10}{'shipped':>10}" + (f"{'fitted':>10}" if rounds else ""))
    for constant, old, new in zip(CONSTANTS, np.exp(shipped), np.exp(at), strict=True):
        print(f"{constant.name:42}{constant.guess:>10.3g}{old:>10.3g}" + (f"{new:>10.3g}" if rounds else ""))
    linear = derivatives(variant, cases, at)
    show("model", *held_out(variant, cases, at, lambda case: case.row["catalog_name"], linear))
    show("device", *held_out(variant, cases, at, lambda case: case.row["accelerator"], linear))
    truth = np.log([[case.truth(name) for case in cases] for name in QUANTITIES])
    without = np.array([not case.groups[0].startswith("choices") for case in cases])
    speed = variant.speed(solve(linear[1], linear[0] - truth, weights_of(cases) * without, at))
    lost = regrets(speed, "vllm")
    means = [statistics.fmean(row[n] for row in lost.values()) for n in (0, 1)]
    print(f"regret without the choices in the fit: mean {means[0]:.1%}, with limits {means[1]:.1%}")


if __name__ == "__main__":
    main()
