"""Where a policy has expressions, and what each may read: for editors."""

from __future__ import annotations

from engine.base.errors import Path
from engine.base.records import field, record
from engine.cel.checker import Environment
from engine.documents import Document


@record(eq=False)
class Site:
    """The place of an expression, faulty ones included, and the environment that it is checked in."""

    document: Document = field(repr=False)
    path: Path
    environment: Environment = field(repr=False)

    @property
    def text(self) -> str:
        """The expression."""
        return str(self.document.at(self.path))
