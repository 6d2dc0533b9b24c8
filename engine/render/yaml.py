"""For programs and people: the decision as YAML (schemas/decision.schema.json)."""

from __future__ import annotations

import yaml

from engine.decision import Decision
from engine.render import Screen


class _Dumper(yaml.SafeDumper):
    """Writes each value in full, without YAML's anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def render(decision: Decision, screen: Screen) -> str:
    """The decision as one YAML document."""
    return yaml.dump(decision.to_dict(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
