"""Two documents have one name and version.

Which of them decides would depend on the order of folders. A shipped policy may be hidden by one of your
own folder: that is what folders in front of the shipped ones are for, and is no fault.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E109", "duplicate-document", "error")
