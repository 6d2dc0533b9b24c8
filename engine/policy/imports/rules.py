"""The policy file of a CEL policy: rules, and Kubernetes' admission policies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from engine.documents.composed import Node
from engine.policy.imports.reader import Reader
from engine.policy.tables import Text

_QUALIFIED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_POLICY = ("name", "description", "display_name", "imports", "rule", "kind", "metadata", "spec")
_RULE = ("id", "description", "variables", "match", "aggregate")
_MATCH = ("id", "description", "condition", "output", "explanation", "rule")
_VARIABLE = ("name", "expression", "description")
_SPEC = ("variables", "validations", "failurePolicy", "matchConstraints")
_VALIDATION = ("expression", "message", "messageExpression", "reason")
_LEFT_OUT = ("metadata", "spec.failurePolicy", "spec.matchConstraints")
ADMISSION = "ValidatingAdmissionPolicy"


class RuleReader(Reader):
    """Reads the rule of a policy file."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def policy(self, root: Node) -> Node | None:
        """Return the rule of a policy."""
        if not self.mapping(root, "policy", _POLICY):
            return None
        for entry in self.listed(root, "imports"):
            self.imported(entry)
        kind = root.get("kind")
        if kind is not None and kind.value == ADMISSION and "spec" in root:
            return self.admission(root)
        if kind is not None:
            self.fail(kind, f"kind: expected {ADMISSION} or none, found '{kind.value}'")
        if "rule" not in root:
            self.fail(root, "the policy has no rule")
            return None
        return self.rule(root["rule"])

    def imported(self, entry: Node) -> None:
        """Report an import: it names a message or an enum, or nothing that could be one."""
        named = entry.get("name") if isinstance(entry.value, dict) else None
        name = "" if named is None else str(named.value).strip()
        if not _QUALIFIED.match(name):
            message = f"invalid qualified name: {name}, wanted name of the form 'qualified.name'"
            self.fail(named or entry, message)
        elif "." in name:
            hint = "declare a type with these fields: docs/types.md"
            self.fail(named or entry, f"{name}: protobuf messages and enums cannot be imported", hint)

    # --- rules ----------------------------------------------------------------------------------------------

    def rule(self, node: Node) -> Node:
        fields: dict[str, Node] = {}
        if not self.mapping(node, "rule", _RULE):
            return node
        for key in ("id", "description"):
            if key in node:
                fields[key] = node[key]
        variables = [made for each in self.listed(node, "variables") if (made := self.variable(each))]
        if variables:
            fields["variables"] = Node(variables, node.document, node["variables"].path)
        for key in ("match", "aggregate"):
            if key in node:
                matches = [made for each in self.listed(node, key) if (made := self.match(each))]
                fields[key] = Node(matches, node.document, node[key].path)
        if not {"match", "aggregate"} & fields.keys():
            self.fail(node, "rule: expected match or aggregate")
        return Node(fields, node.document, node.path)

    def variable(self, node: Node) -> Node | None:
        if not self.mapping(node, "variable", _VARIABLE):
            return None
        for key in ("name", "expression"):
            if key not in node:
                self.fail(node, f"variable: no '{key}'")
                return None
        fields = {key: each for key, each in node.items() if key in ("name", "description")}
        return Node({**fields, "expression": self.expression(node["expression"])}, node.document, node.path)

    def match(self, node: Node) -> Node | None:
        if not self.mapping(node, "match", _MATCH):
            return None
        fields: dict[str, Node] = {}
        for key, each in node.items():
            if key in ("condition", "output", "explanation"):
                fields[key] = self.expression(each)
            elif key == "rule":
                fields[key] = self.rule(each)
            elif key in ("id", "description"):
                fields[key] = each
        # As in CEL's format, `true` is no condition: what a nested rule leaves goes on to the next match.
        if "condition" in fields and fields["condition"].value.strip() == "true":
            del fields["condition"]
        return Node(fields, node.document, node.path)

    # --- Kubernetes -----------------------------------------------------------------------------------------

    def admission(self, root: Node) -> Node:
        """Return the rule of an admission policy: the message of the first validation that fails."""
        spec = root["spec"]
        if not self.mapping(spec, "spec", _SPEC):
            return spec
        for path in _LEFT_OUT:
            if path.rpartition(".")[2] in (spec if "." in path else root):
                self.notes.append(f"{path} is left out: it says which requests are validated, or by whom")
        variables = [made for each in self.listed(spec, "variables") if (made := self.variable(each))]
        matches = list(self.validations(spec))
        if not matches:
            self.fail(spec, "spec: no validations")
        fields = {"match": Node(matches, spec.document, spec.path)}
        if variables:
            fields = {"variables": Node(variables, spec.document, spec["variables"].path), **fields}
        return Node(fields, spec.document, spec.path)

    def validations(self, spec: Node) -> Iterator[Node]:
        for each in self.listed(spec, "validations"):
            if not self.mapping(each, "validation", _VALIDATION):
                continue
            if "expression" not in each:
                self.fail(each, "validation: no 'expression'")
                continue
            if "reason" in each:
                self.notes.append("spec.validations.reason is left out")
            tested = self.expression(each["expression"])
            condition = Text()
            condition.add("!(", tested)
            condition.add(tested.value, tested)
            condition.add(")", tested)
            if "messageExpression" in each:
                output = self.expression(each["messageExpression"])
            else:
                text = each["message"].value if "message" in each else f"failed: {tested.value.strip()}"
                output = each.derived(json.dumps(str(text)))
            yield each.derived({"condition": condition.node(tested), "output": output})
