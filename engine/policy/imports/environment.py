"""The environment of a CEL policy: variables with types become inputs, functions must be offered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.base.errors import Problem
from engine.base.records import record
from engine.cel import ENTRY_POINTS
from engine.cel.celtypes import Type, TypeSyntaxError, parse_type
from engine.cel.declarations import find_function
from engine.documents.composed import Node
from engine.policy.imports.reader import Reader

_KNOWN = ("name", "description", "container", "extensions", "stdlib", "variables", "functions")
_TYPES = {
    "google.protobuf.Timestamp": "timestamp",
    "google.protobuf.Duration": "duration",
    "any": "dyn",
    "google.protobuf.Any": "dyn",
    "google.protobuf.Value": "dyn",
    "google.protobuf.ListValue": "list(dyn)",
    "google.protobuf.Struct": "map(string, dyn)",
    "google.protobuf.BoolValue": "wrapper(bool)",
    "google.protobuf.BytesValue": "wrapper(bytes)",
    "google.protobuf.DoubleValue": "wrapper(double)",
    "google.protobuf.FloatValue": "wrapper(double)",
    "google.protobuf.Int32Value": "wrapper(int)",
    "google.protobuf.Int64Value": "wrapper(int)",
    "google.protobuf.StringValue": "wrapper(string)",
    "google.protobuf.UInt32Value": "wrapper(uint)",
    "google.protobuf.UInt64Value": "wrapper(uint)",
}
_BARE = {"list": "list(dyn)", "map": "map(dyn, dyn)"}


@record
class Variable:
    """A variable of the environment; its name may hold dots."""

    name: str
    type: str
    node: Node
    description: str = ""


class EnvironmentReader(Reader):
    """Reads an environment."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: dict[str, Variable] = {}

    def read(self, root: Node) -> None:
        """Read the whole environment. Extensions and macros that it lists are always offered."""
        if not self.mapping(root, "environment", _KNOWN):
            return
        for node in self.named(root, "variables"):
            self.variable(node)
        for node in self.named(root, "functions"):
            self.function(node)

    def named(self, root: Node, key: str) -> Iterator[Node]:
        """Yield the entries of a list that have a name."""
        for node in self.listed(root, key):
            if isinstance(node.value, dict) and "name" in node and isinstance(node["name"].value, str):
                yield node
            else:
                self.fail(node, f"{key}: expected a mapping with a name")

    def variable(self, node: Node) -> None:
        name: str = node["name"].value
        type_ = self.type(node.get("type") or node)
        if name in self.variables:
            self.fail(node["name"], f"variable '{name}' is declared twice")
        elif type_ is not None:
            description = self.text(node["description"], "description") if "description" in node else ""
            self.variables[name] = Variable(name, type_, node["name"], description)

    def type(self, node: Node) -> str | None:
        """Return a type as CEL writes it; None, and a problem noted, if there is none."""
        named = node.get("type_name") if isinstance(node.value, dict) else None
        if named is None or not isinstance(named.value, str):
            self.fail(named or node, "no type_name")
            return None
        name = named.value
        parameters = [self.type(each) for each in self.listed(node, "params")]
        if None in parameters:
            return None
        text = _TYPES.get(name, name)
        if parameters:
            text += f"({', '.join(map(str, parameters))})"
        text = _BARE.get(text, text)
        try:
            parse_type(text)
        except TypeSyntaxError:
            hint = "protobuf messages and enums cannot be imported: declare a type, as docs/types.md says"
            self.fail(named, f"type '{name}' cannot be imported", hint if "." in name else None)
            return None
        return text

    def function(self, node: Node) -> None:
        """Report a function that is not offered, or not with the types that the environment declares."""
        name: str = node["name"].value
        for overload in self.listed(node, "overloads"):
            if not self.mapping(overload, "overload"):
                continue
            target = overload.get("target")
            arguments = [*([target] if target is not None else []), *self.listed(overload, "args")]
            types = [self.type(each) for each in arguments]
            result = self.type(overload["return"]) if "return" in overload else "dyn"
            if None in types or result is None:
                continue
            signature = f"{name}({', '.join(map(str, types[target is not None :]))}) -> {result}"
            if target is not None:
                signature = f"{types[0]}.{signature}"
            if not _is_offered(name, [parse_type(str(each)) for each in types], target is not None):
                hint = f"install a package that defines it by an entry point of the group {ENTRY_POINTS}"
                self.fail(node["name"], f"function '{signature}' is not offered", hint)


def _is_offered(name: str, types: list[Type], member: bool) -> bool:
    function = find_function(name)
    return function is not None and any(
        overload.member is member and list(overload.parameters) == types for overload in function.overloads
    )


def inputs_of(
    variables: Mapping[str, Variable], left_out: frozenset[str]
) -> tuple[list[dict[str, object]], dict[str, object], list[Problem]]:
    """Return inputs, the types of those whose variables have dots in their names, and problems.

    Args:
        variables: the environment's variables.
        left_out: those that a test does not give, which are optional.
    """
    problems: list[Problem] = []
    inputs: list[dict[str, object]] = []
    types: dict[str, object] = {}
    roots: dict[str, list[Variable]] = {}
    for variable in variables.values():
        roots.setdefault(variable.name.partition(".")[0], []).append(variable)
    for root, members in roots.items():
        whole = [each for each in members if each.name == root]
        if whole and len(members) > 1:
            field = next(each for each in members if each is not whole[0])
            message = f"variable '{field.name}' is a field of '{root}', which is a variable itself"
            problems.append(field.node.problem(message, "declare one of them"))
        made: dict[str, object] = {
            "name": root,
            "type": whole[0].type if whole else _record(members, root, types, left_out),
        }
        if whole and whole[0].description:
            made["description"] = whole[0].description
        if root in left_out:
            made["optional"] = True
        inputs.append(made)
    return inputs, types, problems


def _record(members: list[Variable], prefix: str, types: dict[str, object], left_out: frozenset[str]) -> str:
    """Add the type of a record whose fields are variables; return its name."""
    name = "".join(part[:1].upper() + part[1:] for part in prefix.replace(".", "_").split("_"))
    fields: dict[str, object] = {}
    types[name] = {"fields": fields}
    inner: dict[str, list[Variable]] = {}
    for variable in members:
        field, dot, _ = variable.name[len(prefix) + 1 :].partition(".")
        if dot:
            inner.setdefault(field, []).append(variable)
            continue
        fields[field] = (
            {"type": variable.type, "optional": True} if variable.name in left_out else variable.type
        )
    for field, nested in inner.items():
        fields[field] = _record(nested, f"{prefix}.{field}", types, left_out)
    return name
