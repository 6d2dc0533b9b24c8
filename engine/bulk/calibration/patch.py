"""A calibration as a catalog patch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from engine.bulk.calibration.calibrate import Fit
from engine.bulk.calibration.estimates import CATALOG
from engine.documents import dump

_VERSION = re.compile(r"\d+\.\d+\.\d+")


def patch_text(fits: Sequence[Fit], name: str, version: str, policy: str) -> str:
    """Return the document.

    Args:
        fits: the fits; those that identify nothing are left out.
        name: name of the patch.
        version: version of the patch.
        policy: the policy whose estimates were calibrated.
    """
    rows = sum(fit.rows for fit in fits)
    value = {
        "apiVersion": "engine/v1",
        "kind": "CatalogPatch",
        "name": name,
        "version": version,
        "base": f"{CATALOG}@1",
        "description": f"Written by `engine calibrate` for {policy}, from {rows} measured rows.",
        "entries": {fit.row: fit.cells() for fit in fits},
    }
    return dump(value)


def named_by(path: str) -> tuple[str, str]:
    """Return the name and version that a path implies: those of `patch/NAME/VERSION.yaml`, or of its stem."""
    pure = PurePath(path)
    if _VERSION.fullmatch(pure.stem) and pure.parent.name:
        return pure.parent.name, pure.stem
    stem = re.sub(r"[^a-z0-9_-]+", "-", pure.stem.lower()).strip("-")
    return (stem if re.match("[a-z]", stem) else f"patch-{stem}".strip("-")), "1.0.0"
