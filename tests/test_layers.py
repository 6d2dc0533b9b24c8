"""The rooms under engine/ and the one way in which they may import each other.

Imports inside functions and under TYPE_CHECKING count: what the types of a room need, the room depends on.
"""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import grimp
import pytest

import engine

PACKAGE = Path(engine.__file__).parent

ROOMS = (
    "cli",
    "lsp",
    "testing",
    "bulk",
    "render",
    "regress",
    "decide",
    "fastpath",
    "plan",
    "policy",
    "catalogs",
    "cel",
    "inventory",
    "model",
    "documents",
    "base",
)
"""From the top down: a room imports only from rooms below it."""
FACE = ("engine", "engine._version")
"""The public face, which imports names of any room when they are used, and the version."""
STANDARD = frozenset(__import__("sys").stdlib_module_names)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("engine", exclude_type_checking_imports=False, cache_dir=None)


def room(module: str) -> str:
    return module.split(".")[1]


def modules(graph: grimp.ImportGraph) -> list[str]:
    return sorted(graph.modules - set(FACE))


def test_rooms_are_those_of_the_package(graph: grimp.ImportGraph) -> None:
    assert {room(module) for module in modules(graph)} == set(ROOMS)


def test_rooms_are_at_most_fifteen_folders() -> None:
    folders = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert len(folders) <= 15, sorted(folders)


def test_imports_go_down(graph: grimp.ImportGraph) -> None:
    upward = [
        f"{importer} imports {imported}"
        for importer in modules(graph)
        for imported in sorted(graph.find_modules_directly_imported_by(importer) - set(FACE))
        if ROOMS.index(room(imported)) < ROOMS.index(room(importer))
    ]
    assert upward == []


def test_nothing_imports_the_public_face(graph: grimp.ImportGraph) -> None:
    assert sorted(graph.find_modules_that_directly_import("engine")) == []


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    circles = []
    for module in modules(graph):
        for imported in graph.find_modules_directly_imported_by(module):
            back = graph.find_shortest_chain(imported, module)
            if back is not None:
                circles.append(" → ".join((module, *back)))
    assert circles == []


def test_every_room_describes_itself_in_one_sentence() -> None:
    for init in sorted(PACKAGE.rglob("__init__.py")):
        docstring = ast.get_docstring(ast.parse(init.read_text()))
        assert docstring, init
        assert docstring.partition("\n")[0].endswith((".", ":")), init


def test_no_module_shadows_the_standard_library() -> None:
    shadowing = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.stem in STANDARD]
    assert shadowing == []


def test_the_order_here_is_that_of_the_architecture_page() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    places = [page.index(f"\nengine/{name}") for name in ROOMS]
    assert all(first < second for first, second in pairwise(places))
