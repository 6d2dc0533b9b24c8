"""Apply an overlay to its base: a policy with other constants, inputs' defaults, matches and scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.base.errors import PolicyError, Problem, near
from engine.cel.coercion import CoercionError
from engine.cel.limits import MOST_FAULTS
from engine.documents import Document
from engine.documents.composed import Node, close_document, open_document
from engine.policy.constants import fit_constant, plain_constant, written

if TYPE_CHECKING:
    from engine.documents import Origin

CODE = "E121"
SETTINGS = "--set"
"""The name of the document of constants that are set for one run; it has no lines to point at."""
_CHANGES = ("disable", "replace", "before", "after")
_OUTCOMES = ("plan", "output", "rule")

Section = tuple[Node, str, str]
"""A list that entries are in, the key that names them, and the id of the match that the list belongs to."""


def apply_overlay(overlay: Document, base: Document) -> Document:
    """Return the policy that an overlay makes of its base.

    Args:
        overlay: a document that matches the schema `overlay`.
        base: a policy's document, composed or not.

    Raises:
        PolicyError: every change of something that is not there, or that does not fit; with its place.
    """
    applied = _Overlay(
        open_document(overlay), open_document(base), f"{base.value['name']}@{base.value['version']}"
    )
    applied.apply()
    if applied.problems:
        raise PolicyError(applied.problems)
    return close_document(applied.root, overlay.name, (overlay, base))


def settings_document(constants: Mapping[str, object]) -> Document:
    """Return values of constants, for one run, as a document: what `apply_constants` takes."""
    plain = {name: plain_constant(value) for name, value in constants.items()}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return Document(SETTINGS, f"constants: {text}\n", {"constants": plain})


def apply_constants(base: Document, settings: Document) -> Document:
    """Return a policy with other constants, for one run: its version says so.

    Args:
        base: a policy's document.
        settings: values by name under `constants`; they have no place in a file.

    Raises:
        PolicyError: a constant does not exist, or is of another type.
    """
    applied = _Overlay(
        open_document(settings), open_document(base), f"{base.value['name']}@{base.value['version']}"
    )
    applied.constants()
    if applied.problems:
        raise PolicyError([Problem(each.message, hint=each.hint, code=CODE) for each in applied.problems])
    version = applied.root["version"]
    applied.root.value["version"] = version.derived(f"{version.value}+set")
    return close_document(applied.root, base.name, (base, settings))


class _Overlay:
    """Edits the nodes of a base."""

    def __init__(self, overlay: Node, root: Node, base: str) -> None:
        self.overlay = overlay
        self.root = root
        self.base = base
        self.problems: list[Problem] = []
        self.index: dict[str, list[tuple[Node, Node, str]]] = {}
        """Of the section that is changed, by id: the list of an entry, the entry, and the search's match."""
        self.owners: dict[int, str] = {}
        """The match of the search that has a list, by the list's identity."""

    def fail(self, node: Node, message: str, hint: str | None = None, *, key: bool = False) -> None:
        if len(self.problems) < MOST_FAULTS:
            self.problems.append(node.problem(message, hint, code=CODE, key=key))

    def apply(self) -> None:
        for key in ("name", "version", "description"):
            if key in self.overlay:
                self.root.value[key] = self.overlay[key]
        self.constants()
        self.added_constants()
        self.inputs()
        self.catalogs()
        self.libraries()
        self.variables()
        self.changes("matches", "match", self.matches())
        self.changed_tables()
        self.changes("requirements", "requirement", self.searches("require"))
        self.changes("scores", "score", self.searches("prefer"))
        self.objectives()

    # --- constants, inputs, catalogs ----------------------------------------------------------------------

    def constants(self) -> None:
        known = self.root.get("constants")
        for name, node in self.overlay.value.get("constants", Node({}, *_of(self.overlay))).items():
            if name.startswith("constants.") and known is not None and name.partition(".")[2] in known:
                message = f"{self.base} has no constant '{name}'"
                self.fail(node, message, f"write {name.partition('.')[2]}", key=True)
                continue
            if "." in name:  # of a library: checked when it is linked
                self.root.section("library_constants", dict).value[name] = node
                continue
            constant = None if known is None else known.get(name)
            if constant is None:
                names = [] if known is None else list(known)
                self.fail(node, f"{self.base} has no constant '{name}'", near(name, names), key=True)
                continue
            if "table" in constant:
                self.table(name, constant["table"], node)
                continue
            if "value" not in constant:  # which is reported when the policy is compiled
                continue
            try:
                fitted = fit_constant(name, constant.plain(), node.plain())
            except CoercionError as error:
                hint = error.hint
                if isinstance(node.value, dict) and "value" in node.value:
                    hint = f"write the value alone: {name}: {written(node['value'].plain())}"
                self.fail(node.inner(error.path), error.message, hint, key=error.at_key)
                continue
            constant.value["value"] = node if "type" in constant else node.derived(fitted)

    def table(self, name: str, table: Node, node: Node) -> None:
        """Replace the rows of a table."""
        if not isinstance(node.value, list) or not all(isinstance(row.value, list) for row in node):
            self.fail(
                node, f"constant '{name}' is a table, found {written(node.plain())}", "give a list of rows"
            )
            return
        table.value["rows"] = node

    def added_constants(self) -> None:
        for name, node in self.overlay.value.get("add_constants", Node({}, *_of(self.overlay))).items():
            constants = self.root.section("constants", dict)
            if name in constants:
                self.fail(node, f"{self.base} has a constant '{name}'", "change it under constants", key=True)
                continue
            constants.value[name] = node

    def inputs(self) -> None:
        declared = {
            node["name"].value: node for node in self.root.value.get("inputs", Node([], *_of(self.root)))
        }
        for name, node in self.overlay.value.get("inputs", Node({}, *_of(self.overlay))).items():
            if name not in declared:
                self.fail(node, f"{self.base} has no input '{name}'", near(name, declared), key=True)
                continue
            declared[name].value.update(node.value)

    def catalogs(self) -> None:
        for node in self.overlay.value.get("catalogs", Node([], *_of(self.overlay))):
            name = node.value.partition("@")[0]
            listed = self.root.section("catalogs", list).value
            for position, reference in enumerate(listed):
                if reference.value.partition("@")[0] == name:
                    listed[position] = node
                    break
            else:
                listed.append(node)

    def objectives(self) -> None:
        node = self.overlay.get("objectives")
        if node is None:
            return
        found = [section for section, _, _ in self.searches("objectives")]
        if len(found) != 1:
            self.fail(node, f"{self.base} has {len(found)} searches with objectives, expected one", key=True)
            return
        found[0].value.update(node.value)

    def libraries(self) -> None:
        """Use libraries in another version or with other inputs, or in addition."""
        lists = [owner["libraries"] for owner in (self.root, *self.candidates()) if "libraries" in owner]
        for node in self.overlay.value.get("libraries", Node([], *_of(self.overlay))):
            reference = node if isinstance(node.value, str) else node["name"]
            name = reference.value.partition("@")[0]
            found = False
            for listed in lists:
                for position, entry in enumerate(listed):
                    known = entry if isinstance(entry.value, str) else entry["name"]
                    if known.value.partition("@")[0] != name:
                        continue
                    found = True
                    if isinstance(entry.value, str):
                        listed.value[position] = node
                    else:
                        entry.value.update({"name": reference} if isinstance(node.value, str) else node.value)
            if not found:
                self.root.section("libraries", list).value.append(node)

    def candidates(self) -> Iterator[Node]:
        for match in self.found_matches():
            search = _candidate(match)
            if search is not None:
                yield search

    # --- variables ----------------------------------------------------------------------------------------

    def variables(self) -> None:
        for node in self.overlay.value.get("variables", Node([], *_of(self.overlay))):
            kinds = [kind for kind in ("replace", "add") if kind in node]
            if len(kinds) != 1:
                self.fail(node, f"a change of a variable has one of replace and add, found {_and(kinds)}")
                continue
            name = node[kinds[0]]
            fields = {key: node[key] for key in ("expression", "description") if key in node}
            scopes = list(self.scopes(node.get("match")))
            held = [
                variable
                for scope in scopes
                for variable in scope.value.get("variables", Node([], *_of(scope)))
                if variable["name"].value == name.value
            ]
            if kinds == ["add"]:
                if held:
                    self.fail(name, f"{self.base} has a variable '{name.value}'", "change it with replace")
                elif not scopes:
                    self.fail(node["match"], f"{self.base} has no search '{node['match'].value}'")
                else:
                    added = Node({"name": name, **fields}, *_of(node))
                    scopes[0].section("variables", list).value.append(added)
            elif len(held) == 1:
                held[0].value.update(fields)
            elif held:
                self.fail(
                    name, f"{len(held)} variables are called '{name.value}'", "name the search with match"
                )
            else:
                names = [
                    variable["name"].value
                    for scope in scopes
                    for variable in scope.value.get("variables", Node([], *_of(scope)))
                ]
                self.fail(name, f"{self.base} has no variable '{name.value}'", near(name.value, names))

    def scopes(self, match: Node | None) -> Iterator[Node]:
        """Yield what variables may be declared in: rules, then candidates; of one search if it is named."""
        if match is None:
            yield from _rules(self.root["rule"])
        for found in self.found_matches():
            search = _candidate(found)
            if search is not None and (match is None or _id(found) == match.value):
                yield search

    # --- matches, requirements, scores --------------------------------------------------------------------

    def found_matches(self) -> Iterator[Node]:
        for rule in _rules(self.root["rule"]):
            yield from rule["match"]

    def matches(self) -> list[Section]:
        """Return the lists of matches that may be changed: of tables, those whose order decides."""
        return [
            (rule["match"], "id", "")
            for rule in _rules(self.root["rule"])
            if "table" not in rule or _hit(rule) == "first"
        ]

    def changed_tables(self) -> None:
        """Forget the rows of tables whose matches may be others now: what they cover is not known."""
        if "matches" in self.overlay:
            for rule in _rules(self.root["rule"]):
                if "table" in rule and _hit(rule) == "first":
                    del rule.value["table"]

    def searches(self, key: str) -> list[Section]:
        found = []
        for match in self.found_matches():
            search = _candidate(match)
            if search is not None and key in search:
                found.append((search[key], "id", _id(match)))
        return found

    def changes(self, section: str, noun: str, lists: list[Section]) -> None:
        """Apply the changes of a section to the lists that its entries may be in."""
        self.index = {}
        self.owners = {id(entries): owner for entries, _, owner in lists}
        for entries, key, owner in lists:
            for entry in entries:
                if key in entry:
                    self.index.setdefault(entry[key].value, []).append((entries, entry, owner))
        for change in self.overlay.value.get(section, Node([], *_of(self.overlay))):
            kinds = [kind for kind in _CHANGES if kind in change]
            if len(kinds) != 1:
                expected = "disable, replace, before and after"
                self.fail(change, f"a change of a {noun} has one of {expected}, found {_and(kinds)}")
                continue
            (kind,) = kinds
            place = self.locate(change, kind, noun, lists)
            if place is not None:
                getattr(self, kind)(change, noun, *place)

    def locate(self, change: Node, kind: str, noun: str, lists: list[Section]) -> tuple[Node, int] | None:
        """Return the list and the position of the entry that a change names."""
        wanted, within = change[kind], change.get("match")
        places = [
            (entries, entry, owner)
            for entries, entry, owner in self.index.get(wanted.value, ())
            if within is None or owner == within.value
        ]
        if len(places) == 1:
            ((entries, entry, _),) = places
            return entries, entries.value.index(entry)
        if places:
            owners = ", ".join(dict.fromkeys(owner for _, _, owner in places))
            self.fail(
                wanted, f"{len(places)} entries are called '{wanted.value}'", f"set match to one of: {owners}"
            )
            return None
        fitting = [entries for entries, _, owner in lists if within is None or owner == within.value]
        names = (
            []
            if len(self.problems) >= MOST_FAULTS
            else [entry["id"].value for entries in fitting for entry in entries if "id" in entry]
        )
        self.fail(wanted, f"{self.base} has no {noun} '{wanted.value}'", near(wanted.value, names))
        return None

    def disable(self, change: Node, noun: str, entries: Node, position: int) -> None:
        extra = [key for key in change if key not in ("disable", "match", "description")]
        if extra:
            self.fail(change[extra[0]], f"a {noun} that is disabled has no {extra[0]}", key=True)
        elif noun == "match" and len(entries.value) == 1:
            self.fail(change["disable"], "a rule needs at least one match", "replace it instead")
        else:
            entry = entries.value.pop(position)
            name = change["disable"].value
            self.index[name] = [each for each in self.index[name] if each[1] is not entry]

    def replace(self, change: Node, noun: str, entries: Node, position: int) -> None:
        entry: Node = entries[position]
        fields = self.fields(change)
        if any(key in fields for key in _OUTCOMES):
            for key in _OUTCOMES:
                entry.value.pop(key, None)
        if "id" in fields:
            name = change["replace"].value
            self.index[name] = [each for each in self.index[name] if each[1] is not entry]
            self.index.setdefault(fields["id"].value, []).append((entries, entry, self.owners[id(entries)]))
        entry.value.update(fields)

    def before(self, change: Node, noun: str, entries: Node, position: int) -> None:
        if "id" not in change:
            self.fail(change, f"a {noun} that is added needs an id")
            return
        if noun == "match" and self.index.get(change["id"].value):
            message = f"{self.base} has a {noun} '{change['id'].value}'"
            self.fail(change["id"], message, "change it with replace, or give another id")
            return
        lacking = {"requirement": "condition", "score": "score"}.get(noun)
        if lacking is not None and lacking not in change:
            self.fail(change, f"a {noun} that is added needs a {lacking}")
            return
        added = Node(self.fields(change), *_of(change))
        entries.value.insert(position, added)
        self.index.setdefault(change["id"].value, []).append((entries, added, self.owners[id(entries)]))

    def after(self, change: Node, noun: str, entries: Node, position: int) -> None:
        self.before(change, noun, entries, position + 1)

    def fields(self, change: Node) -> dict[str, Node]:
        return {key: node for key, node in change.items() if key not in (*_CHANGES, "match")}


def _of(node: Node) -> Origin:
    return node.document, node.path


def _id(match: Node) -> str:
    return str(match["id"].value) if "id" in match else ""


def _and(kinds: list[str]) -> str:
    return " and ".join(kinds) or "none"


def _hit(rule: Node) -> str:
    return str(rule["table"]["hit"].value) if "hit" in rule["table"] else ""


def _rules(rule: Node) -> Iterator[Node]:
    """Yield a rule and all that are nested in it."""
    yield rule
    for match in rule["match"]:
        if "rule" in match:
            yield from _rules(match["rule"])


def _candidate(match: Node) -> Node | None:
    plan = match.get("plan")
    return None if plan is None else plan.get("candidate")
