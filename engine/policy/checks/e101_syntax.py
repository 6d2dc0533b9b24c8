"""An expression is not valid CEL.

The caret marks where the parser stopped. YAML is parsed first: in an unquoted expression, a colon followed by
a space ends it, `# …` is a comment, and a leading `!x` is a tag.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E101", "syntax", "error")
