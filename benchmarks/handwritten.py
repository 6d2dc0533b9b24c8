"""sharding 1.0.0 as a programmer would write it by hand, with its rules and numbers buried in code.

This is the floor that benchmarks compare with, and the independent oracle of the tests: it shares the types
of requests and plans with the engine, and nothing else. Changing a number here takes a programmer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine import Device, Interconnect, Plan, Request, Shard, ShardDevice, Strategy

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of one kind of device."""

    family: str
    multiplier: float
    rank: int
    fields: tuple[str, ...] = ("device_id",)
    by: str | None = None
    variants: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    per_two_cores: bool = False


KINDS: dict[str, Kind] = {
    "Cpu": Kind("cpu", 1.0, 10, ()),
    "CudaGpu": Kind("gpu", 20.0, 60),
    "RocmGpu": Kind("gpu", 15.0, 50),
    "MetalGpu": Kind("gpu", 12.0, 40, ()),
    "VulkanGpu": Kind("gpu", 10.0, 35),
    "IntelOneApi": Kind("gpu", 13.0, 42),
    "IntelNpu": Kind("npu", 8.0, 20, ()),
    "AppleNpu": Kind("npu", 10.0, 30, ()),
    "AmdXdnaNpu": Kind("npu", 7.0, 25),
    "SamsungNpu": Kind("npu", 6.0, 18),
    "MediaTekApu": Kind("npu", 5.0, 15),
    "Tpu": Kind(
        "tpu",
        0.0,
        0,
        ("device_id", "chip_count", "version"),
        "version",
        {"V4": (25.0, 70), "V5e": (18.0, 55), "V5p": (35.0, 80)},
    ),
    "Gaudi": Kind(
        "ai_asic",
        0.0,
        0,
        ("device_id", "generation"),
        "generation",
        {"Gaudi2": (22.0, 65), "Gaudi3": (30.0, 75)},
    ),
    "AwsNeuron": Kind(
        "ai_asic",
        0.0,
        0,
        ("device_id", "chip_type", "core_count"),
        "chip_type",
        {"Inferentia": (15.0, 45), "Trainium": (24.0, 58)},
        per_two_cores=True,
    ),
    "QualcommAi100": Kind("ai_asic", 14.0, 38),
    "CerebrasWse": Kind("ai_asic", 50.0, 85),
    "GraphcoreIpu": Kind("ai_asic", 16.0, 48),
    "GroqLpu": Kind("ai_asic", 30.0, 55),
}

BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "int4": 4}
BITS |= {"None": 32, "Float16": 16, "BFloat16": 16, "Int8": 8, "Int4": 4}


@dataclass(frozen=True, slots=True)
class Numbers:
    """The constants."""

    bits_per_byte: int = 8
    fp32_bits: float = 32.0
    activation_overhead_divisor: int = 5
    params_per_layer_estimate: int = 250_000_000
    tokens_per_sec_base: float = 1e9
    cpu_multiplier: float = 1.0
    tpu_tp_ici_bonus: float = 2.0
    nvswitch_tp_bonus: float = 1.8
    max_non_nvswitch_tp_bonus: float = 0.8
    tp_interconnect_bw_divisor: float = 200.0
    tp_min_interconnect_bw: float = 100.0
    tp_max_devices_without_nvswitch: int = 8
    pp_high_bw_efficiency: float = 0.85
    pp_pcie_only_efficiency: float = 0.65
    numa_node_if_unknown: int = 4294967295


NUMBERS = Numbers()


def plan(request: Request, numbers: Numbers = NUMBERS, kinds: Mapping[str, Kind] = KINDS) -> Plan:
    """The plan of a request that holds an inventory, a model and a quantization."""
    inventory, model = request.inventory, request.model
    assert inventory is not None
    assert model is not None
    params = model.params
    bits = BITS[request.inputs["quantization"]]
    weights = params * bits // numbers.bits_per_byte
    needed = weights + weights // numbers.activation_overhead_divisor
    if params * bits > INT64_MAX or needed > INT64_MAX:
        raise OverflowError
    factor = numbers.fp32_bits / bits

    available = [(index, device) for index, device in enumerate(inventory.devices) if device.available]
    if not available:
        return Plan(Strategy("data_parallel", data_parallel=0), (), 0, None, True)
    fits = needed <= sum(device.memory_bytes for _, device in available)
    facts = {index: _facts(device, kinds) for index, device in available}

    best = available[0]
    for candidate in available:
        if facts[candidate[0]][2] >= facts[best[0]][2]:
            best = candidate
    if needed <= best[1].memory_bytes:
        device = _shard_device(*best, kinds)
        return _single(device, params, facts[best[0]][1], factor, needed, fits, numbers)

    tpus = [pair for pair in available if facts[pair[0]][0] == "tpu"]
    if tpus and sum(device.memory_bytes for _, device in tpus) >= needed:
        chips = sum(int(device.attributes["chip_count"]) for _, device in tpus)
        shard = -(-needed // max(chips, 1))
        first = _shard_device(*tpus[0], kinds)
        slowest = min(facts[index][1] for index, _ in tpus)
        speed = slowest * chips * factor * numbers.tpu_tp_ici_bonus
        shards = tuple(Shard(chip, first, (0, 0), shard) for chip in range(chips))
        return Plan(Strategy("tensor_parallel", tensor_parallel=chips), shards, needed, speed, fits)

    pool = [pair for pair in available if facts[pair[0]][0] in ("gpu", "ai_asic", "tpu")]
    if sum(device.memory_bytes for _, device in pool) >= needed:
        return _over_pool(pool, facts, inventory.interconnects, params, needed, factor, fits, numbers, kinds)
    return _single(ShardDevice("Cpu"), params, numbers.cpu_multiplier, factor, needed, fits, numbers)


def _over_pool(
    pool: list[tuple[int, Device]],
    facts: Mapping[int, tuple[str, float, int]],
    links: tuple[Interconnect, ...],
    params: int,
    needed: int,
    factor: float,
    fits: bool,
    numbers: Numbers,
    kinds: Mapping[str, Kind],
) -> Plan:
    nvswitch = any(link.kind == "NVSwitch" for link in links)
    nvlink = max((link.bandwidth_gbps for link in links if link.kind in ("NVSwitch", "NVLink")), default=0.0)
    xgmi = max((link.bandwidth_gbps for link in links if link.kind == "XgmiInfinityFabric"), default=0.0)
    high = nvlink + xgmi
    count = len(pool)
    shard = -(-needed // count)
    slowest = min(facts[index][1] for index, _ in pool)
    fast = high > numbers.tp_min_interconnect_bw and count <= numbers.tp_max_devices_without_nvswitch
    if nvswitch or fast:
        bonus = 1.0 + min(high / numbers.tp_interconnect_bw_divisor, numbers.max_non_nvswitch_tp_bonus)
        speed = slowest * count * factor * (numbers.nvswitch_tp_bonus if nvswitch else bonus)
        shards = tuple(
            Shard(number, _shard_device(*pair, kinds), (0, 0), shard) for number, pair in enumerate(pool)
        )
        return Plan(Strategy("tensor_parallel", tensor_parallel=count), shards, needed, speed, fits)

    unknown = numbers.numa_node_if_unknown
    stages = sorted(pool, key=lambda p: unknown if p[1].numa_node is None else p[1].numa_node)
    layers = max(params // numbers.params_per_layer_estimate, 1)
    each = max(-(-layers // count), 1)
    shards = tuple(
        Shard(
            stage,
            _shard_device(*pair, kinds),
            (stage * each, layers - 1 if stage == count - 1 else (stage + 1) * each - 1),
            shard,
        )
        for stage, pair in enumerate(stages)
    )
    efficiency = numbers.pp_high_bw_efficiency if high > 0.0 else numbers.pp_pcie_only_efficiency
    speed = slowest * count * factor * efficiency
    return Plan(Strategy("pipeline_parallel", pipeline_parallel=count), shards, needed, speed, fits)


def _single(
    device: ShardDevice,
    params: int,
    multiplier: float,
    factor: float,
    needed: int,
    fits: bool,
    numbers: Numbers,
) -> Plan:
    speed = 0.0 if params == 0 else numbers.tokens_per_sec_base / params * multiplier * factor
    return Plan(Strategy("none"), (Shard(0, device, (0, 0), needed),), needed, speed, fits)


def _facts(device: Device, kinds: Mapping[str, Kind]) -> tuple[str, float, int]:
    """Family, multiplier and rank of a device."""
    kind = kinds[device.kind]
    if kind.by is None:
        return kind.family, kind.multiplier, kind.rank
    multiplier, rank = kind.variants[str(device.attributes[kind.by])]
    if kind.per_two_cores:
        multiplier *= max(float(device.attributes["core_count"]) / 2.0, 1.0)
    return kind.family, multiplier, rank


def _shard_device(index: int, device: Device, kinds: Mapping[str, Kind]) -> ShardDevice:
    identity = {
        name: device.device_id if name == "device_id" else device.attributes[name]
        for name in kinds[device.kind].fields
    }
    return ShardDevice(device.kind, identity, device.name, index, device.memory_bytes)
