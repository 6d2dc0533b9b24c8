"""Rows of a decision table overlap.

With `hit: unique`, the default, no request may hold two rows; with `hit: any`, rows that hold together have
equal results. Otherwise the order of the rows would decide without saying so. The hint has a request that
both rows hold for. Rows with tests against something that is no value, such as `< variables.limit`, are
refused as well, because nothing shows that they exclude each other.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E131", "overlapping-rows", "error")
