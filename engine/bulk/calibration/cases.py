"""Measurements as requests: the model, machine and plan that ran, from files, options and decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from engine.base.errors import DocumentError, EngineError, RequestError
from engine.base.records import field, record, replace
from engine.bulk.calibration.estimates import Estimate, Estimator, estimate
from engine.bulk.calibration.measurement import DEGREES, Measurement
from engine.catalogs import Catalogs, find_server
from engine.decide import Policy, Request, Sources, find_model, read_sources
from engine.inventory import Inventory, read_source

if TYPE_CHECKING:
    from engine.model import Model

AGREEMENT = 1.5
"""Factor between two runs of one configuration, beyond which they contradict each other: nearly the factor
that speculative decoding or a warm prefix cache makes, which few files state."""
CONSISTENCY = 2.0
"""The same between a throughput and the one that follows from its own row's concurrency, TTFT and TPOT."""


MOST_DEVICES = 1024
"""Devices of one measured plan; each estimate searches over all of them."""


@record
class Options:
    """What the command line says where files do not.

    Attributes:
        inventory: the machine, as `--inventory` takes it.
        model: the model, as `--model` takes it.
        quantization: storage type of the weights.
        server: model server.
        degrees: parallel degrees by name.
        input_tokens: mean prompt length.
        output_tokens: mean output length.
        concurrency: requests in flight.
    """

    inventory: str | None = None
    model: str | None = None
    quantization: str | None = None
    server: str | None = None
    degrees: Mapping[str, int] = field(default_factory=dict)
    input_tokens: int | None = None
    output_tokens: int | None = None
    concurrency: int | None = None


@record(eq=False)
class Case:
    """A measurement with the request that pins the plan that ran.

    Attributes:
        measurement: the measurement.
        request: the request.
        truth: measured values by quantity (`estimates.QUANTITIES`).
        server: row of catalog `servers`.
        product: row of catalog `products`.
        shipped: what the policy estimates with the shipped constants.
    """

    measurement: Measurement
    request: Request
    truth: Mapping[str, float]
    server: str
    product: str
    shipped: Estimate

    @property
    def row(self) -> str:
        """The row of catalog `calibrations` that it is a measurement for."""
        return f"{self.server} on {self.product}"


class Builder:
    """Makes cases of measurements."""

    def __init__(self, estimator: Estimator, options: Options) -> None:
        """Prepare.

        Raises:
            EngineError: the inventory of the options can't be read, or its devices are no known product.
        """
        self.estimator = estimator
        self.catalogs: Catalogs = estimator.policy.catalogs
        self.options = options
        self.notes: dict[str, None] = {}
        self.machine: Inventory | None = None
        if options.inventory is not None:
            source = read_source(options.inventory, self.catalogs.hardware)
            self.machine = source.inventory
            self.notes |= dict.fromkeys(source.notes)
        self._inventory = cache(self._new_inventory)
        self._model = cache(self._find_model)

    def case(self, measurement: Measurement) -> Case | None:
        """Return the case of a measurement; None, and a note, if the policy has no plan for it.

        Raises:
            EngineError: something that no file or option says, or that is unknown; with its place.
        """
        try:
            return self._case(measurement)
        except EngineError as error:
            if error.place is not None and error.place.file == measurement.place.file:
                raise
            raise DocumentError(error.message, place=measurement.place, hint=error.hint) from None

    def _case(self, found: Measurement) -> Case | None:
        server = self._server(found)
        product = self._product(found)
        degrees = found.degrees or self.options.degrees
        serving = {
            "server": server,
            "input_tokens": self._count(found, "input_tokens"),
            "output_tokens": self._count(found, "output_tokens"),
            "concurrency": self._count(found, "concurrency"),
        }
        sources = Sources(
            inventory=self._inventory(product, _devices(degrees)),
            model=self._model(found.model, self.options.model),
            quantization=self._quantization(found),
            serving=serving,
            pin=dict.fromkeys(DEGREES, 1) | dict(degrees) if degrees else {},
        )
        request = read_sources(sources, self.catalogs, note=self.note).request
        shipped = self._shipped(request, found)
        if shipped is None:
            return None
        pinned = request.with_inputs(pin=dict(shipped.degrees))
        kind = self.catalogs("products").rows[product]["kind"]
        row = next(
            name
            for name, row in self.catalogs("servers").rows.items()
            if row["server"] == server and kind in row["kinds"]
        )
        if not degrees:
            plan = ", ".join(
                f"{name[0].upper()}P {value}" for name, value in shipped.degrees.items() if value > 1
            )
            self.note(
                f"{found.place.file} does not state parallel degrees; assuming the policy's {plan or 'TP 1'}"
            )
        for note in found.notes:
            self.note(note)
        return Case(found, pinned, self._truth(found, serving), row, product, shipped)

    def _shipped(self, request: Request, found: Measurement) -> Estimate | None:
        """Return what the policy estimates; again with all memory if it refuses, because the server ran."""
        policy: Policy = self.estimator.policy
        result = estimate(policy, request)
        if isinstance(result, str):
            serving = request.inputs["serving"]
            assert isinstance(serving, dict)
            result = estimate(policy, request.with_inputs(serving={**serving, "utilization": 1.0}))
        if isinstance(result, str):
            self.note(
                f"{found.place}: left out: {self.estimator.name} has no plan for it (requirement {result})"
            )
            return None
        return result

    def note(self, text: str) -> None:
        """Keep a remark, once."""
        self.notes[text] = None

    def _server(self, found: Measurement) -> str:
        name = found.server or self.options.server
        if name is None:
            raise RequestError(
                f"{found.reader}: the file does not name the server", hint="name it: --server vllm"
            )
        rows = self.catalogs("servers")
        row = rows.exact(name) or rows.loose(name)
        return str(rows.rows[row]["server"]) if row is not None else find_server(name, self.catalogs)[0]

    def _product(self, found: Measurement) -> str:
        hardware = self.catalogs.hardware()
        if found.accelerator is not None:
            product = hardware.entry(found.accelerator)
            if product is None and self.machine is None:
                hint = hardware.unknown_product_hint(found.accelerator)
                raise RequestError(f"unknown accelerator '{found.accelerator}'", hint=hint)
            if product is not None:
                return product
        if self.machine is None:
            hint = "name the machine: --inventory 8xH100-SXM"
            raise RequestError(f"{found.reader}: the file does not name the accelerator", hint=hint)
        products = {hardware.entry(device.name or "") for device in self.machine.devices}
        product = products.pop()
        if products or product is None:
            raise RequestError(
                "the inventory's devices are not of one known product", hint="name it: --inventory 8xH100-SXM"
            )
        return product

    def _new_inventory(self, product: str, devices: int) -> Inventory:
        hardware = self.catalogs.hardware()
        machine = self.machine
        if (
            machine is not None
            and len(machine.devices) >= devices
            and all(hardware.entry(device.name or "") == product for device in machine.devices)
        ):
            return machine
        if devices == 0:
            raise RequestError(
                "the parallel degrees are unknown",
                hint=f"state them (--pin tp=8), or name the machine to plan on (--inventory 8x{product})",
            )
        if devices > MOST_DEVICES:
            raise RequestError(
                f"the degrees make {devices:,} devices; at most {MOST_DEVICES:,} are calibrated"
            )
        per_node = self.catalogs("products").rows[product]["per_node"] or devices
        nodes, rest = divmod(devices, per_node)
        word = f"{nodes}x{per_node}x{product}" if nodes > 1 and not rest else f"{devices}x{product}"
        return read_source(word, self.catalogs.hardware).inventory

    def _find_model(self, named: str | None, option: str | None) -> Model:
        known = named is not None and self.catalogs("models").loose(named.rpartition("/")[2]) is not None
        name = named if named is not None and (known or option is None) else option
        if name is None:
            raise RequestError("the file does not name the model", hint="name it: --model llama-3.1-70b")
        try:
            return find_model(name, self.catalogs)[0]
        except EngineError as error:
            if named is None or option is not None:
                raise
            raise RequestError(
                f"unknown model '{named}'", hint=error.hint or "name it: --model FILE|NAME"
            ) from None

    def _quantization(self, found: Measurement) -> str | None:
        name = found.quantization
        if name is None:
            return self.options.quantization
        rows = self.catalogs("quantization")
        row = rows.exact(name) or rows.loose(name)
        if row is None:
            raise RequestError(f"unknown quantization '{name}'", hint=rows.nearest(name))
        return row

    def _count(self, found: Measurement, name: str) -> int:
        value = getattr(found, name)
        stated: int | None = getattr(self.options, name)
        number = stated if value is None else value
        if number is None:
            option = name.replace("_", "-")
            raise RequestError(
                f"{found.reader}: the file does not state {name}", hint=f"state it: --{option} N"
            )
        return max(1, round(number))

    def _truth(self, found: Measurement, serving: Mapping[str, object]) -> dict[str, float]:
        values = {"throughput": found.tokens_per_sec, "tpot": found.tpot_ms, "ttft": found.ttft_ms}
        truth = {name: value for name, value in values.items() if value is not None}
        concurrency, output = serving["concurrency"], serving["output_tokens"]
        assert isinstance(concurrency, int)
        assert isinstance(output, int)
        if found.ttft_ms is not None and found.tpot_ms is not None:
            implied = concurrency * output / (found.ttft_ms + (output - 1) * found.tpot_ms) * 1000
            ratio = truth.setdefault("throughput", implied) / implied
            if not 1 / CONSISTENCY <= ratio <= CONSISTENCY:
                raise DocumentError(
                    f"the row contradicts itself: {found.tokens_per_sec:.6g} tokens/s, but {concurrency} "
                    f"requests with TTFT {found.ttft_ms:.6g} ms and TPOT {found.tpot_ms:.6g} ms "
                    f"make {implied:.5g}",
                    place=found.place,
                    hint="check the units (ms, output tokens only) and the concurrency",
                )
        return truth


def _devices(degrees: Mapping[str, int]) -> int:
    if not degrees:
        return 0
    devices = 1
    for name in DEGREES[:3]:
        devices *= degrees.get(name, 1)
    return devices


def with_logs(measurements: Iterable[Measurement]) -> tuple[list[Measurement], list[Measurement]]:
    """Return results of benchmarks, completed by the logs beside them, and the logs.

    A result that does not name its model, server or degrees has those of the log, if all logs agree.

    Raises:
        DocumentError: there is nothing but logs.
    """
    found = list(measurements)
    logs = [measurement for measurement in found if not measurement.rated]
    rated = [measurement for measurement in found if measurement.rated]
    if not rated and logs:
        raise DocumentError(
            f"no time and no rate: {logs[0].reader} states only the plan and memory",
            place=logs[0].place,
            hint="add the results of a benchmark of this server",
        )
    agreed: dict[str, object] = {}
    for name in ("model", "accelerator", "quantization", "server", "version", "degrees"):
        values = [getattr(log, name) for log in logs if getattr(log, name) is not None]
        if values and all(value == values[0] for value in values):
            agreed[name] = values[0]
    return [
        replace(each, **{name: value for name, value in agreed.items() if getattr(each, name) is None})
        for each in rated
    ], logs


def check_agreement(cases: Sequence[Case]) -> None:
    """Check that runs of one configuration agree.

    Raises:
        DocumentError: two contradict each other; at the later one.
    """
    seen: dict[object, Case] = {}
    for case in cases:
        model = case.request.model
        inputs = case.request.inputs
        key = (
            case.row,
            None if model is None else (model.name, model.params),
            inputs.get("quantization"),
            repr(inputs.get("serving")),
            repr(inputs.get("pin")),
        )
        other = seen.setdefault(key, case)
        place = other.measurement.place
        for name, value in case.truth.items():
            ratio = value / other.truth.get(name, value)
            if name != "ttft" and not 1 / AGREEMENT <= ratio <= AGREEMENT:
                raise DocumentError(
                    f"contradicts {place.file}:{place.line}: the same configuration with "
                    f"{NAMES[name].format(value)} instead of {NAMES[name].format(other.truth[name])}",
                    place=case.measurement.place,
                    hint="remove one; calibrate runs with speculative decoding or a prefix cache apart",
                )


NAMES = {"throughput": "{:.6g} tokens/s", "tpot": "TPOT {:.6g} ms", "ttft": "TTFT {:.6g} ms"}
