"""Commented starts for people who write a policy or an overlay."""

from __future__ import annotations

import json
from collections.abc import Iterator

from engine.cel.values import to_json
from engine.policy.compiled import CompiledPolicy, rules

_POLICY = """\
apiVersion: engine/v1
kind: Policy
name: {name}
version: 1.0.0
description: Chooses the queue of a job.

# What requests bring. A type is one of CEL's, or Inventory, Model, Quantization …
inputs:
  - {{name: gpus, type: int, description: GPUs that the job asks for.}}
  - {{name: team, type: string, default: research, description: Team that sent it.}}

# What people tune. The notation of a number sets its type: 8 is an int, 8.0 a double.
constants:
  most_shared: {{value: 8, unit: device, description: Most GPUs of a job in the shared queue.}}
  dedicated_teams: {{value: [training], description: Teams with a queue of their own.}}

rule:
  # Named expressions, evaluated when they are first read, and at most once.
  variables:
    - name: is_dedicated
      expression: team in constants.dedicated_teams
  # The first match whose condition holds decides. A match without a condition always holds.
  match:
    - id: dedicated
      condition: variables.is_dedicated
      output: '"dedicated"'
      explanation: '"team %s has a queue of its own".format([team])'
    - id: shared
      condition: gpus <= constants.most_shared
      output: '"shared"'
      explanation: '"%d GPUs fit the shared queue".format([gpus])'
    - id: large
      output: '"large"'
      explanation: '"more than %d GPUs".format([constants.most_shared])'
"""

_SUITE = """\
apiVersion: engine/v1
kind: Suite
policy: {name}@1
description: What must stay true. `engine test --coverage --mutate` lists what no test reaches.
tests:
  - name: queues
    columns: [name, gpus, team, match, output]
    cases:
      - [few GPUs, 7, research, shared, shared]
      - [as many as are shared, 8, research, shared, shared]
      - [more, 9, research, large, large]
      - [a dedicated team, 9, training, dedicated, dedicated]
"""


def new_policy(name: str) -> dict[str, str]:
    """Return the texts of a policy and its suite, by their paths in a folder of policies."""
    return {
        f"{name}/1.0.0.yaml": _POLICY.format(name=name),
        f"{name}/tests/{name}_test.yaml": _SUITE.format(name=name),
    }


def new_overlay(base: CompiledPolicy, reference: str, name: str) -> dict[str, str]:
    """Return the text of an overlay that changes nothing yet, with all that it can change as comments.

    Args:
        base: the policy.
        reference: how the overlay refers to it.
        name: the overlay's name.
    """
    return {f"{name}/1.0.0.yaml": "\n".join(_overlay(base, reference, name)) + "\n"}


def _overlay(base: CompiledPolicy, reference: str, name: str) -> Iterator[str]:
    yield from (
        "apiVersion: engine/v1",
        "kind: Overlay",
        f"name: {name}",
        "version: 1.0.0",
        f"base: {reference}",
        f"description: {base.name} with the changes of this site.",
        "",
        "# Uncomment what differs from the base, and delete the rest.",
        "",
        "#constants:",
    )
    for constant in base.constants.values():
        if constant.value and constant.is_table:
            columns = ", ".join(constant.value[0])
            yield f"#  {constant.name}: [[…], …]  # rows of {columns}. {constant.description}"
            continue
        unit = f"{constant.unit}. " if constant.unit else ""
        value = json.dumps(to_json(constant.value), ensure_ascii=False)
        yield f"#  {constant.name}: {value}  # {unit}{' '.join(constant.description.split())}".rstrip(" #")
    matches = [match for rule in rules(base.rule) for match in rule.matches]
    yield from _section("matches", [match.id for match in matches], "condition: 'true'")
    searches = [match.search for match in matches if match.search is not None]
    required = [each.id for search in searches for each in search.rule.matches]
    yield from _section("requirements", required, "condition: candidate.devices <= 8")
    scores = [each.id for search in searches for each in search.scores]
    yield from _section("scores", scores, "score: -candidate.devices")


def _section(section: str, ids: list[str], example: str) -> Iterator[str]:
    if not ids:
        return
    yield ""
    yield f"# In order: {', '.join(ids)}."
    yield f"#{section}:"
    yield f"#  - {{disable: {ids[0]}}}"
    yield f"#  - {{replace: {ids[0]}, {example}}}"
    outcome = ", output: '…'" if section == "matches" else ""
    yield f"#  - {{before: {ids[0]}, id: new, {example}{outcome}}}"
