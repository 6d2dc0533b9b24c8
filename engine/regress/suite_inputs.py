"""Inputs of a suite's cases, held against the types that the policy declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.base.errors import Path, Problem, path_text
from engine.cel.coercion import CoercionError, coerce
from engine.decide.policy import Policy
from engine.documents import Document
from engine.regress.paths import parse_path


class DeclaredInputs:
    """Finds values of inputs that their declared types do not allow, each once."""

    def __init__(self, policy: Policy, suite: Document, shared: Document | None) -> None:
        """Prepare for one suite.

        Args:
            policy: the policy under test.
            suite: the suite's document.
            shared: the fixtures in its folder.
        """
        self.policy = policy
        self.suite = suite
        self.shared = shared
        self.names = tuple(policy.image.get("values", ()))
        self.reported: set[Problem] = set()

    def problems(
        self,
        stated: Mapping[str, object],
        inputs: Mapping[str, object],
        origins: Mapping[str, Path],
        fixtures: Mapping[str, Mapping[str, object]],
    ) -> Iterator[Problem]:
        """Yield what is wrong with the inputs of a case.

        Args:
            stated: its inputs as the suite states them: names of fixtures, and parts by path.
            inputs: its inputs.
            origins: where the suite states them.
            fixtures: the fixtures by input and name.
        """
        for name in self.names:
            if inputs.get(name) is None:
                continue
            declared = self.policy.compiled.inputs[name]
            try:
                coerce(inputs[name], declared.type, self.policy.compiled.objects, (name,))
            except CoercionError as error:
                document, path = self.origin(name, error.path, stated, origins, fixtures)
                place = document.place(path, key=error.at_key)
                message = f"{path_text(error.path)}: {error.message}"
                problem = Problem(message, place, error.hint, path, at_key=error.at_key)
                if problem not in self.reported:
                    self.reported.add(problem)
                    yield problem

    def origin(
        self,
        name: str,
        path: Path,
        stated: Mapping[str, object],
        origins: Mapping[str, Path],
        fixtures: Mapping[str, Mapping[str, object]],
    ) -> tuple[Document, Path]:
        """Return where a value of an input is written: in the suite, or among its fixtures."""
        for part, origin in reversed(list(origins.items())):  # the last one that sets a part wins
            steps = parse_path(part)
            if len(steps) > 1 and path[: len(steps)] == steps:
                return self.suite, (*origin, *path[len(steps) :])
        value = stated.get(name)
        if isinstance(value, str) and value in fixtures.get(name, {}):
            own = self.suite.value.get("fixtures", {}).get(name, {})
            document = self.suite if value in own or self.shared is None else self.shared
            return document, ("fixtures", name, value, *path[1:])
        return self.suite, (*origins[name], *path[1:])
