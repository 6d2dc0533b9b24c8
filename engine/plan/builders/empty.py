"""A plan without shards: not even one replica can be placed."""

from __future__ import annotations

from engine.plan.building import FITS, Arguments, Builder, make_plan
from engine.plan.plan import Plan, Strategy
from engine.policy.signature import BuilderSignature


def build(arguments: Arguments) -> Plan:
    """Return the plan without shards."""
    return make_plan(Strategy("data_parallel", data_parallel=0), (), 0, arguments)


BUILDER = Builder(
    BuilderSignature(
        "empty", "A plan without shards: not even one replica can be placed.", {"fits_in_memory": FITS}
    ),
    build,
    example="""
builder: empty
arguments: {fits_in_memory: 'false'}
""",
)
