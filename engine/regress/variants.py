"""Variants of a policy: mutants, and policies with other constants. The policy itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from engine.base.records import replace
from engine.cel.budget import steps_allowed
from engine.decide.decision import Decision
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.fastpath.artifact import image
from engine.fastpath.linked import NotQuick, PolicyProgram
from engine.fastpath.variable_code import constant_name
from engine.plan import BuilderError
from engine.policy.compiled import CompiledPolicy


def variant(policy: Policy, compiled: CompiledPolicy) -> Policy:
    """Return a policy with other constants, expressions or matches.

    Args:
        policy: the original, whose choosers the variant shares.
        compiled: the variant, compiled.
    """
    return Policy(
        image(compiled, policy.image["auto"]), lambda: compiled, compiled=compiled, catalogs=policy.catalogs
    )


class ConstantExperiment:
    """Decides one request with other values of a policy's constants, without compiling the policy again.

    It changes its own program: use one object from one thread.
    """

    def __init__(self, policy: Policy, constants: frozenset[str], request: Request) -> None:
        """Compile the policy with some constants left open.

        Args:
            policy: the original.
            constants: the names of the constants that `decide` may replace.
            request: the request, prepared.
        """
        self.policy = policy
        self.compiled = policy.compiled
        self.request = request
        image_ = policy.opened(constants)
        self.program = None if image_["code"] is None else PolicyProgram(image_)
        names = None if self.program is None else reads(self.program, request)
        self.read = (
            constants if names is None else {each for each in constants if constant_name(each) in names}
        )
        """The constants that the result of the search depends on: what is not read cannot change it."""

    def decide(self, name: str, value: object) -> Decision:
        """Decide the request with another value of one constant, without looking for remedies.

        Args:
            name: the constant.
            value: its value, of the same type.

        Raises:
            EngineError: as `Policy.decide`.
        """
        constant = self.compiled.constants[name]
        changed = {**self.compiled.constants, name: replace(constant, value=value)}
        compiled = replace(self.compiled, constants=changed)
        key = constant_name(name)
        if self.program is None or key not in self.program.namespace:
            return self.policy.decide_variant(self.request, compiled, None)
        self.program.namespace[key] = value
        try:
            return self.policy.decide_variant(self.request, compiled, self.program)
        finally:
            self.program.namespace[key] = constant.value


class _Watched(dict[str, Any]):
    """The globals of a program; it remembers which of them are read."""

    read: set[str]

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return dict.__getitem__(self, key)


def reads(program: PolicyProgram, request: Request) -> frozenset[str] | None:
    """Return the globals that a request's search reads until it has its result.

    Args:
        program: the policy's program; its code is run once more, with globals that are watched.
        request: the request, prepared.

    Returns:
        Their names; None if the fast path does not take the request.
    """
    watched = _Watched(program.namespace)
    watched.read = set()
    read: list[frozenset[str]] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            read.append(frozenset(watched.read))
            return function(*arguments)

        return noted

    own = copy(program)
    assert program.image["code"] is not None
    exec(program.image["code"], watched)
    own.namespace, own.function = watched, watched["decide"]
    try:
        found = own.run(request.inputs, steps_allowed())[1]
        if found is None or own.matches[found[0]][2] is None:
            return None
        position, _, (arguments, judge, refuse, describe, *rest) = found
        own.search(position, (arguments, judge, noting(refuse), noting(describe), *rest), request.inventory)
    except (NotQuick, BuilderError):
        return None
    return read[0] if read else None
