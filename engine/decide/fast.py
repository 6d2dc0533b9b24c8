"""The fast path of one policy: its program, linked once, and the decisions that it makes."""

from __future__ import annotations

import os
from _thread import RLock  # importing threading takes longer than a decision
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.cel.budget import STEPS, steps_allowed
from engine.cel.values import CelError, limited, plain
from engine.decide.outcome import Chosen, Identity, decision_of
from engine.fastpath.linked import NotQuick, PolicyProgram, UnsupportedError
from engine.plan.builders import BUILDERS
from engine.plan.errors import BuilderError
from engine.plan.plan import Plan

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs
    from engine.cel.values import Value
    from engine.decide.decision import Decision
    from engine.decide.request import Request
    from engine.fastpath.image import Image
    from engine.plan.search.survey import Survey
    from engine.plan.search.tries import Tries
    from engine.policy.compiled import CompiledPolicy

REQUIRE_FAST = "ENGINE_REQUIRE_FAST"
"""The environment variable that makes a fallback an error if it ends in a decision.

Without it, such a fallback only shows in the time that it takes, 5 to 20 times as long.
"""


class FallbackError(RuntimeError):
    """The interpreter decided a request that the fast path gave up, and ENGINE_REQUIRE_FAST is set."""


def check_fallback(policy: str, reason: str) -> None:
    """Report a fallback to the interpreter if ENGINE_REQUIRE_FAST asks for it.

    Args:
        policy: the policy's name and version.
        reason: why the fast path did not decide.

    Raises:
        FallbackError: the fast path should have decided.
    """
    if os.environ.get(REQUIRE_FAST, "0") not in ("", "0"):
        raise FallbackError(f"policy {policy} fell back to the interpreter: {reason}")


class FastPath:
    """A policy's program. Thread-safe."""

    def __init__(
        self,
        image: Image,
        compile_: Callable[[], CompiledPolicy],
        program: PolicyProgram | None = None,
        catalogs: Catalogs | None = None,
    ) -> None:
        """Prepare the program of an image.

        Args:
            image: the image.
            compile_: returns the compiled policy, from which the image is made again if it can't be linked.
            program: the program, if it is linked already.
            catalogs: the catalogs that the policy reads, for its decisions.
        """
        self.image = image
        self._compile = compile_
        self._program = program
        self._identity = Identity(image["name"], image["version"], image["digest"], catalogs)
        self._names = [name for name, _, _ in image["inputs"]]
        self._steps = STEPS if program is None else steps_allowed()
        self._lock = RLock()

    def program(self) -> PolicyProgram | None:
        """Return the program, linked once; None if the policy is too long for one function."""
        with self._lock:
            if self._program is None and self.image["code"] is not None:
                self._steps = steps_allowed()
                self._program = self._linked()
            return self._program

    def decide(
        self, request: Request, auto: Mapping[str, Decision], effort: float
    ) -> tuple[Decision, Tries | None]:
        """Decide a prepared request.

        Args:
            request: the request, with the inputs that other policies chose.
            auto: the decisions that chose these inputs.
            effort: the fraction of the candidate budget that a search may spend.

        Returns:
            The decision without remedies, and the remedies to try if it is a refusal.

        Raises:
            NotQuick: the interpreter must decide.
        """
        program = self._program or self.program()
        if program is None:
            raise UnsupportedError("the policy exceeds the code-generation limit")
        bound, found = program.run(request.inputs, self._steps)
        chosen: Chosen | None = None
        tries: Tries | None = None
        if found is not None:
            try:
                chosen, tries = self._chosen(program, *found, request, effort)
            except (BuilderError, CelError) as error:
                raise NotQuick(str(error)) from error
        inputs = dict(zip(self._names, bound, strict=True))
        return decision_of(self._identity, request, inputs, chosen, auto=auto), tries

    def survey(self, request: Request) -> Survey | None:
        """Survey the search that a prepared request leads to; None if it leads to none.

        Raises:
            NotQuick: the interpreter must do it.
        """
        program = self._program or self.program()
        if program is None:
            raise UnsupportedError("the policy exceeds the code-generation limit")
        found = program.run(request.inputs, self._steps)[1]
        if found is None:
            return None
        position, _, value = found
        if program.matches[position][2] is None:
            return None
        try:
            return program.survey(position, value, request.inventory)
        except (BuilderError, CelError) as error:
            raise NotQuick(str(error)) from error

    def _chosen(
        self,
        program: PolicyProgram,
        position: int,
        explanation: str | None,
        value: Value,
        request: Request,
        effort: float,
    ) -> tuple[Chosen, Tries | None]:
        match_id, builder, searching = program.matches[position]
        if builder is None:
            return Chosen(match_id, explanation, value=plain(limited(value))), None
        if searching is None:
            return Chosen(match_id, explanation, plan=BUILDERS[builder].build(value)), None
        result, tries = program.search(position, value, request.inventory, effort)
        if isinstance(result, Plan):
            return Chosen(match_id, result.explanation, plan=result), None
        return Chosen(match_id, result.explanation, refusal=result), tries

    def _linked(self) -> PolicyProgram:
        """Link the image, or an image made from the policy again if the one at hand can't be linked."""
        try:
            return PolicyProgram(self.image)
        except Exception:
            # This engine wrote the cached image, but its code may have changed since.
            from engine.fastpath.artifact import image  # deferred: start-up time

            self.image = image(self._compile())
            return PolicyProgram(self.image)
