"""A policy ready to decide: the fast path where it takes the request, else the interpreter."""

from __future__ import annotations

import os
from _thread import RLock  # importing threading takes longer than a decision
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.base.errors import EvaluationError, PolicyError, RequestError
from engine.base.records import replace
from engine.cel.runtimes.registry import RUNTIMES
from engine.decide.decision import Decision
from engine.decide.fast import FastPath, check_fallback
from engine.decide.request import REQUEST_INPUTS, Request
from engine.fastpath import artifact_cache as cache
from engine.fastpath.linked import NotQuick, PolicyProgram, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from engine.catalogs.resolved import Catalogs
    from engine.catalogs.store import Snapshot, Source
    from engine.decide.found import Found
    from engine.decide.goals import Changes
    from engine.decide.interpreter import Evaluator
    from engine.decide.remedies import Remedied
    from engine.decide.unknown import UnknownDevices
    from engine.fastpath.image import Image
    from engine.plan.search.survey import Survey
    from engine.plan.search.tries import Tries
    from engine.policy import CompiledPolicy, Input

__all__ = ["AUTO", "Decision", "Policy", "load_policy"]

_REMEDY_EFFORT = 0.05
"""The fraction of a search's budget that each try of a remedy may spend; there are about a dozen tries."""
_THOROUGH_EFFORT = 0.3
"""The same of a second try, after one that found nothing and did not see everything."""
_SHORTER = "inline some of the variables"

AUTO = "auto"
"""The value of an input that a policy is to choose."""


class Policy:
    """A policy ready to decide. Immutable; one object may be used from several threads."""

    def __init__(
        self,
        image: Image,
        compile_: Callable[[], CompiledPolicy],
        *,
        compiled: CompiledPolicy | None = None,
        program: PolicyProgram | None = None,
        catalogs: Catalogs | None = None,
        origin: tuple[Source, Snapshot] | None = None,
    ) -> None:
        """Make a policy of its image.

        Args:
            image: the image.
            compile_: returns the compiled policy that the image is made from; called if it is needed.
            compiled: the compiled policy, if it is at hand.
            program: the linked image, if it is at hand.
            catalogs: the catalogs that it reads, and the newest of all others.
            origin: the file and the folders that it was read from, if images of it may be kept.
        """
        self._origin = origin
        self._compile = compile_
        self._compiled = compiled
        self._types = {name: type_name for name, type_name, _ in image["inputs"]}
        self._auto = image["auto"]
        self._defaults = image["defaults"]
        self._catalogs = catalogs
        self._fast = FastPath(image, lambda: self.compiled, program, catalogs)
        self._unknown = None if catalogs is None else _unknown_devices(image, catalogs)
        self._evaluators: dict[str, Evaluator] = {}
        self._choosers: dict[str, Policy] = {}
        self._lock = RLock()

    @property
    def name(self) -> str:
        """The policy's name."""
        return self._fast.image["name"]

    @property
    def version(self) -> str:
        """The policy's version."""
        return self._fast.image["version"]

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides: the policy and the catalogs that it reads."""
        return self._fast.image["digest"]

    @property
    def image(self) -> Image:
        """The compiled policy as plain data that `marshal` can write (engine.fastpath.artifact)."""
        return self._fast.image

    def opened(self, constants: frozenset[str]) -> Image:
        """Return an image in which the values of some constants can be replaced.

        Args:
            constants: their names.
        """
        from engine.fastpath.artifact import image  # deferred: start-up time

        found = None if self._origin is None else cache.find(*self._origin, constants)
        if found is None:
            found = image(self.compiled, self._auto, constants)
            if self._origin is not None:
                cache.keep(found, *self._origin, constants)
        return found

    @property
    def compiled(self) -> CompiledPolicy:
        """The policy with its checked expressions and their places."""
        with self._lock:
            if self._compiled is None:
                self._compiled = self._compile()
            return self._compiled

    @property
    def input_types(self) -> dict[str, str]:
        """The declared type of each input, as the policy writes it."""
        return dict(self._types)

    def reads(self, name: str) -> bool:
        """Return True if the policy declares an input of that name."""
        return name in self._types

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The declared inputs."""
        return tuple(self.compiled.inputs.values())

    def decide(
        self,
        request: Request,
        *,
        explain: bool = False,
        runtime: str = RUNTIMES[0],
        remedies: bool = True,
        find: bool = True,
    ) -> Decision:
        """Decide one request.

        If it sets limits on latency or a request rate and no concurrency, find the concurrency
        (engine.decide.goals).

        Args:
            request: values for the policy's inputs.
            explain: record a trace of what was evaluated.
            runtime: the CEL runtime.
            remedies: if no plan is feasible, search for changes to the request that make one feasible.
            find: find the concurrency, if goals leave it open; if not, the policy's default applies.

        Returns:
            The decision; no feasible plan is a decision, not an error.

        Raises:
            RequestError: an input is missing, or violates its type or a catalog.
            EvaluationError: an expression ended in an error; with its place in the policy.
            RuntimeUnavailableError: the runtime isn't installed.
        """
        serving = request.inputs.get("serving")
        if find and type(serving) is dict and serving and self._types.get("serving") == "Serving":
            from engine.decide import goals  # deferred: start-up time

            goals.check(request)
            if goals.has_goals(request):
                return self._meet(request, explain, runtime, remedies=remedies)
        decision, tries = self._decide(request, explain, runtime)
        decision = self.with_further(self._located(decision))
        return self.with_remedies(decision, tries) if remedies else decision

    def _meet(self, request: Request, explain: bool, runtime: str, *, remedies: bool) -> Decision:
        """Decide a request with limits or a rate, at the concurrency that meets them if it sets none."""
        from engine.decide import goals  # deferred: start-up time
        from engine.decide.changes import with_serving  # deferred: start-up time

        found: Found | None = None
        finder: goals.Finder | None = None

        def decide(changed: Request) -> Decision:
            return self._decide(changed, False, RUNTIMES[0])[0]

        if goals.leaves_concurrency_open(request):
            finder = goals.Finder(request, decide)
            decision, found = finder.find()
            goals.check_estimates(finder.at(1, rate=False))
            asked = decision.request
            assert asked is not None
            chosen = goals.serving_of(asked)[goals.CONCURRENCY]
            request = with_serving(request, goals.CONCURRENCY, chosen)
        decision, tries = self._decide(request, explain, runtime)
        decision = replace(self._located(decision), found=found)
        goals.check_estimates(decision)
        if decision.refusal is None:
            return self.with_further(decision, find=found is not None)
        if finder is not None and finder.rate is not None:
            from engine.decide.further import together  # deferred: start-up time

            best = together(finder, lambda changed: self._located(decide(changed)))
            if best[0] >= finder.rate:
                return replace(best[1], trace=decision.trace)
        if not remedies:
            return decision
        if finder is None or finder.rate is None:
            return self.with_remedies(decision, tries, goals.nearest(request, decide))
        rated = goals.Changes(request, best[0])
        changes = goals.nearest(request, lambda changed: rated.decide(changed, decide))
        return self.with_remedies(decision, tries, [*changes, *goals.slower(request, *best)], rated)

    def survey(self, request: Request) -> Survey | None:
        """Return all feasible layouts of one instance with their estimates, instead of the best plan.

        Args:
            request: values for the policy's inputs.

        Returns:
            The layouts, or the refusal if there are none; None if the policy searches for no plan.

        Raises:
            RequestError: as `decide`.
            EvaluationError: as `decide`.
        """
        request, _ = self.prepared(request)
        fallback: str | None = None
        try:
            return self._fast.survey(request)
        except UnsupportedError:
            pass
        except NotQuick as error:
            fallback = str(error)
        result = self._evaluator(RUNTIMES[0]).survey(request)
        if fallback is not None:
            check_fallback(f"{self.name}@{self.version}", fallback)
        return result

    @property
    def catalogs(self) -> Catalogs:
        """The catalogs that the policy reads, with the newest of all others: what readers use for it."""
        with self._lock:
            if self._catalogs is None:
                from engine.catalogs.resolved import Catalogs  # deferred: start-up time

                self._catalogs = Catalogs()
            return self._catalogs

    def with_further(self, decision: Decision, *, find: bool = False) -> Decision:
        """Return a decision with further plans for devices that its plan leaves, if the policy wants any.

        Args:
            decision: a decision without remedies.
            find: its concurrency was found by the request's limits, and those of further plans are to be.
        """
        if decision.plan is None or decision.plan.leftover is None:
            return decision
        from engine.decide.further import with_further  # deferred: start-up time

        def decide(request: Request) -> Decision:
            return self._located(self._decide(request, False, RUNTIMES[0])[0])

        return with_further(decision, decide, find=find)

    def _located(self, decision: Decision) -> Decision:
        """Return a decision with the catalogs that it read, and a warning for each device that they lack."""
        plan = decision.plan
        if plan is None or self._catalogs is None:
            return decision
        warnings = () if self._unknown is None else self._unknown.warnings(plan.shards)
        if warnings:
            plan = replace(plan, warnings=(*plan.warnings, *warnings))
        elif decision.catalogs is not None:
            return decision
        return replace(decision, plan=plan, catalogs=self._catalogs)

    def request_of(self, mapping: object) -> Request:
        """Return the request in a mapping of inputs; an `id` that is no input is the request's id.

        Args:
            mapping: values by input name.

        Raises:
            RequestError: not a mapping.
        """
        request = Request.from_inputs(mapping)
        id_ = request.inputs.get("id")
        if "id" in self._types or isinstance(id_, bool) or not isinstance(id_, (str, int)):
            return request
        return Request({name: value for name, value in request.inputs.items() if name != "id"}, id_)

    def _check_names(self, request: Request) -> None:
        """Reject inputs that the policy does not declare; those that any request may have are ignored.

        Raises:
            RequestError: an unknown input.
        """
        for name in request.inputs:
            if name not in self._types and name not in REQUEST_INPUTS and name != "id":
                raise RequestError(
                    f"policy {self.name} has no input '{name}'",
                    hint=f"it reads {', '.join(self._types)}; --policy names another policy",
                    path=(name,),
                    at_key=True,
                )

    def prepared(
        self, request: Request, *, explain: bool = False, runtime: str = RUNTIMES[0]
    ) -> tuple[Request, dict[str, Decision]]:
        """Return the request as the policy's expressions read it, and the decisions that chose inputs for it.

        Args:
            request: values for the policy's inputs.
            explain: record traces of these decisions.
            runtime: the CEL runtime.

        Raises:
            RequestError: as `decide`.
        """
        if self._defaults:
            absent = {
                name: value for name, value in self._defaults.items() if request.inputs.get(name) is None
            }
            request = request.with_inputs(**absent) if absent else request
        self._check_names(request)
        request = request.typed(self._types)
        auto = self._choose(request, explain, runtime)
        if auto:
            request = request.with_inputs(**{name: decision.output for name, decision in auto.items()})
        return request, auto

    def prepare(self, runtime: str = RUNTIMES[0]) -> None:
        """Load a runtime now, so that a missing one is reported before the first request.

        Args:
            runtime: the CEL runtime.

        Raises:
            RuntimeUnavailableError: the runtime isn't installed.
        """
        if runtime != RUNTIMES[0] or self._fast.program() is None:
            self._evaluator(runtime)

    def with_remedies(
        self,
        decision: Decision,
        tries: Tries | None,
        known: Sequence[Remedied] = (),
        rated: Changes | None = None,
    ) -> Decision:
        """Return an infeasible decision with its remedies, found by deciding changed requests.

        Args:
            decision: the decision.
            tries: the changes to try; None if there is a plan.
            known: remedies that are known, which come first.
            rated: finds a concurrency that serves the rate, for each change.
        """
        if decision.request is None or tries is None:
            return decision
        from engine.decide.negotiation import negotiated  # deferred: start-up time

        def decide(request: Request, thorough: bool) -> Decision:
            effort = _THOROUGH_EFFORT if thorough else _REMEDY_EFFORT

            def at(changed: Request) -> Decision:
                return self._decide(changed, False, RUNTIMES[0], effort)[0]

            return at(request) if rated is None else rated.decide(request, at)

        return negotiated(decision, decision.request, tries, decide, known)

    def _decide(
        self, request: Request, explain: bool, runtime: str, effort: float = 1.0
    ) -> tuple[Decision, Tries | None]:
        """Return the decision without remedies, and the changes to try if it is a refusal.

        `effort` is the fraction of its candidate budget that a search may spend.
        """
        request, auto = self.prepared(request, explain=explain, runtime=runtime)
        fallback: str | None = None
        if runtime == RUNTIMES[0] and not explain:
            try:
                return self._fast.decide(request, auto, effort)
            except UnsupportedError:
                pass
            except NotQuick as error:
                # Keeping the exception would keep this frame and the request until the next collection.
                fallback = str(error)
        try:
            result = self._evaluator(runtime).decide(request, auto=auto, explain=explain, effort=effort)
        except RecursionError:
            raise EvaluationError(f"policy {self.name}: variable chain too deep", hint=_SHORTER) from None
        if fallback is not None:
            check_fallback(f"{self.name}@{self.version}", fallback)
        return result

    def decide_variant(
        self, request: Request, compiled: CompiledPolicy, program: PolicyProgram | None
    ) -> Decision:
        """Decide a prepared request with other values of the policy's constants, without remedies.

        Args:
            request: the request, prepared.
            compiled: the policy with these values.
            program: a program with these values, if there is one.

        Raises:
            EvaluationError: an expression ended in an error.
        """
        if program is not None:
            with suppress(NotQuick):
                return FastPath(program.image, lambda: compiled, program).decide(request, {}, 1.0)[0]
        return self._evaluator(RUNTIMES[0]).variant(compiled).decide(request)[0]

    def _choose(self, request: Request, explain: bool, runtime: str) -> dict[str, Decision]:
        """Have other policies decide on the inputs that the request sets to `auto`."""
        chosen: dict[str, Decision] = {}
        for name in self._auto:
            if request.inputs.get(name) != AUTO:
                continue
            chooser = self._chooser(name)
            decision = chooser.decide(request, explain=explain, runtime=runtime)
            if decision.outcome == "no_match":
                raise RequestError(
                    f"{name}: policy {chooser.name}@{chooser.version}, which chooses it, "
                    "has no match for this request",
                    path=(name,),
                )
            chosen[name] = decision
        return chosen

    def _chooser(self, name: str) -> Policy:
        """Return the policy that chooses an input."""

        def compile_() -> CompiledPolicy:
            chooser = self.compiled.inputs[name].auto
            assert chooser is not None
            return chooser

        with self._lock:
            if name not in self._choosers:
                self._choosers[name] = Policy(self._auto[name], compile_)
            return self._choosers[name]

    def _evaluator(self, runtime: str) -> Evaluator:
        from engine.cel.runtimes.registry import create_runtime  # deferred: start-up time
        from engine.decide.interpreter import Evaluator  # deferred: start-up time

        with self._lock:
            if runtime not in self._evaluators:
                evaluator = Evaluator(
                    self.compiled, create_runtime(runtime, self.compiled.objects), self._catalogs
                )
                self._evaluators[runtime] = evaluator
            return self._evaluators[runtime]


def load_policy(
    reference: str,
    policies: FilePath | str | Sequence[FilePath | str] | None = None,
    *,
    constants: Mapping[str, object] | None = None,
    use_cache: bool = True,
) -> Policy:
    """Load a policy: find it, check it and make it ready to decide.

    Args:
        reference: `name`, `name@1`, `name@1.0.0`, or the path of a policy's file.
        policies: one or more folders that take precedence over the shipped policies.
        constants: other values of its constants, of the same types: `{"default_utilization": 0.85}`. The
            version of such a policy ends in `+set`, and its digest covers the values.
        use_cache: read and write the cache of compiled policies.

    Returns:
        The policy.

    Raises:
        PolicyError: it doesn't exist or doesn't compile; with all problems.
        DocumentError: its file can't be read, or violates the schema.
    """
    from engine.catalogs.store import Snapshot, Source  # deferred: start-up time

    folders = [policies] if isinstance(policies, str) or not isinstance(policies, Sequence) else policies
    store = Snapshot([folder for folder in folders if folder is not None])
    settings = None
    if constants:
        from engine.policy.overlays import settings_document  # deferred: start-up time

        settings = settings_document(constants)
    source = Source.of(reference, store, settings)

    def compile_() -> CompiledPolicy:
        from engine.plan import signatures  # deferred: start-up time
        from engine.policy.compiler import compile_policy  # deferred: start-up time

        document = source.read()
        try:
            return compile_policy(document, store, signatures(), settings)
        except RecursionError:
            raise PolicyError(f"{document.name}: variable chain too deep", hint=_SHORTER) from None

    names = [os.fspath(folder) for folder in folders if folder is not None]
    image = cache.find(source, store) if use_cache else None
    if image is not None:
        return Policy(image, compile_, catalogs=catalogs_of(image, names), origin=(source, store))
    from engine.fastpath.artifact import image as make_image  # deferred: start-up time

    compiled = compile_()
    image = make_image(compiled)
    if use_cache:
        cache.keep(image, source, store)
    origin = (source, store) if use_cache else None
    return Policy(image, compile_, compiled=compiled, catalogs=catalogs_of(image, names), origin=origin)


def catalogs_of(image: Image, folders: Sequence[str] = ()) -> Catalogs:
    """Return the catalogs that a policy reads, its own before its choosers', with the newest of all others.

    Args:
        image: the policy's image.
        folders: folders of policies that take precedence over the shipped ones.
    """
    from engine.catalogs.resolved import Catalogs  # deferred: start-up time

    references: dict[str, str] = {}
    for kind, reference in image["reads"]:
        if kind == "catalog":
            references.setdefault(reference.partition("@")[0], reference)
    return Catalogs(folders, references)


def _unknown_devices(image: Image, catalogs: Catalogs) -> UnknownDevices | None:
    """Return what finds the devices that the policy's catalogs lack, if one of them identifies devices."""
    if "Device" not in image.get("identifying", ()):
        return None
    from engine.decide.unknown import UnknownDevices  # deferred: start-up time

    _, _, plain, catalog = image["identifying"]["Device"]
    return UnknownDevices(catalog, plain, catalogs)
