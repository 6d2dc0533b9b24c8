"""Measure what `engine calibrate` is worth on a device that the shipped constants have not seen.

    pip install numpy && python benchmarks/calibration.py [--rows N] [--draws N]

For each server and device of `data/serving_measured.jsonl.gz`: fits the constants without the rows of
the device (as `fit.py` does), calibrates with N of the pair's rows drawn at random, and prints the throughput
errors on its other rows, before and after. Then the same for each model and quantization of
the pair alone, which is how most people measure.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

from benchmarks import fit as fitting  # noqa: E402
from benchmarks.decoding import DATA  # noqa: E402
from benchmarks.estimates import quantile  # noqa: E402
from engine.bulk.calibration.calibrate import Fitting  # noqa: E402
from engine.bulk.calibration.cases import Builder, Case, Options  # noqa: E402
from engine.bulk.calibration.discovery import read_measurements  # noqa: E402
from engine.bulk.calibration.estimates import Estimator, estimate  # noqa: E402


def unseen(folder: Path) -> dict[str, Path]:
    """Return folders with catalogs and library fitted without a device, by device."""
    variant = fitting.Variant()
    cases = [*fitting.measured(), *fitting.tabled(), *fitting.choices(0.15)]
    start = variant.shipped()
    base, slopes = fitting.derivatives(variant, cases, start)
    truth = np.log([[case.truth(name) for case in cases] for name in fitting.QUANTITIES])
    weights = fitting.weights_of(cases)
    found = {}
    for device in sorted({case.row["accelerator"] for case in fitting.measured()}):
        inside = np.array([case.row["accelerator"] != device for case in cases])
        values = np.exp(fitting.solve(slopes, base - truth, weights * inside, start))
        for constant, value in zip(fitting.CONSTANTS, values, strict=True):
            for file, entry, column in constant.cells:
                variant.rows(file)[entry][column] = float(value)
        for name, document in variant.documents.items():
            kind = "library" if name == "llm-speed" else "catalog"
            path = folder / device / kind / name / f"{document['version']}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(document, sort_keys=False, width=100_000))
        found[device] = folder / device
    return found


def errors(estimator: Estimator, row: str, cells: dict[str, object], cases: Sequence[Case]) -> list[float]:
    """Return the relative errors of throughput."""
    policy = estimator.with_row(row, cells)
    found = []
    for case in cases:
        result = estimate(policy, case.request)
        if not isinstance(result, str):
            found.append(abs(result.values["throughput"] / case.truth["throughput"] - 1))
    return found


def compare(label: str, estimator: Estimator, cases: Sequence[Case], rows: int, draws: int) -> list[float]:
    """Print the errors of rows left out, of all draws; return those after calibration."""
    pick = random.Random(0)
    before, after, medians = [], [], []
    for _ in range(draws):
        chosen = set(pick.sample(range(len(cases)), rows))
        used = [case for number, case in enumerate(cases) if number in chosen]
        rest = [case for number, case in enumerate(cases) if number not in chosen]
        cells = Fitting(estimator, cases[0].row, used, lambda rows: None).fit().cells()
        before += errors(estimator, cases[0].row, {}, rest)
        found = errors(estimator, cases[0].row, cells, rest)
        after += found
        medians.append(statistics.median(found))
    texts = [f"{statistics.median(each):7.1%} /{quantile(each, 0.9):6.1%}" for each in (before, after)]
    below = sum(median < 0.08 for median in medians) / draws
    print(f"{label:48}{len(cases):5}{texts[0]:>18}{texts[1]:>18}{below:>10.0%}", flush=True)
    return after


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    measured = list(read_measurements(str(DATA / "serving_measured.jsonl.gz")))
    with tempfile.TemporaryDirectory() as folder:
        folders = unseen(Path(folder))
        print(f"{'throughput, median / p90':48}{'rows':>5}{'before':>18}{'after':>18}{'below 8 %':>10}")
        everything: list[float] = []
        for device, path in folders.items():
            estimator = Estimator("sharding@3", [str(path)])
            builder = Builder(estimator, Options())
            pairs: dict[str, list[Case]] = defaultdict(list)
            for measurement in measured:
                if measurement.accelerator == device:
                    case = builder.case(measurement)
                    if case is not None:
                        pairs[case.row].append(case)
            for name, cases in pairs.items():
                everything += compare(name, estimator, cases, arguments.rows, arguments.draws)
                models: dict[str, list[Case]] = defaultdict(list)
                for case in cases:
                    models[f"{case.measurement.model} {case.measurement.quantization}"].append(case)
                for model, group in models.items():
                    if len(group) > 1.5 * arguments.rows and len(models) > 1:
                        compare(f"  {model}", estimator, group, arguments.rows, arguments.draws)
        print(f"all pairs: {statistics.median(everything):.1%} / {quantile(everything, 0.9):.1%}")


if __name__ == "__main__":
    main()
