"""Request + policy → decision: by the policy's program where that takes it, else by the evaluator."""

from __future__ import annotations

from _thread import RLock  # importing threading takes longer than a decision
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from engine import cache
from engine.cel.budget import STEPS, steps_allowed
from engine.cel.names import RUNTIMES
from engine.cel.values import CelError, limited, plain
from engine.decision import Decision, Outcome, quantization_name
from engine.errors import EvaluationError, PolicyError, RequestError
from engine.plan import BUILDERS, BuilderError, Plan, with_warnings
from engine.program import NotQuick, PolicyProgram
from engine.records import replace
from engine.request import Request

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from engine.evaluate import Evaluator
    from engine.policy import CompiledPolicy, Input
    from engine.remedies import Tries

__all__ = ["AUTO", "Decision", "Policy", "load_policy"]

_SHORTER = "put several steps into one expression"

AUTO = "auto"
"""What a request says of an input that a policy is to choose."""


class Policy:
    """A policy ready to decide; one object may be used from several threads."""

    def __init__(self, image: Mapping[str, Any], compile_: Callable[[], CompiledPolicy]) -> None:
        """`image` is what engine.policy.image makes of what `compile_` gives, which is called when needed."""
        self._image = image
        self._compile = compile_
        self._compiled: CompiledPolicy | None = None
        self._types = {name: type_name for name, type_name, _ in image["inputs"]}
        self._auto: Mapping[str, Mapping[str, Any]] = image["auto"]
        self._program: PolicyProgram | None = None
        self._steps = STEPS
        self._evaluators: dict[str, Evaluator] = {}
        self._choosers: dict[str, Policy] = {}
        self._lock = RLock()

    @property
    def name(self) -> str:
        """The policy's name."""
        name: str = self._image["name"]
        return name

    @property
    def version(self) -> str:
        """Its version."""
        version: str = self._image["version"]
        return version

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides: the policy and the catalogs that it reads."""
        digest: str = self._image["digest"]
        return digest

    @property
    def image(self) -> Mapping[str, Any]:
        """The compiled policy as plain data, which `marshal` can write (engine.policy.image)."""
        return self._image

    @property
    def compiled(self) -> CompiledPolicy:
        """The policy with its checked expressions and their places."""
        with self._lock:
            if self._compiled is None:
                self._compiled = self._compile()
            return self._compiled

    def decide(
        self,
        request: Request,
        *,
        explain: bool = False,
        runtime: str = RUNTIMES[0],
        remedies: bool = True,
    ) -> Decision:
        """Decide one request.

        Args:
            request: values for the policy's inputs.
            explain: keep a trace of what was evaluated.
            runtime: the CEL runtime's name.
            remedies: where no plan is possible, look for changes that make one possible.

        Raises:
            RequestError: the request lacks an input, or holds what types or catalogs don't allow.
            EvaluationError: an expression ended in an error; with its place in the policy.
            RuntimeUnavailableError: the runtime isn't installed.
        """
        request, auto = self.prepared(request, explain=explain, runtime=runtime)
        if runtime == RUNTIMES[0] and not explain:
            quick = self._decide_quickly(request, auto)
            if quick is not None:
                decision, tries = quick
                return self.with_remedies(decision, tries) if remedies and tries else decision
        try:
            decision, tries = self._evaluator(runtime).decide_with_tries(request, explain=explain)
        except RecursionError:
            raise EvaluationError(
                f"policy {self.name}: variables that read each other, too many in a row", hint=_SHORTER
            ) from None
        decision = replace(decision, auto=auto) if auto else decision
        return self.with_remedies(decision, tries) if remedies and tries else decision

    def prepared(
        self, request: Request, *, explain: bool = False, runtime: str = RUNTIMES[0]
    ) -> tuple[Request, dict[str, Decision]]:
        """The request as the policy's expressions read it, and the decisions that chose inputs for it.

        Raises:
            RequestError: as `decide`.
        """
        request = request.typed(self._types)
        auto = self._choose(request, explain, runtime)
        if auto:
            request = request.with_inputs(**{name: decision.output for name, decision in auto.items()})
        return request, auto

    def _decide_quickly(
        self, request: Request, auto: Mapping[str, Decision]
    ) -> tuple[Decision, Tries] | None:
        """The decision by the policy's program, and remedies to try; None for what it doesn't take."""
        program = self._program
        if program is None:
            program = self._link()
            if program is None:
                return None
        try:
            bound, found = program.run(request.inputs, self._steps)
            outcome: Outcome = "no_match"
            match_id = explanation = output = plan = refusal = None
            tries: Any = ()
            if found is not None:
                position, explanation, value = found
                match_id, builder, searched = program.matches[position]
                if builder is None:
                    outcome, output = "value", plain(limited(value))
                elif searched is not None:
                    result, tries = program.search(position, value, request.inventory)
                    explanation = result.explanation
                    if isinstance(result, Plan):
                        outcome, plan = "plan", with_warnings(result, request.inventory)
                    else:
                        outcome, refusal = "infeasible", result
                else:
                    outcome = "plan"
                    plan = with_warnings(BUILDERS[builder].build(value), request.inventory)
        except (NotQuick, BuilderError, CelError):
            return None
        decision = Decision(
            request.id,
            self._image["name"],
            self._image["version"],
            self._image["digest"],
            outcome,
            match_id,
            explanation,
            output,
            plan,
            None if plan is None else plan.fits_in_memory,
            quantization_name(dict(zip(self._types, bound, strict=True))),
            auto,
            None,
            request,
            refusal,
        )
        return decision, () if refusal is None else tries

    def with_remedies(self, decision: Decision, tries: Tries) -> Decision:
        """The decision that nothing fits, with what would make it fit, found by deciding again."""
        from engine.remedies import remedied

        if decision.request is None or not tries:
            return decision
        found = remedied(decision.request, tries, partial(self.decide, remedies=False))
        return replace(decision, remedies=found)

    def _link(self) -> PolicyProgram | None:
        """The policy's program, linked once; None where it is too long for one."""
        with self._lock:
            if self._program is None and self._image["code"] is not None:
                self._steps = steps_allowed()
                self._program = PolicyProgram(self._image)
            return self._program

    def variant(self, compiled: CompiledPolicy, open_constants: frozenset[str] = frozenset()) -> Policy:
        """This policy with other constants, expressions or matches, as they are in `compiled`.

        Args:
            compiled: what it is to be.
            open_constants: those for which `set_constant` can give other values.
        """
        from engine.policy.image import image

        made = Policy(image(compiled, self._auto, open_constants), lambda: compiled)
        made._compiled = compiled
        return made

    def set_constant(self, name: str, value: Any) -> None:
        """Give a constant another value of its type, in a variant that was made for it."""
        from engine.policy.generate import constant_name

        constants = self.compiled.constants
        changed = {**constants, name: replace(constants[name], value=value)}
        self._compiled = replace(self.compiled, constants=changed)
        self._evaluators.clear()
        program = self._link()
        if program is not None and constant_name(name) in program.namespace:
            program.namespace[constant_name(name)] = value

    def prepare(self, runtime: str = RUNTIMES[0]) -> None:
        """Make the runtime ready, so that a missing one is told before the first request.

        Raises:
            RuntimeUnavailableError: the runtime isn't installed.
        """
        if runtime != RUNTIMES[0] or self._link() is None:
            self._evaluator(runtime)

    @property
    def input_types(self) -> dict[str, str]:
        """The declared types of its inputs, as the policy writes them, by name."""
        return dict(self._types)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it reads of a request."""
        return tuple(self.compiled.inputs.values())

    def _choose(self, request: Request, explain: bool, runtime: str) -> dict[str, Decision]:
        """The decisions of other policies on the inputs for which the request says `auto`."""
        chosen: dict[str, Decision] = {}
        for name in self._auto:
            if request.inputs.get(name) != AUTO:
                continue
            chooser = self._chooser(name)
            decision = chooser.decide(request, explain=explain, runtime=runtime)
            if decision.outcome == "no_match":
                raise RequestError(
                    f"{name}: policy {chooser.name}@{chooser.version}, which is to choose it, "
                    "has no match for this request",
                    path=(name,),
                )
            chosen[name] = decision
        return chosen

    def _chooser(self, name: str) -> Policy:
        """The policy that chooses an input."""

        def compile_() -> CompiledPolicy:
            chooser = self.compiled.inputs[name].auto
            assert chooser is not None
            return chooser

        with self._lock:
            if name not in self._choosers:
                self._choosers[name] = Policy(self._auto[name], compile_)
            return self._choosers[name]

    def _evaluator(self, runtime: str) -> Evaluator:
        from engine.cel.runtime import create_runtime
        from engine.evaluate import Evaluator

        with self._lock:
            if runtime not in self._evaluators:
                made = create_runtime(runtime, self.compiled.objects)
                self._evaluators[runtime] = Evaluator(self.compiled, made)
            return self._evaluators[runtime]


def load_policy(
    reference: str,
    policies: FilePath | str | Sequence[FilePath | str] | None = None,
    *,
    use_cache: bool = True,
) -> Policy:
    """The policy of that reference, checked and ready to decide.

    Args:
        reference: `name`, `name@1`, `name@1.0.0`, or the path of a policy's file.
        policies: a folder, or several, that stand in front of the shipped policies.
        use_cache: take it from the cache of compiled policies, and keep it there.

    Raises:
        PolicyError: there is none, or it has faults, all of which are reported.
        DocumentError: its file can't be read, or breaks the schema.
    """
    from engine.policy.store import PolicyStore, Source

    given = [policies] if isinstance(policies, str) or not isinstance(policies, Sequence) else policies
    store = PolicyStore([folder for folder in given if folder is not None])
    source = Source.of(reference, store)

    def compile_() -> CompiledPolicy:
        from engine.plan import signatures
        from engine.policy.compiler import compile_policy

        document = source.read()
        try:
            return compile_policy(document, store, signatures())
        except RecursionError:
            raise PolicyError(
                f"{document.name}: variables that read each other, too many in a row", hint=_SHORTER
            ) from None

    image = cache.find(source, store) if use_cache else None
    if image is not None:
        return Policy(image, compile_)
    from engine.policy.image import image as make_image

    compiled = compile_()
    image = make_image(compiled)
    if use_cache:
        cache.keep(image, source, store)
    policy = Policy(image, compile_)
    policy._compiled = compiled
    return policy
