"""An expression is not CEL.

The caret is where the parser could not go on. Mind that YAML has a say first: a colon and a blank inside of
an unquoted expression end it, `# …` is a comment, and `!x` unquoted is a tag.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E101", "syntax", "error")
