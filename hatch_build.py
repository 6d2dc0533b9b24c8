"""Puts the shipped policies into the wheel as programs too, compiled for the Python that builds it.

Another Python takes no notice of them, and compiles a policy when it first needs it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProgramsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles each shipped policy into a folder that the wheel includes."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling ahead of a build."""
        if self.target_name != "wheel" or version == "editable":
            return
        self.folder = tempfile.TemporaryDirectory()
        sys.path.insert(0, self.root)
        try:
            _write_programs(Path(self.folder.name))
        finally:
            sys.path.remove(self.root)
        build_data["force_include"][self.folder.name] = "engine/_data/programs"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called behind it."""
        if hasattr(self, "folder"):
            self.folder.cleanup()


def _write_programs(folder: Path) -> None:
    from engine.catalogs.store import Snapshot, Source
    from engine.fastpath import artifact_cache as cache
    from engine.fastpath.artifact import image
    from engine.plan import signatures
    from engine.policy.compiler import compile_policy

    store = Snapshot()
    for entry in store.entries("policy"):
        source = Source(entry.path, entry, store)
        packed = cache.pack(image(compile_policy(source.read(), store, signatures())), source, store)
        if packed is not None:
            name = cache.shipped_name(source.content())
            (folder / name).write_bytes(packed)
