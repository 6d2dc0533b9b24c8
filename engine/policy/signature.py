"""What builders take: the contract between policies, which are checked against it, and builders."""

from __future__ import annotations

from collections.abc import Mapping

from engine.base.records import field, record


@record
class Parameter:
    """An argument that a builder takes; `type` is a CEL type in text."""

    type: str
    description: str
    required: bool = True
    unit: str = ""


@record
class BuilderSignature:
    """What a builder takes."""

    name: str
    description: str
    parameters: Mapping[str, Parameter]
    results: Mapping[str, Parameter] = field(default_factory=dict)
    """Of a builder that searches: what the policy says of the candidate that is chosen."""
