"""The default runtime: each expression compiled to a Python function over plain values."""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Mapping
from types import CodeType, TracebackType

from engine.cel import celtypes as t
from engine.cel.budget import Budget, BudgetError
from engine.cel.celtypes import Kind, ObjectType, Type
from engine.cel.checker import Checked
from engine.cel.runtimes.codegen import Emitter, Read, Writer, name
from engine.cel.runtimes.identifiers import EVALUATE, RESOLVE, SPEND
from engine.cel.runtimes.link import FAULTS, link
from engine.cel.runtimes.protocol import Native, Program, Scope
from engine.cel.values import CelError, ObjectValue, Uint, Value, object_class, plain

FILE = "<cel>"
"""The file name of compiled code, whose line numbers are characters of an expression."""


class CompiledRuntime:
    """The default runtime: expressions compiled to Python (`--runtime compiled`)."""

    name = "compiled"

    def __init__(self, objects: Mapping[str, ObjectType]) -> None:
        self.objects = objects
        self._classes: dict[str, type[ObjectValue]] = {}

    def object_class(self, type_name: str) -> type[ObjectValue]:
        """Return the class of an object type's values."""
        if type_name not in self._classes:
            type_ = self.objects[type_name]
            self._classes[type_name] = object_class(type_name, type_.fields, declared=type_.declared)
        return self._classes[type_name]

    def compile(self, checked: Checked) -> Program:
        """Compile a checked expression.

        Raises:
            CelError: it is nested too deeply for Python.
        """
        writer = Writer()

        def read(global_name: str) -> py.expr:
            return py.Call(name(RESOLVE), [py.Constant(global_name)], [])

        emitter = self.emitter(writer, checked, read)
        try:
            value = emitter.expression()
            code = self.function(EVALUATE, [RESOLVE, SPEND], writer, value)
        except (RecursionError, SyntaxError, MemoryError):
            raise CelError("nested too deeply to be compiled") from None
        return _CompiledProgram(code)

    def emitter(self, writer: Writer, checked: Checked, read: Read) -> Emitter:
        """Return the compiler of an expression."""
        return Emitter(writer, checked, read, lambda each: each.startswith("variables."))

    def further_names(self) -> Mapping[str, object]:
        """Return names that compiled functions may read besides the writer's."""
        return {}

    def function(
        self, identifier: str, parameters: list[str], writer: Writer, value: py.expr
    ) -> Callable[..., Value]:
        """Return the function of a writer, which returns `value`."""
        code = compile_module([function_definition(identifier, parameters, writer, value)])
        named = (symbol[1] for symbol in writer.symbols.values() if symbol[0] == "class")
        namespace = link(writer.symbols, {each: self.object_class(each) for each in named}, {})
        namespace.update(self.further_names())
        exec(code, namespace)
        made: Callable[..., Value] = namespace[identifier]
        return made

    def encode(self, value: Value, type_: Type) -> Native:
        """Convert a plain value: objects become instances of their types' classes."""
        if value is None:
            return None
        if type_.kind is Kind.WRAPPER:
            return self.encode(value, type_.element)
        if type_.kind is Kind.LIST:
            return [self.encode(element, type_.element) for element in value]
        if type_.kind is Kind.MAP:
            return {key: self.encode(element, type_.value) for key, element in value.items()}
        if type_.kind is Kind.OBJECT and not isinstance(value, ObjectValue):
            fields = self.objects[type_.name].fields
            made: Callable[..., ObjectValue] = self.object_class(type_.name)
            return made(*(self.encode(value[field], fields[field].type) for field in fields))
        return Uint(value) if type_ == t.UINT else value

    def decode(self, value: Native, type_: Type) -> Value:
        """Convert a value to plain Python: objects become mappings."""
        return plain(value)


def compile_module(functions: list[py.stmt]) -> CodeType:
    """Compile functions to a module's code."""
    return compile(py.fix_missing_locations(py.Module(functions, [])), FILE, "exec")


def function_definition(function: str, parameters: list[str], writer: Writer, value: py.expr) -> py.stmt:
    """Return `def function(parameters): …; return value`."""
    empty = py.parse(f"def {function}({', '.join(parameters)}): pass").body[0]
    assert isinstance(empty, py.FunctionDef)
    empty.body = [*writer.blocks[0].statements, py.Return(value)]
    return empty


RUNTIME = CompiledRuntime


class _CompiledProgram:
    def __init__(self, function: Callable[..., Value]) -> None:
        self.function = function

    def evaluate(self, scope: Scope, budget: Budget) -> Native:
        try:
            return self.function(scope.resolve, budget.spend)
        except CelError as error:
            if error.offset is None:
                error.offset = _offset(error.__traceback__)
            raise
        except BudgetError as error:
            if error.expression is None and error.offset is None:
                error.offset = _offset(error.__traceback__)
            raise
        except RecursionError:
            raise CelError("nested too deeply to evaluate") from None
        except FAULTS as error:
            raise CelError(_message(error), _offset(error.__traceback__)) from None


def _offset(traceback: TracebackType | None) -> int | None:
    """Return the character of the expression at which the innermost frame of compiled code was."""
    offset = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILE:
            offset = traceback.tb_lineno - 1
        traceback = traceback.tb_next
    return offset


def _message(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no such key: {error.args[0]!r}"
    if isinstance(error, (TypeError, AttributeError)):
        return "no such overload"
    return f"range error: {error}" if isinstance(error, ArithmeticError) else str(error)
