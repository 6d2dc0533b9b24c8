"""Where policies and catalogs are found, and the tables of facts that policies read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.catalogs.catalog import (
        Catalog,
        CatalogEntry,
        Cell,
        Computed,
        catalog_environment,
        compile_catalog,
    )
    from engine.catalogs.hardware import load_hardware
    from engine.catalogs.patches import apply_patches
    from engine.catalogs.resolved import Catalogs
    from engine.catalogs.servers import command_row, find_kv_type, find_server, server_names, server_row
    from engine.catalogs.store import (
        HEADS,
        KIND_FOLDERS,
        LONGEST_FILE,
        RESERVED_NAMES,
        Entry,
        Kind,
        PolicyStore,
        Snapshot,
        Source,
        digest,
        holds_policies,
        is_library_reference,
        part_files,
        read_parts,
    )

__all__ = [
    "HEADS",
    "KIND_FOLDERS",
    "LONGEST_FILE",
    "RESERVED_NAMES",
    "Catalog",
    "CatalogEntry",
    "Catalogs",
    "Cell",
    "Computed",
    "Entry",
    "Kind",
    "PolicyStore",
    "Snapshot",
    "Source",
    "apply_patches",
    "catalog_environment",
    "command_row",
    "compile_catalog",
    "digest",
    "find_kv_type",
    "find_server",
    "holds_policies",
    "is_library_reference",
    "load_hardware",
    "part_files",
    "read_parts",
    "server_names",
    "server_row",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "catalog": "Catalog CatalogEntry Cell Computed catalog_environment compile_catalog",
            "hardware": "load_hardware",
            "patches": "apply_patches",
            "resolved": "Catalogs",
            "servers": "command_row find_kv_type find_server server_names server_row",
            "store": (
                "Entry HEADS KIND_FOLDERS Kind LONGEST_FILE PolicyStore RESERVED_NAMES Snapshot "
                "Source digest holds_policies is_library_reference part_files read_parts"
            ),
        },
        "lock schema_types table_files",
    )
