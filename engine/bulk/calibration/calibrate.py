"""Fit constants of a server on a product to measurements, and tell what they are worth on rows left out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from engine.base.errors import EngineError
from engine.base.records import record
from engine.bulk.calibration.cases import Builder, Case, Options, check_agreement, with_logs
from engine.bulk.calibration.discovery import read_measurements
from engine.bulk.calibration.estimates import CATALOG, QUANTITIES, Estimator, estimate
from engine.bulk.calibration.solve import Point, Solution, Vector, solve
from engine.catalogs import Catalogs

CONSTANTS = "calibrated_constants"
"""The catalog of constants that may be fitted."""
MOST_CONSTANTS = 6
"""Constants fitted at a time: those that the rows say most about."""
LEAST_LEARNED = 0.1
"""A constant is fitted if the rows remove this share of its prior uncertainty, alone or with others."""
ROUNDS = 3
"""Gauss-Newton steps; the estimates are nearly linear in the logarithms."""
MOST_STEP = 0.7
"""Largest change of a logarithm in one step."""
DELTA = 0.02
"""Change of a logarithm for derivatives."""
MOST_ROWS = 500
"""Rows that a fit evaluates, each about 30 times; more add little to a handful of constants."""
FOLDS = 5
"""Parts for cross-validation; each row is left out once."""
EARLY = 4
"""Up to this concurrency, TTFT counts fully; beyond, it depends on how the benchmark starts."""
LATE_WEIGHT = 0.3
"""Weight of TTFT beyond that."""
DIGITS = 4
"""Significant digits of a fitted constant."""


@record
class Errors:
    """Median and 90th percentile of the relative errors of one quantity."""

    rows: int
    median: float
    p90: float


@record
class Constant:
    """A constant of a row of the catalog.

    Attributes:
        name: its column.
        unit: its unit.
        shipped: the shipped value.
        fitted: the fitted value; None if the rows do not identify it.
        learned: share of its prior uncertainty that the rows remove.
    """

    name: str
    unit: str
    shipped: float
    fitted: float | None
    learned: float


@record
class Fit:
    """Constants of one server on one product.

    Attributes:
        row: row of the catalog `calibrations`.
        server: row of the catalog `servers`.
        product: row of the catalog `products`.
        rows: rows that it was fitted to.
        constants: all constants, fitted or not.
        before: errors by quantity with the shipped constants.
        after: errors with the fitted constants on rows left out of the fit; empty for a single row.
    """

    row: str
    server: str
    product: str
    rows: int
    constants: tuple[Constant, ...]
    before: Mapping[str, Errors]
    after: Mapping[str, Errors]

    def cells(self) -> dict[str, object]:
        """Return the row of the catalog."""
        cells: dict[str, object] = {"server": self.server, "product": self.product, "rows": self.rows}
        if "throughput" in self.after:
            cells["error"] = round(self.after["throughput"].median, DIGITS)
        return cells | {
            constant.name: constant.fitted for constant in self.constants if constant.fitted is not None
        }


@record
class Memory:
    """KV cache of a server's log against the policy's estimate, in tokens per replica."""

    file: str
    measured: int
    estimated: int


@record
class Calibration:
    """The result: a fit for each server and product, what a log says of memory, and remarks."""

    policy: str
    fits: tuple[Fit, ...]
    memory: tuple[Memory, ...]
    notes: tuple[str, ...]


def calibrate(
    files: Iterable[str],
    options: Options,
    policy: str = "sharding",
    folders: Iterable[str] = (),
    advance: Callable[[int], None] = lambda rows: None,
) -> Calibration:
    """Calibrate a policy's estimates by files of measurements.

    Args:
        files: files of any known format.
        options: what the files do not say.
        policy: reference of the policy.
        folders: folders of policies that take precedence over the shipped ones.
        advance: called with the number of rows that were evaluated.

    Raises:
        EngineError: a file can't be read, or says too little; with its place.
    """
    rows, logs = with_logs(measurement for file in files for measurement in read_measurements(file))
    estimator = Estimator(policy, folders)
    builder = Builder(estimator, options)
    cases = [case for case in map(builder.case, rows) if case is not None]
    if not cases:
        raise EngineError("no row has a plan to calibrate", hint="\n".join(builder.notes) or None)
    check_agreement(cases)
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.row, []).append(case)
    for name, group in groups.items():
        if len(group) > MOST_ROWS:
            builder.note(f"{name}: fitted to {MOST_ROWS} of {len(group):,} rows, evenly spaced")
            groups[name] = [group[number * len(group) // MOST_ROWS] for number in range(MOST_ROWS)]
    fits = tuple(Fitting(estimator, name, group, advance).fit() for name, group in groups.items())
    memory = tuple(
        Memory(log.place.file, log.kv_tokens, cases[0].shipped.kv_tokens)
        for log in logs
        if log.kv_tokens is not None and cases[0].shipped.kv_tokens is not None and len(groups) == 1
    )
    return Calibration(estimator.name, fits, memory, tuple(builder.notes))


class Fitting:
    """The fit of one row of the catalog."""

    def __init__(
        self, estimator: Estimator, row: str, cases: Sequence[Case], advance: Callable[[int], None]
    ) -> None:
        self.estimator, self.row, self.cases, self.advance = estimator, row, cases, advance
        catalogs: Catalogs = estimator.policy.catalogs
        self.priors = catalogs(CONSTANTS).rows
        server = catalogs("servers").rows[cases[0].server]
        generations = catalogs("product_generations").rows
        listed = generations.get(cases[0].product)
        generation = catalogs("generations").rows["unknown" if listed is None else listed["generation"]]
        homes = {"servers": server, "generations": generation}
        known = catalogs(CATALOG).rows.get(row, {})
        self.shipped: dict[str, float] = {
            name: known.get(name) or homes[prior["catalog"]][name] for name, prior in self.priors.items()
        }
        self.kept = {name: known[name] for name in self.priors if known.get(name) is not None}

    def fit(self) -> Fit:
        """Fit the constants that the rows identify."""
        names = list(self.priors)
        start = self._logs({})
        slopes = {name: self._slopes(name, {}, start) for name in names}
        learned = dict(zip(names, self._solve(names, start, slopes, self.cases).learned, strict=True))
        chosen = sorted(names, key=lambda name: -learned[name])[:MOST_CONSTANTS]
        chosen = [name for name in names if name in chosen and learned[name] >= LEAST_LEARNED]
        fitted = self._refine(chosen, start, slopes)
        constants = tuple(
            Constant(name, self.priors[name]["unit"], self.shipped[name], fitted.get(name), learned[name])
            for name in names
        )
        before = self._errors(zip(self.cases, start, strict=True))
        left_out = list(self._left_out(chosen, start, slopes))
        first = self.cases[0]
        return Fit(
            self.row, first.server, first.product, len(self.cases), constants, before, self._errors(left_out)
        )

    def _refine(
        self, chosen: list[str], start: list[Vector], slopes: Mapping[str, list[Vector]]
    ) -> dict[str, float]:
        """Return the fitted values, by Gauss-Newton steps from the shipped ones."""
        at = dict.fromkeys(chosen, 0.0)
        logs = start
        for _ in range(ROUNDS if chosen else 0):
            solution = self._solve(chosen, logs, slopes, self.cases, [at[name] for name in chosen])
            for name, value in zip(chosen, solution.logs, strict=True):
                at[name] = self._bounded(name, at[name] + max(-MOST_STEP, min(MOST_STEP, value - at[name])))
            cells = self._cells(at)
            logs = self._logs(cells)
            slopes = {name: self._slopes(name, cells, logs) for name in chosen}
        return self._cells(at)

    def _left_out(
        self, chosen: list[str], start: list[Vector], slopes: Mapping[str, list[Vector]]
    ) -> Iterable[tuple[Case, Vector]]:
        """Yield each row with its estimates by constants that were fitted without it."""
        count = len(self.cases)
        if count < 2:
            return
        parts = min(FOLDS, count)
        for part in range(parts):
            inside = [number for number in range(count) if number % parts != part]
            solution = self._solve(
                chosen,
                [start[number] for number in inside],
                {name: [slopes[name][number] for number in inside] for name in chosen},
                [self.cases[number] for number in inside],
            )
            at = {name: self._bounded(name, value) for name, value in zip(chosen, solution.logs, strict=True)}
            outside = [self.cases[number] for number in range(count) if number % parts == part]
            yield from zip(outside, self._logs(self._cells(at), outside), strict=True)

    def _bounded(self, name: str, log: float) -> float:
        prior = self.priors[name]
        most = (
            prior["most"]
            if prior["limit"] is None
            else min(prior["most"], prior["limit"] / self.shipped[name])
        )
        return max(math.log(prior["least"]), min(math.log(max(most, 1.0)), log))

    def _cells(self, logs: Mapping[str, float]) -> dict[str, float]:
        """Return values of constants, rounded as they are written."""
        return {name: float(f"{self.shipped[name] * math.exp(log):.{DIGITS}g}") for name, log in logs.items()}

    def _logs(self, cells: Mapping[str, float], cases: Sequence[Case] | None = None) -> list[Vector]:
        """Return the logarithms of the estimates of each row, by quantity."""
        policy = self.estimator.with_row(self.row, {**self.kept, **cells})
        found: list[Vector] = []
        for case in self.cases if cases is None else cases:
            result = estimate(policy, case.request)
            values = case.shipped.values if isinstance(result, str) else result.values
            found.append([math.log(values[name]) for name in QUANTITIES])
            self.advance(1)
        return found

    def _slopes(self, name: str, cells: Mapping[str, float], base: list[Vector]) -> list[Vector]:
        """Return the derivatives of the estimates by the logarithm of a constant."""
        value = cells.get(name, self.shipped[name])
        moved = self._logs({**cells, name: value * math.exp(DELTA)})
        return [
            [(new - old) / DELTA for new, old in zip(after, before, strict=True)]
            for after, before in zip(moved, base, strict=True)
        ]

    def _solve(
        self,
        names: Sequence[str],
        logs: Sequence[Vector],
        slopes: Mapping[str, Sequence[Vector]],
        cases: Sequence[Case],
        start: Vector | None = None,
    ) -> Solution:
        points = []
        for number, case in enumerate(cases):
            for place, quantity in enumerate(QUANTITIES):
                if quantity in case.truth:
                    error = logs[number][place] - math.log(case.truth[quantity])
                    row = [slopes[name][number][place] for name in names]
                    points.append(Point(error, row, _weight(case, quantity)))
        return solve(points, [self.priors[name]["spread"] for name in names], start or [0.0] * len(names))

    def _errors(self, estimates: Iterable[tuple[Case, Vector]]) -> dict[str, Errors]:
        sizes: dict[str, list[float]] = {}
        for case, logs in estimates:
            for name, log in zip(QUANTITIES, logs, strict=True):
                if name in case.truth:
                    sizes.setdefault(name, []).append(abs(math.exp(log) / case.truth[name] - 1))
        return {
            name: Errors(len(found), statistics.median(found), _p90(found)) for name, found in sizes.items()
        }


def _weight(case: Case, quantity: str) -> float:
    serving = case.request.inputs["serving"]
    late = quantity == "ttft" and isinstance(serving, dict) and serving["concurrency"] > EARLY
    return LATE_WEIGHT if late else 1.0


def _p90(values: Sequence[float]) -> float:
    ordered = sorted(values)
    place = 0.9 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
