"""What is at a position: the path of a value or key, and in an expression the node of its syntax tree."""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import Path
from engine.base.records import record, replace
from engine.cel import CelCheckError, Checked, explore, parse_checked
from engine.cel import syntax as ast
from engine.cel.celtypes import DYN, Type
from engine.documents import Document, Piece
from engine.lsp.symbols import Symbol, Symbols
from engine.lsp.texts import Stretch, offset_at
from engine.lsp.workspace import Workspace
from engine.policy.sites import Site


@record(eq=False)
class Spot:
    """A position in a document: the innermost value or key there."""

    document: Document
    offset: int
    path: Path
    at_key: bool


def spot_at(document: Document, offset: int) -> Spot:
    """Return what is at an offset of a document."""
    positions = document.positions
    for path, span in positions.keys.items():
        if span.start <= offset <= span.end:
            return Spot(document, offset, path, True)
    best: Path = ()
    for path, span in positions.values.items():
        if span.start <= offset <= span.end and len(path) > len(best):
            best = path
    return Spot(document, offset, best, False)


@record(eq=False)
class Placed:
    """An expression as it is written in a scalar; of a table, one of the cells that it is put together of."""

    site: Site
    piece: Piece | None = None

    def offset(self, document: Document, path: Path, position: int) -> int:
        """Return the offset in the expression of a position in the scalar's file."""
        inner = document.offset_in_scalar(path, position)
        return inner if self.piece is None else self.piece.start + inner - self.piece.offset

    def stretch(self, start: int, end: int) -> Stretch:
        """Return where characters of the expression are written."""
        return written(self.site, start, end)


def written(site: Site, start: int, end: int) -> Stretch:
    """Return where characters of an expression are written."""
    first = site.document.place_in_scalar(site.path, start)
    document = _file(site, first.file)
    at = document.offset_of(first)
    last = document.offset_of(site.document.place_in_scalar(site.path, max(start, end - 1)))
    return Stretch(document, at, max(last + 1, at) if end > start else at)


def _file(site: Site, name: str) -> Document:
    pieces = site.document.pieces.get(site.path, ())
    for document in (*site.document.sources, *(piece.document for piece in pieces)):
        if document.name == name:
            return document
    return site.document.origin(site.path)[0]


class Index:
    """The expressions of a policy by the scalars that they are written in."""

    def __init__(self, sites: tuple[Site, ...]) -> None:
        self._placed: dict[tuple[str, Path], Placed] = {}
        for site in sites:
            for document, path, piece in _scalars(site):
                self._placed.setdefault((document.name, path), Placed(site, piece))

    def at(self, spot: Spot) -> Placed | None:
        """Return the expression at a position."""
        return None if spot.at_key else self._placed.get((spot.document.name, spot.path))

    def find(self, file: str, path: Path) -> Placed | None:
        """Return the expression in a scalar of a file."""
        return self._placed.get((file, path))

    def nearest(self, file: str, path: Path) -> Placed | None:
        """Return an expression of a file that shares most of a path."""
        best, shared = None, -1
        for (name, other), placed in self._placed.items():
            common = _common(other, path) if name == file else -1
            if common > shared:
                best, shared = placed, common
        return best


def _common(path: Path, other: Path) -> int:
    count = 0
    for step, with_step in zip(path, other, strict=False):
        if step != with_step:
            break
        count += 1
    return count


def _scalars(site: Site) -> Iterator[tuple[Document, Path, Piece | None]]:
    pieces = site.document.pieces.get(site.path)
    if pieces:
        for piece in pieces:
            yield piece.document, piece.path, piece
        return
    document, path = site.document.origin(site.path)
    if document is site.document or document.at(path) == site.document.at(site.path):
        yield document, path, None


def is_written(site: Site) -> bool:
    """Return True for an expression that is in a file, False for one that is generated."""
    return any(True for _ in _scalars(site))


def explored(site: Site, text: str | None = None) -> Checked | None:
    """Return an expression with the types of its nodes, also of a faulty one; None if it is not CEL."""
    text = site.text if text is None else text
    try:
        return explore(text, parse_checked(text), site.environment)
    except CelCheckError:
        return None


def name_of(node: ast.Node) -> str:
    """Return the name that a node has in the text at its position; empty for other nodes."""
    if isinstance(node, ast.Identifier):
        return node.name.lstrip(".")
    if isinstance(node, ast.Select):
        return node.field
    if isinstance(node, ast.Call):
        return node.function
    if isinstance(node, ast.Comprehension):
        return node.macro
    return ""


def node_at(checked: Checked, offset: int) -> ast.Node | None:
    """Return the node whose name, or whose text if it is a literal, is at an offset."""
    found = None
    for node in checked.root.walk():
        if isinstance(node, ast.Literal):
            if node.start <= offset <= node.end:
                found = found or node
            continue
        name = name_of(node)
        start = node.position
        if isinstance(node, ast.Identifier) and node.name.startswith("."):
            start += 1
        if name and start <= offset <= start + len(name) and checked.text.startswith(name, start):
            return node
    return found


@record(eq=False)
class Found:
    """What is at a position of a file.

    Attributes:
        spot: the value or key.
        symbols: resolves names; None if the file's unit has never been readable.
        symbol: what the name there means, if it is one.
        stretch: where the name is written.
        node_type: of an expression without a name, its type.
    """

    spot: Spot
    symbols: Symbols | None
    symbol: Symbol | None = None
    stretch: Stretch | None = None
    node_type: Type | None = None


def find(workspace: Workspace, path: str, line: int, character: int) -> Found | None:
    """Return what is at a position; None for a file that has never been readable."""
    document = workspace.last_document(path)
    if document is None:
        return None
    if workspace.document(path) is not document:
        line = workspace.last_line(path, line)
    spot = spot_at(document, offset_at(document, line, character))
    seen = workspace.good(path)
    if seen is None:
        return Found(spot, None)
    symbols = Symbols(seen)
    placed = Index(seen.sites).at(spot)
    if placed is None or not isinstance(document.at(spot.path), str):
        symbol = symbols.of_path(document, spot.path, at_key=spot.at_key)
        if symbol is not None and symbol.type is None:
            symbol = replace(symbol, type=_type_of(symbol, seen.sites))
        return Found(spot, symbols, symbol, _stretch(spot))
    # The expression may have been changed since the unit could be read as a whole.
    checked = explored(placed.site, document.at(spot.path) if placed.piece is None else None)
    offset = placed.offset(document, spot.path, spot.offset)
    node = None if checked is None else node_at(checked, offset)
    if checked is None or node is None:
        return Found(spot, symbols)
    name = name_of(node)
    start, end = (node.position, node.position + len(name)) if name else (node.start, node.end)
    symbol = symbols.of_node(placed.site, checked, node)
    stretch = placed.stretch(start, end) if placed.piece is not None else _part(spot, start, end)
    return Found(spot, symbols, symbol, stretch, checked.types.get(node))


def _part(spot: Spot, start: int, end: int) -> Stretch:
    """Return some characters of the scalar at a position."""
    document = spot.document
    first, last = (
        document.offset_of(document.place_in_scalar(spot.path, each)) for each in (start, max(start, end - 1))
    )
    return Stretch(document, first, last + 1)


def _type_of(symbol: Symbol, sites: tuple[Site, ...]) -> Type | None:
    """Return the type of a declared name, as expressions of its document see it."""
    prefix = {"variable": "variables.", "constant": "constants."}.get(symbol.category, "")
    origin = symbol.origin
    for site in sites:
        if origin is not None and any(each.name == origin[0].name for each in site.document.sources):
            found = site.environment.variables.get(f"{prefix}{symbol.name}")
            if found is not None and found != DYN:
                return found
    return None


def _stretch(spot: Spot) -> Stretch | None:
    positions = spot.document.positions
    span = (positions.keys if spot.at_key else positions.values).get(spot.path)
    return None if span is None else Stretch(spot.document, span.start, span.end)
