"""A file cannot be read, or is neither YAML nor JSON.

No other check looks at such a file. YAML that parsers read differently is rejected too: duplicate keys, and
numbers such as `010`, which is 8 to some and 10 to others.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E001", "unreadable", "error")
