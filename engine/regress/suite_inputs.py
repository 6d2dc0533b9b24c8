"""Inputs of a suite's cases, held against the types that the policy declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from engine.base.errors import Path, Problem, near, path_text
from engine.cel import celtypes as t
from engine.cel.coercion import CoercionError, coerce
from engine.decide.policy import Policy
from engine.documents import Document
from engine.regress.paths import parse_path


def _is_plain(type_name: str) -> bool:
    """Return True for a type that is made of CEL's own types alone."""
    words = set(re.findall(r"\w+", type_name))
    return words <= {*(each.name for each in t.PRIMITIVES.values()), "list", "map"}


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
        self.names = {
            *policy.image.get("values", ()),
            *(name for name, declared in policy.compiled.inputs.items() if _is_plain(declared.type_name)),
        }
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
        for name in inputs:
            if name not in self.names or inputs[name] is None or self.is_of_misnamed(inputs[name], fixtures):
                continue
            declared = self.policy.compiled.inputs[name]
            try:
                coerce(inputs[name], declared.type, self.policy.compiled.objects, (name,))
            except CoercionError as error:
                document, path = self.origin(name, error.path, stated, origins, fixtures)
                place = document.place(path, key=error.at_key)
                message, hint = error.message, error.hint
                if len(error.path) == 1 and isinstance(inputs[name], str) and fixtures.get(name):
                    message = re.sub(r"^expected ", "expected a fixture or ", message)
                    hint = near(str(inputs[name]), fixtures[name]) or hint
                message = f"{path_text(error.path)}: {message}"
                problem = Problem(message, place, hint, path, at_key=error.at_key)
                if problem not in self.reported:
                    self.reported.add(problem)
                    yield problem

    def is_of_misnamed(self, value: object, fixtures: Mapping[str, Mapping[str, object]]) -> bool:
        """Return True for a fixture of an input that does not exist, which is reported by itself."""
        unknown = (listed for name, listed in fixtures.items() if name not in self.policy.compiled.inputs)
        return isinstance(value, str) and any(value in listed for listed in unknown)

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
