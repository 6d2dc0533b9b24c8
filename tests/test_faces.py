"""The faces of rooms: what each `engine/ROOM/__init__.py` exports, and that other rooms use nothing else."""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import engine

PACKAGE = Path(engine.__file__).parent
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@dataclass(frozen=True)
class Face:
    """What a room exports.

    Attributes:
        listed: its `__all__`.
        lazy: names by the module that has them, as `face(…)` imports them.
        modules: modules and folders that are exported as a whole.
        imported: names by module, of all imports in the face, those for type checkers included.
    """

    listed: list[str]
    lazy: dict[str, str]
    modules: list[str]
    imported: dict[str, str]


@cache
def face_of(package: str) -> Face:
    """The face of a package: `engine`, `engine.cel` …"""
    tree = ast.parse((PACKAGE.parent / package.replace(".", "/") / "__init__.py").read_text())
    lazy: dict[str, str] = {}
    modules: list[str] = []
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "face":
            names, whole = [*map(ast.literal_eval, node.args[1:]), ""][:2]
            lazy = {name: module for module, group in names.items() for name in group.split()}
            modules = whole.split()
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            module = (node.module or "").removeprefix(f"{package}.")
            imported |= {alias.name: module for alias in node.names}
    listed = list(getattr(importlib.import_module(package), "__all__", ()))
    return Face(listed, lazy, modules, imported)


@pytest.mark.parametrize("room", ROOMS)
def test_every_export_of_a_room_exists(room: str) -> None:
    package = importlib.import_module(f"engine.{room}")
    face = face_of(f"engine.{room}")
    assert [name for name in face.listed if not hasattr(package, name)] == []
    assert [name for name in face.listed if name not in dir(package)] == []
    for module in face.modules:
        importlib.import_module(f"engine.{room}.{module}")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_which_name_it_does_not_export(room: str) -> None:
    package = importlib.import_module(f"engine.{room}")
    with pytest.raises(AttributeError, match=rf"module 'engine\.{room}' has no attribute 'nothing_like_it'"):
        package.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("package", ["engine", *(f"engine.{room}" for room in ROOMS)])
def test_type_checkers_see_of_a_face_what_runs(package: str) -> None:
    face = face_of(package)
    assert {name: face.imported.get(name) for name in face.lazy} == face.lazy
    assert face.lazy.keys() <= set(face.listed)


@pytest.mark.parametrize("room", ROOMS)
def test_no_export_of_a_room_is_hidden_by_one_of_its_modules(room: str) -> None:
    modules = {path.stem for path in (PACKAGE / room).iterdir()}
    assert modules.isdisjoint(face_of(f"engine.{room}").listed)


@pytest.mark.parametrize("room", [*ROOMS, "testing"])
def test_a_room_imports_of_others_what_they_export(room: str) -> None:
    """Names come from a face, from the module that the face has them of, or from an exported module."""
    hidden = []
    files = (PACKAGE / room).rglob("*.py") if room in ROOMS else [PACKAGE / f"{room}.py"]
    for path in sorted(files):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("engine."):
                continue
            _, other, *below = (node.module or "").split(".")
            if other == room or other not in ROOMS:
                continue
            face, module = face_of(f"engine.{other}"), ".".join(below)
            for name in (alias.name for alias in node.names):
                full = f"{module}.{name}".lstrip(".")
                is_whole = any(f"{full}.".startswith(f"{export}.") for export in face.modules)
                is_listed = name in face.listed and module in ("", face.imported.get(name))
                if not (is_whole or is_listed):
                    hidden.append(f"{path.relative_to(PACKAGE)}: engine/{other}/__init__.py has no {full}")
    assert hidden == []
