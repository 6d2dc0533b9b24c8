"""The estimates of a policy with other constants, without compiling it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.base.errors import EngineError, PolicyError
from engine.base.records import record
from engine.decide import Policy, Request, load_policy
from engine.fastpath import PolicyProgram
from engine.fastpath.image import Image
from engine.policy import CompiledPolicy

CATALOG = "calibrations"
"""The catalog whose rows replace shipped constants."""
QUANTITIES = ("throughput", "tpot", "ttft")


@record
class Estimate:
    """What a plan reports at the load of a request; `values` by `QUANTITIES`, in token/s and ms."""

    values: Mapping[str, float]
    degrees: Mapping[str, int]
    kv_tokens: int | None


class Estimator:
    """A policy whose catalog of calibrations can have other rows."""

    def __init__(self, reference: str, folders: Iterable[str] = ()) -> None:
        """Load a policy.

        Raises:
            PolicyError: there is none, or its estimates cannot be calibrated.
        """
        self.policy = load_policy(reference, list(folders))
        self.image = self.policy.image
        self.name = f"{self.policy.name}@{self.policy.version}"
        if self.image["code"] is None or CATALOG not in self.image["catalogs"]:
            raise PolicyError(
                f"policy {self.name} reads no catalog {CATALOG}",
                hint="calibrate a policy that does: sharding@3",
            )

    def with_row(self, name: str, cells: Mapping[str, object]) -> Policy:
        """Return the policy with a row of the catalog replaced.

        Args:
            name: the row.
            cells: values by column; columns that are missing have their defaults.
        """
        type_name, rows = self.image["catalogs"][CATALOG]
        blank = dict(zip(self.image["objects"][type_name], rows["none"], strict=True))
        changed = {**rows, name: tuple({**blank, **cells}.values())}
        image: Image = {**self.image, "catalogs": {**self.image["catalogs"], CATALOG: (type_name, changed)}}
        return Policy(image, self._slow, program=PolicyProgram(image), catalogs=self.policy.catalogs)

    def _slow(self) -> CompiledPolicy:
        """Refuse to decide by the interpreter, which would read the catalogs as they are in the files."""
        raise PolicyError(f"policy {self.name} needs its fast path for calibration")


def estimate(policy: Policy, request: Request) -> Estimate | str:
    """Return what the plan for a request reports; the requirement that no plan meets otherwise.

    Raises:
        EngineError: the request is invalid, or the policy reports no estimates.
    """
    decision = policy.decide(request, remedies=False)
    if decision.plan is None or not decision.plan.shards:
        refused = None if decision.refusal is None else decision.refusal.requirement
        return refused or decision.outcome
    found, strategy = decision.plan.estimates, decision.plan.strategy
    values = (
        (
            found.saturated_tokens_per_sec,
            found.loaded_time_per_output_token_ms,
            found.loaded_time_to_first_token_ms,
        )
        if found is not None
        else ()
    )
    if found is None or not all(values):
        raise EngineError(f"policy {policy.name} reports no times under load", hint="use sharding@3")
    return Estimate(
        {name: float(value) for name, value in zip(QUANTITIES, values, strict=True) if value is not None},
        {
            "tensor_parallel": strategy.tensor_parallel,
            "pipeline_parallel": strategy.pipeline_parallel,
            "data_parallel": strategy.data_parallel,
            "expert_parallel": strategy.expert_parallel or 1,
        },
        found.kv_capacity_tokens,
    )
