"""An oracle for CEL: Google's C++ CEL by way of cel-expr-python, as a runtime.

Object types become protocol buffer messages, built at run time, so that C++ CEL checks and reads the same
fields. It is given every name that an expression reads: a name whose value ended in an error is left out,
which C++ CEL reports, and absorbs, just where the name is read. cel-expr-python returns timestamps and
durations to the microsecond, so an expression that gives one is evaluated as text.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import Message

from engine.base.errors import RuntimeUnavailableError
from engine.cel import celtypes as t
from engine.cel.budget import Budget, steps_allowed
from engine.cel.celtypes import Kind, ObjectType, Type
from engine.cel.checker import TYPE_NAMES, Checked, ResolvedCall
from engine.cel.declarations import Overload, definition, functions
from engine.cel.runtimes.identifiers import EACH, INPUT
from engine.cel.runtimes.protocol import Native, Program, Scope
from engine.cel.times import Duration, Timestamp
from engine.cel.unparse import Names, unparse
from engine.cel.values import CelError, TypeValue, Uint, Value

_PACKAGE = "engine"
_FIELD = descriptor_pb2.FieldDescriptorProto
_WRAPPERS = {
    t.BOOL: "BoolValue",
    t.INT: "Int64Value",
    t.UINT: "UInt64Value",
    t.DOUBLE: "DoubleValue",
    t.STRING: "StringValue",
    t.BYTES: "BytesValue",
}
_SCALARS = {
    t.BOOL: _FIELD.TYPE_BOOL,
    t.INT: _FIELD.TYPE_INT64,
    t.UINT: _FIELD.TYPE_UINT64,
    t.DOUBLE: _FIELD.TYPE_DOUBLE,
    t.STRING: _FIELD.TYPE_STRING,
    t.BYTES: _FIELD.TYPE_BYTES,
}
_CEL_TYPES = {
    t.BOOL: cel.Type.BOOL,
    t.INT: cel.Type.INT,
    t.UINT: cel.Type.UINT,
    t.DOUBLE: cel.Type.DOUBLE,
    t.STRING: cel.Type.STRING,
    t.BYTES: cel.Type.BYTES,
    t.TIMESTAMP: cel.Type.TIMESTAMP,
    t.DURATION: cel.Type.DURATION,
}
_TIMES: dict[Type, Callable[[str], Value]] = {t.TIMESTAMP: Timestamp.parse, t.DURATION: Duration.parse}
_LISTS_OF_OUR_OWN = frozenset(
    {"sum", "min", "max", "isSorted", "sort", "@sortByAssociatedKeys", "slice", "distinct", "flatten"}
    | {"lists.range", "layers.deal"}
)
_SOMETIMES_LISTS = frozenset({"indexOf", "lastIndexOf", "reverse"})
_ANY_MAP = cel.Type.Map(cel.Type.DYN, cel.Type.DYN)
READ_BY_BINDING = frozenset({"DESCRIPTOR", "SerializePartialToString"})
"""What cel-expr-python reads of a message: it would get a field of that name instead."""
_STATUS = re.compile(r"\A(?:[A-Z_]+: )+")
_MISSING_NAME = re.compile(r'No value with name "(?P<name>[^"]+)" found')


class CelCppRuntime:
    """Evaluates with C++ CEL."""

    name = "cel-cpp"

    def __init__(self, objects: Mapping[str, ObjectType]) -> None:
        self.objects = objects
        self.messages = _Messages(objects)
        self.environments: dict[frozenset[tuple[str, Type]], Any] = {}

    def compile(self, checked: Checked) -> Program:
        """A program for a checked expression."""
        text = unparse(checked, _own_name, _NAMES)
        if checked.type in _TIMES:
            text = f"string({text})"
        variables = checked.environment.variables
        names = {name: variables[name] for name in checked.free_names()}
        try:
            expression = self._environment(names).compile(text)
        except RuntimeError as error:
            raise CelError(f"C++ CEL does not compile {text[:200]}: {str(error)[:300]}") from None
        return _CelCppProgram(expression, names, _TIMES.get(checked.type))

    def encode(self, value: Value, type_: Type) -> Native:
        """A plain value as C++ CEL takes it: objects as messages."""
        if value is None:
            return None
        if type_.kind is Kind.WRAPPER:
            return self.encode(value, type_.element)
        if type_.kind is Kind.LIST:
            return [self.encode(element, type_.element) for element in value]
        if type_.kind is Kind.MAP:
            return {key: self.encode(element, type_.value) for key, element in value.items()}
        if type_.kind is Kind.OBJECT:
            return self.messages.encode(value, type_.name)
        return _result(value)

    def decode(self, value: Native, type_: Type) -> Value:
        """C++ CEL's value as plain Python."""
        if isinstance(value, list):
            inner = type_.element if type_.kind is Kind.LIST else t.DYN
            return [self.decode(element, inner) for element in value]
        if isinstance(value, dict):
            inner = type_.value if type_.kind is Kind.MAP else t.DYN
            return {key: self.decode(element, inner) for key, element in value.items()}
        if isinstance(value, wrappers_pb2.UInt64Value):
            return Uint(value.value)
        if isinstance(value, (timestamp_pb2.Timestamp, datetime.datetime)):
            return _argument(value)
        if isinstance(value, (duration_pb2.Duration, datetime.timedelta)):
            return _argument(value)
        if isinstance(value, Message):
            return self.messages.decode(value)
        return Uint(value) if type_ == t.UINT else value

    def _environment(self, names: Mapping[str, Type]) -> Any:
        """An environment with these names: all that an expression reads, since making one takes long."""
        key = frozenset(names.items())
        if key not in self.environments:
            self.environments[key] = cel.NewEnv(
                self.messages.pool,
                variables={_NAMES.known(name): self._type(type_) for name, type_ in names.items()},
                container=_PACKAGE,
                extensions=[
                    ext_math.ExtMath(),
                    ext_bindings.ExtBindings(),
                    ext_strings.ExtStrings(),
                    ext_encoders.ExtEncoders(),
                    ext_optional.ExtOptional(),
                ],
                functions=_own_functions(),
            )
        return self.environments[key]

    def _type(self, type_: Type) -> Any:
        if type_ in _CEL_TYPES:
            return _CEL_TYPES[type_]
        if type_.kind is Kind.LIST:
            return cel.Type.List(self._type(type_.element))
        if type_.kind is Kind.MAP:
            return cel.Type.Map(self._type(type_.key), self._type(type_.value))
        if type_.kind is Kind.OBJECT:
            return cel.Type(f"{_PACKAGE}.{type_.name}")
        return cel.Type.DYN


class _Names(Names):
    """What keeps names apart that the engine's checker tells apart, whatever C++ CEL makes of them.

    What is called like a type, a package or a variable of a macro around it would be that to C++ CEL.
    """

    def known(self, name: str) -> str:
        return name if "." in name else INPUT + name

    def bound(self, name: str) -> str:
        return EACH + name

    def type(self, name: str) -> str:
        return f".{name}" if name in TYPE_NAMES else f".{_PACKAGE}.{name}"


_NAMES = _Names()


class _CelCppProgram:
    def __init__(
        self, expression: Any, names: Mapping[str, Type], parse: Callable[[str], Value] | None
    ) -> None:
        self.expression = expression
        self.names = names
        self.parse = parse

    def evaluate(self, scope: Scope, budget: Budget) -> Native:
        data: dict[str, Native] = {}
        failed: dict[str, CelError] = {}
        for name, type_ in self.names.items():
            try:
                value = scope.resolve(name)
            except CelError as error:
                failed[_NAMES.known(name)] = error
                continue
            # A variable declared as uint takes a plain int; the wrapper is for places without a type.
            data[_NAMES.known(name)] = (
                value.value if type_ == t.UINT and isinstance(value, Message) else value
            )
        try:
            result = self.expression.eval(data=data)
        except RuntimeError as error:
            raise CelError(_STATUS.sub("", str(error))[:300]) from None
        if result.type() == cel.Type.ERROR:
            raise _error(str(result.plain_value()), failed)
        return _native(result) if self.parse is None else _result(self.parse(result.value()))


def _error(message: str, failed: Mapping[str, CelError]) -> CelError:
    missing = _MISSING_NAME.search(message)
    if missing and missing["name"] in failed:
        return failed[missing["name"]]
    return CelError(_STATUS.sub("", message)[:300])


def _native(value: Any) -> Native:
    """A result in a form that can be given in again: plain Python, messages, uints as their wrapper."""
    kind = value.type()
    if kind == cel.Type.ERROR:
        raise CelError(_STATUS.sub("", str(value.plain_value()))[:300])
    if kind == cel.Type.UINT:
        return wrappers_pb2.UInt64Value(value=value.plain_value())
    if kind == cel.Type.TYPE:
        return TypeValue(_type_text(value.plain_value()))
    inner = value.value()
    if isinstance(inner, list):
        return [_native(element) for element in inner]
    if isinstance(inner, dict):
        return {key: _native(element) for key, element in inner.items()}
    return bytes(inner) if isinstance(inner, bytearray) else inner


_TYPE_TEXTS = {
    "NULL": "null_type",
    "TIMESTAMP": "google.protobuf.Timestamp",
    "DURATION": "google.protobuf.Duration",
}


def _type_text(type_: Any) -> str:
    name = str(type_)
    base = name.partition("<")[0]
    return _TYPE_TEXTS.get(base, base.lower() if base.isupper() else name)


def _own_name(call: ResolvedCall) -> str | None:
    """The name of a call that C++ CEL doesn't offer, as registered by _own_functions."""
    overload = call.overloads[0]
    if call.function in _LISTS_OF_OUR_OWN or (
        call.function in _SOMETIMES_LISTS and overload.parameters[0].kind is Kind.LIST
    ):
        return _registered(call.function, overload)
    return None


def _registered(function: str, overload: Overload) -> str:
    return "engine_" + re.sub(r"\W+", "_", f"{function} {overload.signature}").strip("_")


@cache
def _own_functions() -> list[Any]:
    return [
        cel.FunctionDecl(
            _registered(name, overload),
            [
                cel.Overload(
                    f"{_registered(name, overload)}_overload_{number}",
                    _loose(overload.result),
                    parameters,
                    False,
                    impl=_calling(_bounded(name, overload.signature)),
                )
                for number, parameters in enumerate(_typings(overload))
            ],
        )
        for name, overload in _own_overloads()
    ]


def _own_overloads() -> Iterator[tuple[str, Overload]]:
    for name in sorted(_LISTS_OF_OUR_OWN | _SOMETIMES_LISTS):
        for overload in functions()[name].overloads:
            if name in _LISTS_OF_OUR_OWN or overload.parameters[0].kind is Kind.LIST:
                yield name, overload


def _typings(overload: Overload) -> list[list[Any]]:
    """C++ parameters of an overload: what may be anything is spelt out, since a call finds no `dyn`."""
    first, *rest = (_loose(parameter) for parameter in overload.parameters)
    if cel.Type.DYN not in rest:
        return [[first, *rest]]
    anything = [*_CEL_TYPES.values(), cel.Type.NULL, cel.Type.List(cel.Type.DYN), _ANY_MAP]
    return [[first, each] for each in anything]


def _loose(type_: Type) -> Any:
    """The C++ type that takes all that `type_` may be: a list of anything, a scalar, anything."""
    if type_.kind is Kind.LIST:
        return cel.Type.List(cel.Type.DYN)
    return _CEL_TYPES.get(type_, cel.Type.DYN)


def _bounded(name: str, signature: str) -> Callable[..., Value]:
    """The function of the library, each call with a budget of its own: C++ CEL hands none on."""
    defined = definition(name)
    function = defined.linked(signature)
    if not defined.takes_spend:
        return function
    return lambda *arguments: function(Budget(steps_allowed()).spend, *arguments)


def _calling(function: Callable[..., Value]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return _result(function(*(_argument(argument) for argument in arguments)))

    return call


def _result(value: Value) -> Any:
    """What C++ CEL takes from a function: where a value's type would be lost, its message."""
    if isinstance(value, list):
        return [_result(element) for element in value]
    if isinstance(value, Uint):
        return wrappers_pb2.UInt64Value(value=value)
    if isinstance(value, Timestamp):
        moment = timestamp_pb2.Timestamp()
        moment.FromNanoseconds(value.nanoseconds)
        return moment
    if isinstance(value, Duration):
        length = duration_pb2.Duration()
        length.FromNanoseconds(value.nanoseconds)
        return length
    return value


def _argument(value: Any) -> Value:
    if isinstance(value, cel.Value):
        return _argument(Uint(value.plain_value()) if value.type() == cel.Type.UINT else value.value())
    if isinstance(value, timestamp_pb2.Timestamp):
        return Timestamp(value.ToNanoseconds())
    if isinstance(value, duration_pb2.Duration):
        return Duration(value.ToNanoseconds())
    if isinstance(value, datetime.datetime):
        return Timestamp.of(value)
    if isinstance(value, datetime.timedelta):
        return Duration.of(value)
    if isinstance(value, list):
        return [_argument(element) for element in value]
    if isinstance(value, dict):
        return {key: _argument(element) for key, element in value.items()}
    return value


class _Messages:
    """Object types as protocol buffer messages of a pool of their own."""

    def __init__(self, objects: Mapping[str, ObjectType]) -> None:
        self.objects = objects
        self.pool = descriptor_pool.DescriptorPool()
        for module in (wrappers_pb2, timestamp_pb2, duration_pb2):
            known = descriptor_pb2.FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(known)
            self.pool.Add(known)
        self.pool.Add(self._file())
        self.classes: dict[str, Any] = {
            name: message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
            for name in objects
        }

    def _file(self) -> descriptor_pb2.FileDescriptorProto:
        file = descriptor_pb2.FileDescriptorProto(
            name="engine_types.proto", package=_PACKAGE, syntax="proto3"
        )
        file.dependency.extend(
            f"google/protobuf/{name}.proto" for name in ("wrappers", "timestamp", "duration")
        )
        for object_type in self.objects.values():
            message = file.message_type.add(name=object_type.name)
            # Names that differ by underscores alone have one name in JSON, which nothing here reads.
            message.options.deprecated_legacy_json_field_conflicts = True
            for number, (name, field) in enumerate(object_type.fields.items(), start=1):
                if name in READ_BY_BINDING:
                    raise RuntimeUnavailableError(
                        f"runtime cel-cpp can't read a field called '{name}', as {object_type.name} has",
                        hint="give the field another name, or use another runtime",
                    )
                self._add_field(message, name, number, field.type)
        return file

    def _add_field(self, message: Any, name: str, number: int, type_: Type) -> None:
        repeated = type_.kind is Kind.LIST
        label = _FIELD.LABEL_REPEATED if repeated or type_.kind is Kind.MAP else _FIELD.LABEL_OPTIONAL
        field = message.field.add(name=name, number=number, label=label, json_name=f"f{number}")
        if type_.kind is Kind.MAP:
            entry = message.nested_type.add(name=_entry_name(name))
            entry.options.map_entry = True
            self._add_field(entry, "key", 1, type_.key)
            self._add_field(entry, "value", 2, type_.value)
            field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{message.name}.{entry.name}"
            return
        element = type_.element if repeated else type_
        if element in _SCALARS:
            field.type = _SCALARS[element]
            return
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, self._message_name(element)

    def _message_name(self, type_: Type) -> str:
        if type_.kind is Kind.WRAPPER:
            return f".google.protobuf.{_WRAPPERS[type_.element]}"
        if type_ == t.TIMESTAMP:
            return ".google.protobuf.Timestamp"
        if type_ == t.DURATION:
            return ".google.protobuf.Duration"
        return f".{_PACKAGE}.{type_.name}"

    def encode(self, value: Mapping[str, Value], name: str) -> Message:
        """A plain object as a message."""
        message: Message = self.classes[name]()
        for field_name, field in self.objects[name].fields.items():
            element = value[field_name]
            if element is not None:
                self._set(message, field_name, field.type, element)
        return message

    def _set(self, message: Any, name: str, type_: Type, value: Value) -> None:
        if type_.kind is Kind.LIST:
            inner = type_.element
            getattr(message, name).extend(
                [
                    self.encode(element, inner.name) if inner.kind is Kind.OBJECT else element
                    for element in value
                ]
            )
        elif type_.kind is Kind.MAP:
            for key, element in value.items():
                if type_.value.kind is Kind.OBJECT:
                    getattr(message, name)[key].CopyFrom(self.encode(element, type_.value.name))
                else:
                    getattr(message, name)[key] = element
        elif type_.kind is Kind.OBJECT:
            getattr(message, name).CopyFrom(self.encode(value, type_.name))
        elif type_.kind is Kind.WRAPPER:
            getattr(message, name).value = value
        elif type_ in _TIMES:
            getattr(message, name).FromNanoseconds(value.nanoseconds)
        else:
            setattr(message, name, value)

    def decode(self, message: Message) -> Value:
        """A message as a plain object."""
        object_type = self.objects[type(message).DESCRIPTOR.name]
        return {name: self._get(message, name, field.type) for name, field in object_type.fields.items()}

    def _get(self, message: Any, name: str, type_: Type) -> Value:
        value = getattr(message, name)
        if type_.kind is Kind.LIST:
            return [self.decode(element) if isinstance(element, Message) else element for element in value]
        if type_.kind is Kind.MAP:
            return {
                key: self.decode(element) if isinstance(element, Message) else element
                for key, element in value.items()
            }
        if type_.kind is Kind.WRAPPER:
            return value.value if type(message).HasField(message, name) else None
        if type_.kind is Kind.OBJECT:
            return self.decode(value) if type(message).HasField(message, name) else None
        if type_ == t.TIMESTAMP:
            return Timestamp(value.ToNanoseconds()) if type(message).HasField(message, name) else None
        if type_ == t.DURATION:
            return Duration(value.ToNanoseconds()) if type(message).HasField(message, name) else None
        return Uint(value) if type_ == t.UINT else value


def _entry_name(field: str) -> str:
    """The name that protocol buffers give the entries of a map field: `a_b` → `ABEntry`."""
    return "".join(part.capitalize() for part in field.split("_")) + "Entry"
