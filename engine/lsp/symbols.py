"""Names and what they mean: where each is declared, and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

from engine.base.errors import EngineError, Path
from engine.base.records import field, record
from engine.catalogs import Kind
from engine.cel import Checked
from engine.cel import syntax as ast
from engine.cel.celtypes import Kind as TypeKind
from engine.cel.celtypes import Type
from engine.cel.declarations import find_function
from engine.documents import Document, Origin
from engine.policy.compiled import rules
from engine.policy.sites import Site
from engine.regress.lint import Seen

Category = Literal[
    "variable",
    "constant",
    "input",
    "library",
    "catalog",
    "column",
    "field",
    "function",
    "macro",
    "name",
    "entry",
    "match",
    "policy",
]


@record(eq=False)
class Symbol:
    """A name in an expression or document.

    Attributes:
        category: what it is.
        name: as it is written.
        type: its type, if it has one.
        document: the document that declares it.
        path: where that declares it.
        facts: what the declaration says, and more that is known.
    """

    category: Category
    name: str
    type: Type | None = None
    document: Document | None = field(default=None, repr=False)
    path: Path = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def declared(self) -> dict[str, Any]:
        """The fields of its declaration."""
        value = None if self.document is None else self.document.at(self.path)
        return value if isinstance(value, dict) else {}

    @property
    def origin(self) -> Origin | None:
        """The file and path of its declaration: the same for all of its uses."""
        return None if self.document is None else self.document.origin(self.path)

    @property
    def key(self) -> tuple[str, Path] | None:
        """The file's name and the path: equal for uses of one name."""
        return None if self.document is None else key_of(self.document, self.path)


def key_of(document: Document, path: Path) -> tuple[str, Path]:
    """Return the real path of the file that declares a value, and where: equal for all that refer to it."""
    source, inner = document.origin(path)
    return os.path.realpath(source.name), inner


class Symbols:
    """Resolves the names of one policy or library."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    # --- of expressions -----------------------------------------------------------------------------------

    def of_node(self, site: Site, checked: Checked, node: ast.Node) -> Symbol | None:
        """Return what a node of an expression names."""
        if isinstance(node, ast.Call):
            return _function(checked, node)
        if isinstance(node, ast.Comprehension):
            return Symbol("macro", node.macro)
        if isinstance(node, ast.Identifier):
            return self.of_identifier(site, checked, node)
        if isinstance(node, ast.Select):
            if node in checked.names:
                return self.of_name(site, ast.dotted_name(node) or "", checked.types.get(node))
            return self.of_field(site, checked, node)
        if isinstance(node, ast.Literal) and isinstance(node.value, str):
            return self.of_key(site, checked, node)
        return None

    def of_identifier(self, site: Site, checked: Checked, node: ast.Identifier) -> Symbol | None:
        name = node.name.lstrip(".")
        if node in checked.names:
            return self.of_name(site, name, checked.types.get(node))
        if node in checked.types and node not in checked.type_names:
            return Symbol("name", name, checked.types[node])
        for document, path, reference in self.libraries(site.document, site.path):
            if _alias(document.at(path)) == name:
                return self.library(reference, name, document, path)
        return None

    def of_name(self, site: Site, name: str, type_: Type | None) -> Symbol | None:
        """Return what a global name means: `variables.x`, `constants.y`, `speed.z`, `model`."""
        name = name.lstrip(".")
        first, _, rest = name.partition(".")
        if first == "variables":
            return self.variable(site, rest, type_)
        if first == "constants":
            path: Path = ("constants", rest)
            found = site.document if site.document.at(path) is not None else None
            return Symbol("constant", rest, type_, found, path)
        if first == "catalogs":
            document = self.catalog(rest)
            return Symbol("catalog", rest, type_, document, ("name",))
        if rest:
            for document, path, reference in self.libraries(site.document, site.path):
                if _alias(document.at(path)) == first:
                    library = self.read("library", reference)
                    return None if library is None else _variable(library, ("variables",), rest, type_)
            return None
        for position, declared in enumerate(site.document.value.get("inputs", ())):
            if declared.get("name") == name:
                return Symbol("input", name, type_, site.document, ("inputs", position))
        return Symbol("name", name, type_)

    def variable(self, site: Site, name: str, type_: Type | None) -> Symbol | None:
        """Return a variable, or a column of a variable, as an expression sees it."""
        for scope in _scopes(site.document, site.path):
            found = _variable(site.document, (*scope, "variables"), name, type_)
            # A variable that reads its own name means the one outside.
            if found is not None and site.path[: len(found.path)] != found.path:
                return found
        return None

    def of_field(self, site: Site, checked: Checked, node: ast.Select) -> Symbol | None:
        operand = checked.types.get(node.operand)
        return None if operand is None else self.field(site, operand, node.field, checked.types.get(node))

    def field(self, site: Site, operand: Type, name: str, type_: Type | None) -> Symbol | None:
        """Return a field of a type: of a catalog's column, where that declares it."""
        if operand.kind is not TypeKind.OBJECT or operand.name not in site.environment.objects:
            return Symbol("field", name, type_)
        declared = site.environment.objects[operand.name].fields.get(name)
        facts = {"of": operand.name, "description": "" if declared is None else declared.description}
        symbol_type = type_ if declared is None else declared.type
        for catalog in self.catalogs():
            value = catalog.value
            describes = value.get("describes", {}).get("type")
            entry = (
                "".join(part.capitalize() for part in value["name"].replace("-", "_").split("_")) + "Entry"
            )
            sections = ("columns", "fields") if describes == operand.name else ("columns",)
            for section in sections if operand.name in (describes, entry) else ():
                if name in value.get(section, {}):
                    facts["catalog"] = f"{value['name']}@{value['version']}"
                    return Symbol("column", name, symbol_type, catalog, (section, name), facts)
        if declared is None:
            return None
        facts["unit"] = declared.unit
        for document in (site.document, self.seen.document):
            for type_name, form in (document.value.get("types") or {}).items():
                path = _declared(form, ("types", type_name), type_name, operand.name, name)
                if path is not None:
                    return Symbol("field", name, symbol_type, document, path, facts)
        return Symbol("field", name, symbol_type, facts=facts)

    def of_key(self, site: Site, checked: Checked, node: ast.Literal) -> Symbol | None:
        """Return the entry of a catalog that a text names: `catalogs.links["NVLink"]`."""
        for parent in checked.root.walk():
            if isinstance(parent, ast.Call) and parent.function == "_[_]" and parent.arguments[1] is node:
                name = ast.dotted_name(parent.arguments[0]) or ""
                document = self.catalog(name.partition("catalogs.")[2])
                if document is not None and node.value in document.value["entries"]:
                    return Symbol("entry", str(node.value), None, document, ("entries", str(node.value)))
        return None

    # --- of documents -------------------------------------------------------------------------------------

    def of_path(self, document: Document, path: Path, *, at_key: bool) -> Symbol | None:
        """Return what a key or value of a document declares or refers to, if it is no expression."""
        if len(path) == 2 and path[0] == "constants" and at_key:
            owner = self.whole() if document.value.get("kind") == "Overlay" else document
            return Symbol("constant", str(path[1]), None, owner, path)
        if at_key and path[-2:-1] in (("inputs",), ("defaults",)) and document.value.get("kind") == "Suite":
            for position, declared in enumerate(self.seen.document.value.get("inputs", ())):
                if declared.get("name") == path[-1]:
                    return Symbol("input", str(path[-1]), None, self.seen.document, ("inputs", position))
        if not at_key and path[-1:] == ("name",):
            parent = path[:-1]
            declared = document.at(parent)
            if path[-3:-2] == ("inputs",):
                return Symbol("input", declared["name"], None, document, parent)
            if path[-3:-2] == ("variables",):
                return Symbol("variable", declared["name"], None, document, parent)
            if path[-5:-4] == ("variables",) and path[-3:-2] == ("columns",):
                owner = document.at(path[:-3])["name"]
                return Symbol("variable", f"{owner}.{declared['name']}", None, document, parent)
            if path[-3:-2] == ("libraries",):
                return self.library(str(document.at(path)), _alias(declared), document, parent)
        if not at_key and len(path) >= 2 and path[-2] == "libraries" and isinstance(document.at(path), str):
            return self.library(document.at(path), _alias(document.at(path)), document, path)
        if not at_key and len(path) == 2 and path[0] == "catalogs":
            reference = str(document.at(path))
            found = self.read("catalog", reference)
            return Symbol("catalog", reference, None, found, ("name",))
        if (not at_key and path in (("policy",), ("base",))) or path[-1:] == ("auto",):
            found = self.policy(document, path)
            name = str(document.at(path))
            return None if found is None else Symbol("policy", name, None, found, ("name",))
        if not at_key and path[-1:] == ("match",) and self.seen.policy is not None:
            return self.match(str(document.at(path)))
        return None

    def whole(self) -> Document:
        """Return the policy that an overlay makes of its base; a policy itself."""
        sites = (site.document for site in self.seen.sites if site.document.value.get("kind") != "Library")
        return next(sites, self.seen.document)

    def match(self, name: str) -> Symbol | None:
        """Return a match of the policy by its id."""
        policy = self.seen.policy
        for rule in () if policy is None else rules(policy.rule):
            for match in rule.matches:
                if match.id == name:
                    return Symbol("match", name, None, self.seen.document, match.path)
        return None

    def policy(self, document: Document, path: Path) -> Document | None:
        """Return the policy that a document refers to."""
        reference = str(document.at(path))
        if path == ("policy",):
            return self.seen.document
        return self.read("catalog" if document.value.get("kind") == "CatalogPatch" else "policy", reference)

    def library(self, reference: str, alias: str, owner: Document, path: Path) -> Symbol | None:
        document = self.read("library", reference)
        if document is None:
            return None
        return Symbol("library", alias, None, document, ("name",))

    def libraries(self, document: Document, path: Path) -> Iterator[tuple[Document, Path, str]]:
        """Yield the libraries that an expression may read: who lists them, where, and the reference."""
        for scope in _scopes(document, path):
            listed = document.at((*scope, "libraries")) or ()
            for position, entry in enumerate(listed):
                reference = entry if isinstance(entry, str) else str(entry.get("name"))
                yield document, (*scope, "libraries", position), reference

    def catalog(self, name: str) -> Document | None:
        """Return the document of a catalog that the policy, or a library of it, lists."""
        return next((each for each in self.catalogs() if each.value["name"] == name), None)

    def catalogs(self) -> Iterator[Document]:
        """Yield the documents of the catalogs that the policy and its libraries read."""
        if self.seen.policy is not None:
            yield from (catalog.document for catalog in self.seen.policy.catalogs.values())
            return
        if self.seen.document.value.get("kind") == "Catalog":
            yield self.seen.document
        for reference in self.seen.document.value.get("catalogs", ()):
            document = self.read("catalog", reference)
            if document is not None:
                yield document

    def read(self, kind: Kind, reference: str) -> Document | None:
        """Return the document that a reference means; None if there is none that can be read."""
        store = self.seen.store
        try:
            return store.read(store.find(kind, reference))
        except EngineError:
            return None


def _scopes(document: Document, path: Path) -> Iterator[Path]:
    """Yield the paths of what an expression is in, from the inside out."""
    if path[-1:] == ("explanation",) and document.at((*path[:-1], "plan", "candidate")) is not None:
        yield (*path[:-1], "plan", "candidate")
    for length in range(len(path) - 1, -1, -1):
        if isinstance(document.at(path[:length]), dict):
            yield path[:length]
    if document.value.get("kind") == "Policy" and path[:1] != ("rule",):
        yield ("rule",)


def _variable(document: Document, path: Path, name: str, type_: Type | None) -> Symbol | None:
    listed = document.at(path)
    owner, _, column = name.partition(".")
    for position, declared in enumerate(listed if isinstance(listed, list) else ()):
        if declared.get("name") not in (name, owner):
            continue
        own: Path = (*path, position)
        if declared["name"] == name:
            return Symbol("variable", name, type_, document, own)
        for number, each in enumerate(declared.get("columns", ())):
            if each.get("name") == column:
                return Symbol("variable", name, type_, document, (*own, "columns", number))
    return None


def _declared(form: object, path: Path, record_name: str, wanted: str, field_name: str) -> Path | None:
    """Return where a declared type, or one that is nested in it, declares a field."""
    if not isinstance(form, dict):
        return None
    fields = form.get("fields")
    for name, inner in fields.items() if isinstance(fields, dict) else ():
        own: Path = (*path, "fields", name)
        if record_name == wanted and name == field_name:
            return own
        camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        found = _declared(inner, own, record_name + camel, wanted, field_name)
        if found is not None:
            return found
    for part in ("items", "values"):
        found = _declared(form.get(part), (*path, part), record_name, wanted, field_name)
        if found is not None:
            return found
    return None


def _alias(entry: object) -> str:
    if isinstance(entry, dict):
        return str(entry.get("as") or str(entry.get("name")).partition("@")[0].replace("-", "_"))
    return str(entry).partition("@")[0].replace("-", "_")


def _function(checked: Checked, node: ast.Call) -> Symbol | None:
    call = checked.calls.get(node)
    name = call.function if call is not None else node.function
    function = find_function(name)
    if function is None and node.target is not None:
        function = find_function(f"{ast.dotted_name(node.target)}.{node.function}")
    if function is None:
        return None
    return Symbol("function", function.name, checked.types.get(node))
