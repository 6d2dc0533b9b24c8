"""Decisions made by hand, for tests of launch targets that depend on no policy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from engine.catalogs.resolved import Catalogs
from engine.decide.decision import Decision
from engine.decide.request import Request
from engine.decide.sources import Sources, read_sources
from engine.plan import Estimates, Plan, Shard, ShardDevice, Strategy
from engine.render import Screen, find_target

CATALOGS = Catalogs()
"""The shipped catalogs, read once for all tests."""


def decision(
    inventory: str,
    degrees: Mapping[str, int],
    *,
    model: str = "llama-3.1-70b",
    quantization: str = "bf16",
    serving: Mapping[str, object] | None = None,
    estimates: Estimates | None = None,
) -> Decision:
    """Return a decision for a plan on the first devices; degrees: `tp`, `pp`, `dp`, `ep`, `attention`."""
    sources = Sources(inventory=inventory, model=model, quantization=quantization, serving=serving or {})
    request: Request = read_sources(sources, CATALOGS).request
    assert request.inventory is not None
    assert request.model is not None
    layers = request.model.layers or 1
    tensor, pipeline, data = (degrees.get(name, 1) for name in ("tp", "pp", "dp"))
    shards = []
    for number, device in enumerate(request.inventory.devices[: tensor * pipeline * data]):
        stage = number // tensor % pipeline
        last = layers * (stage + 1) // pipeline - 1
        identity = {"device_id": number if device.device_id is None else device.device_id}
        placed = ShardDevice(device.kind, identity, device.name, number, device.memory_bytes)
        shards.append(Shard(number, placed, (layers * stage // pipeline, last), 2**30))
    kinds = [kind for kind, degree in zip("tpd", (tensor, pipeline, data), strict=True) if degree > 1]
    names = {"t": "tensor_parallel", "p": "pipeline_parallel", "d": "data_parallel"}
    strategy = Strategy(
        "none" if not kinds else names[kinds[0]] if len(kinds) == 1 else "hybrid",  # type: ignore[arg-type]
        tensor,
        pipeline,
        data,
        degrees.get("ep", 1),
        degrees.get("attention"),
    )
    plan = Plan(strategy, tuple(shards), len(shards) * 2**30, None, fits_in_memory=True, estimates=estimates)
    return Decision(
        id=None,
        policy_name="by-hand",
        policy_version="1.0.0",
        policy_digest="",
        outcome="plan",
        match_id="only",
        explanation=None,
        output=None,
        plan=plan,
        fits_in_memory=True,
        quantization=quantization,
        request=request,
        catalogs=CATALOGS,
    )


def render(form: str, decided: Decision) -> str:
    """Return a decision in a target's form."""
    return find_target(form).render(decided, Screen())


def commands(form: str, decided: Decision) -> list[list[str]]:
    """Return the words of each command of a target, without comments."""
    script = render(form, decided).replace("\\\n", " ").replace("&&\n", "&& ")
    return [words for line in script.splitlines() if (words := shlex.split(line, comments=True))]


def flags(words: list[str]) -> dict[str, str | None]:
    """Return the options of a command by name, with their values; None for options without one."""
    found: dict[str, str | None] = {}
    for position, word in enumerate(words):
        if word.startswith("-"):
            rest = words[position + 1 : position + 2]
            found[word] = rest[0] if rest and not rest[0].startswith("-") else None
    return found
