"""A suite is not named `NAME_test.yaml`.

`engine test` and pytest run the files of that name in a folder. A suite under another name, such as
`rate_tests.yaml`, is run only where it is named as an argument, so its tests may never run.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("W209", "suite-name", "warning")
