"""Two documents have the same name and version.

Which of them decides would depend on the order of folders. A policy in your own folder may override a shipped
one: your folders take precedence, and that is not reported.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E109", "duplicate-document", "error")
