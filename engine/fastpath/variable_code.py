"""Expressions and variables of a policy as Python: each computed where it is first needed, and once.

A variable of candidates belongs to a level (see engine.fastpath.levels): what candidates of one level and key
share is an object, whose attributes are the variables of that level.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from engine.cel import syntax as ast
from engine.cel.runtimes.codegen import Emitter, Writer, assign, constant, name
from engine.cel.runtimes.compiled import function_definition
from engine.cel.runtimes.identifiers import (
    CANDIDATE,
    CATALOG,
    COMPUTE,
    CONSTANT,
    INPUT,
    SEARCH,
    TEMPORARY,
    UNSET,
    identifier,
)
from engine.cel.values import to_json
from engine.fastpath.levels import CANDIDATE as EACH_CANDIDATE
from engine.fastpath.levels import GROUP, LEVELS, PIPELINE, TENSOR, Levels
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledVariable, Expression

_SHORT = 40
"""Nodes of syntax: what is shorter may be written out more than once."""
_LOOKS = 100_000
"""Variables that are looked at for whether they may fail; of further ones it is taken that they may."""


def constant_name(constant: str) -> str:
    """What a constant that can be changed is called in the function."""
    return identifier(CONSTANT, constant)


class Variable:
    """A variable of one rule, and the scope that its expression is read in."""

    def __init__(self, compiled: CompiledVariable, python_name: str) -> None:
        self.compiled = compiled
        self.name = python_name
        self.scope: Scope | None = None
        self.level = EACH_CANDIDATE
        """See engine.fastpath.levels; of a variable of candidates."""

    def __hash__(self) -> int:
        return hash(self.compiled.expression)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Variable) and self.compiled is other.compiled


class Store:
    """What holds variables: those that are UNSET at first, and the functions that compute some of them."""

    def __init__(self) -> None:
        self.unset: dict[str, None] = {}
        self.functions: dict[str, py.stmt] = {}

    def begin(self, writer: Writer) -> list[py.stmt]:
        """Return the statements that the function begins with."""
        if not self.unset:
            return [*self.functions.values()]
        writer.symbols[UNSET] = ("unset",)
        targets: list[py.expr] = [py.Name(each, py.Store()) for each in self.unset]
        return [py.Assign(targets, name(UNSET)), *self.functions.values()]


class Scope:
    """The variables that can be read in a rule, those of the rules around it behind its own.

    In one that is `weighing`, `candidate` means the one that is weighed, and no input.
    """

    def __init__(
        self, variables: dict[str, Variable], outer: Scope | None, *, weighing: bool = False
    ) -> None:
        self.variables = variables
        self.outer = outer
        self.weighing = weighing

    def find(self, variable_name: str) -> Variable:
        if variable_name in self.variables:
            return self.variables[variable_name]
        assert self.outer is not None, variable_name
        return self.outer.find(variable_name)

    def without(self, variable_name: str) -> Scope:
        """What a variable that shadows itself reads."""
        others = {n: v for n, v in self.variables.items() if n != variable_name}
        return Scope(others, self.outer, weighing=self.weighing)


class VariableWriter:
    """What is written of a policy by now, and what writes expressions and the variables that they read."""

    def __init__(self, policy: CompiledPolicy, apart: set[Variable], open_constants: frozenset[str]) -> None:
        self.policy = policy
        self.apart = apart
        self.open_constants = open_constants
        self.writer = Writer()
        self.inputs = {each: self.writer.fresh(INPUT, each) for each in policy.inputs}
        # Variables of the rule that a candidate's functions stand in, computed ahead of these.
        self.outside: set[str] = set()
        self.matches: list[CompiledMatch] = []
        self.written: set[Variable] = set()
        # Variables that some path has computed already, and those that must be UNSET at the beginning.
        self.maybe: set[str] = set()
        self.local = Store()
        # Where variables are kept that candidates share, by level; and whether this is a search that shares.
        self.stores: dict[int, Store] = {}
        self.sharing = False
        # The levels that the function being written is given, and variables that it computes in place.
        self.given = 0
        self.inline: frozenset[Variable] = frozenset()
        self.levels: Levels | None = None
        # The level of the function being written, and nodes that candidates of a level before it share.
        self.level = EACH_CANDIDATE
        self.shared_nodes: dict[ast.Node, str] = {}
        self.names: dict[Variable, str] = {}
        self.errors: dict[Variable, str] = {}
        self.failing: dict[Variable, bool] = {}
        self.looks = _LOOKS
        # What is known of variables while one question is answered: it depends on what is computed by then.
        self.asked: dict[Variable, bool] = {}

    # --- expressions ---

    def expression(self, expression: Expression, scope: Scope) -> py.expr:
        return self.emitter(expression, scope).expression()

    def mapping(self, expressions: Mapping[str, Expression], scope: Scope) -> py.expr:
        keys: list[py.expr | None] = [constant(each) for each in expressions]
        return py.Dict(keys, [self.expression(each, scope) for each in expressions.values()])

    def emitter(self, expression: Expression, scope: Scope) -> Emitter:
        def read(global_name: str) -> py.expr:
            return self.read(global_name, scope)

        def fails(global_name: str) -> bool:
            kind, _, each = global_name.partition(".")
            return kind == "variables" and bool(each) and self.fails(scope.find(each))

        if self.levels is not None and scope.weighing:
            return _SharingEmitter(self, expression, scope, read, fails)
        return Emitter(self.writer, expression.checked, read, fails)

    def read(self, global_name: str, scope: Scope) -> py.expr:
        kind, _, each = global_name.partition(".")
        if global_name == "candidate" and scope.weighing:
            return name(CANDIDATE)
        if not each:
            return name(self.inputs[global_name])
        if kind == "variables":
            variable = scope.find(each)
            if self.sharing and not self.known(variable):
                other = self.renamed(variable)
                if other is not None:
                    return other
            self.ensure(variable)
            self.ensure_level(variable.level)
            return self.place(variable)
        if kind == "constants":
            declared = self.policy.constants[each]
            value = declared.value
            if each in self.open_constants:
                made = constant_name(each)
                self.writer.symbols[made] = ("constant", each, value)
                return name(made)
            if type(value) in (bool, int, float, str):
                return constant(value)
            if not declared.is_plain:
                made = constant_name(each)
                self.writer.symbols[made] = ("coerced", str(declared.type), to_json(value))
                return name(made)
            if declared.is_table:
                made = constant_name(each)
                row_type = declared.type.element.name
                self.writer.symbols[made] = ("table", row_type, tuple(tuple(row.values()) for row in value))
                return name(made)
            return py.List([constant(element) for element in value], py.Load())
        made = identifier(CATALOG, each)
        self.writer.symbols[made] = ("catalog", each)
        return name(made)

    def renamed(self, variable: Variable) -> py.expr | None:
        """Return the value of a variable that is only another name, as a library's inputs often are."""
        checked = variable.compiled.expression.checked
        assert variable.scope is not None
        if checked.root in checked.names:
            return self.read(checked.names[checked.root], variable.scope)
        root = checked.root
        if not variable.scope.weighing or not isinstance(root, ast.Select) or root.test:
            return None
        return field(root.field) if checked.names.get(root.operand) == CANDIDATE else None

    # --- variables ---

    def known(self, variable: Variable) -> bool:
        return variable.name in self.outside or any(
            variable.name in block.known for block in self.writer.blocks
        )

    def fails(self, variable: Variable) -> bool:
        """True where computing a variable may end in an error; never once it is computed."""
        if self.known(variable):
            return False
        if self.failing.get(variable) is False:
            return False
        outermost = not self.asked
        if variable not in self.asked:
            self.looks -= 1
            self.asked[variable] = True  # while it is being found out
            if self.looks > 0:
                assert variable.scope is not None
                expression = variable.compiled.expression
                emitter = self.emitter(expression, variable.scope)
                self.asked[variable] = emitter.can_fail(expression.checked.root)
        fails = self.asked[variable]
        if outermost:
            if not any(block.known for block in self.writer.blocks) and not self.outside:
                self.failing |= self.asked
            self.asked = {}
        return fails

    def ensure(self, variable: Variable) -> None:
        """Write what computes a variable, unless it is sure to be computed by now."""
        if self.known(variable):
            return
        within = [position for position, block in enumerate(self.writer.blocks) if block.kind == "body"]
        if within and not self.fails(variable):
            # Computed ahead of the loop, whether or not an element needs it: that can do no harm.
            self.write_at(within[0] - 1, variable)
        elif within == [len(self.writer.blocks) - 1]:
            self.hoist(variable)
        else:
            self.write(variable, in_loop=bool(within))

    def write_at(self, position: int, variable: Variable) -> None:
        inner = self.writer.blocks[position + 1 :]
        del self.writer.blocks[position + 1 :]
        try:
            self.write(variable, in_loop=False)
        finally:
            self.writer.blocks += inner

    def hoist(self, variable: Variable) -> None:
        """Each element needs it first of all: it is computed where there is an element."""
        body = self.writer.blocks.pop()
        try:
            with self.writer.block("branch") as block:
                self.write(variable, in_loop=False)
            body.hoisted += block.statements
            body.known |= block.known
        finally:
            self.writer.blocks.append(body)

    def store(self, variable: Variable) -> Store:
        return self.stores.get(variable.level, self.local)

    def place(self, variable: Variable) -> py.expr:
        """Return the expression that reads a variable from where it is kept."""
        if variable.level not in self.stores:
            return name(variable.name)
        return py.Attribute(name(shared_name(variable.level)), variable.name, py.Load())

    def set(self, variable: Variable, value: py.expr) -> py.stmt:
        """Return the statement that keeps the value of a variable."""
        if variable.level not in self.stores:
            return assign(variable.name, value)
        return set_attribute(shared_name(variable.level), variable.name, value)

    def write(self, variable: Variable, *, in_loop: bool) -> None:
        self.ensure_level(variable.level)
        guarded = in_loop or variable.name in self.maybe or variable.level in self.stores
        known = self.writer.blocks[-1].known
        if not guarded:
            self.compute(variable)
        else:
            self.store(variable).unset[variable.name] = None
            with self.writer.block("branch") as block:
                self.compute(variable)
            test = py.Compare(self.place(variable), [py.Is()], [name(UNSET)])
            self.writer.emit(py.If(test, block.statements, []))
        self.maybe.add(variable.name)
        known.add(variable.name)

    def compute(self, variable: Variable) -> None:
        if variable not in self.apart and variable not in self.inline and self.needs_function(variable):
            self.apart.add(variable)
        if variable in self.apart and variable not in self.inline:
            arguments = level_arguments(variable.level) if variable.level in self.stores else []
            self.writer.emit(py.Expr(py.Call(name(self.function(variable)), arguments, [])))
            return
        self.written.add(variable)
        outer, self.level = self.level, min(self.level, variable.level)
        self.writer.emit(self.set(variable, self.value(variable)))
        self.level = outer

    def needs_function(self, variable: Variable) -> bool:
        """True of what is long and needed again, and of what may fail where another reader follows."""
        if variable in self.written and self.length(variable) > _SHORT:
            return True
        return any(block.absorbs for block in self.writer.blocks) and self.fails(variable)

    def value(self, variable: Variable) -> py.expr:
        assert variable.scope is not None
        return self.expression(variable.compiled.expression, variable.scope)

    def length(self, variable: Variable) -> int:
        """Nodes of a variable's expression, with those of the variables that it would have to compute."""
        total, waiting, seen = 0, [variable], {variable}
        while waiting and total <= _SHORT:
            each = waiting.pop()
            assert each.scope is not None
            checked = each.compiled.expression.checked
            total += sum(1 for _ in checked.root.walk())
            for read in checked.free_names():
                kind, _, read_name = read.partition(".")
                if kind != "variables" or not read_name:
                    continue
                found = each.scope.find(read_name)
                if found not in seen and not self.known(found) and found not in self.apart:
                    seen.add(found)
                    waiting.append(found)
        return total

    def function(self, variable: Variable) -> str:
        """The name of the function that computes a variable."""
        if variable not in self.names:
            self.names[variable] = self.writer.fresh(COMPUTE, variable.compiled.name)
        made = self.names[variable]
        functions = self.store(variable).functions
        if made not in functions:
            functions[made] = py.Pass()  # its place, in front of those that call it
            blocks, self.writer.blocks = self.writer.blocks, self.writer.blocks[:0]
            try:
                self.function_body(variable, made)
            finally:
                self.writer.blocks = blocks
        return made

    def function_body(self, variable: Variable, function: str) -> None:
        maybe, self.maybe = self.maybe, (everything := _Everything())
        store = self.store(variable)
        shared = store is not self.local
        outer, self.level = self.level, variable.level if shared else self.level
        with self.writer.block("function") as block:
            given = variable.level if shared else self.given
            block.known |= {shared_name(each) for each in LEVELS if each <= given}
            fails = self.fails(variable)
            store.unset[variable.name] = None
            self.writer.emit(self.set(variable, self.value(variable)))
        if fails:
            block.statements = self.remembering(variable, block.statements)
        self.maybe, self.level = maybe, outer
        for each in everything.added:
            maybe.add(each)
        # Behind the functions that it calls itself.
        del store.functions[function]
        if shared:
            store.functions[function] = define(function, level_parameters(variable.level), block.statements)
            return
        assigned = sorted(self.local.unset.keys() & set(_assigned(block.statements)))
        store.functions[function] = define(function, [], [py.Nonlocal(assigned), *block.statements])

    def remembering(self, variable: Variable, statements: list[py.stmt]) -> list[py.stmt]:
        """Statements that raise the error in which they ended before, instead of being tried again."""
        if variable not in self.errors:
            self.errors[variable] = self.writer.fresh(TEMPORARY, f"error_of_{variable.name}")
        error = Variable(variable.compiled, self.errors[variable])
        error.level = variable.level
        fault = self.writer.fresh(TEMPORARY, "fault")
        self.store(variable).unset[error.name] = None
        self.writer.symbols[UNSET] = ("unset",)
        known = py.Compare(self.place(error), [py.IsNot()], [name(UNSET)])
        # Each who reads it adds to its traceback, which must not pile up.
        again = py.Call(py.Attribute(self.place(error), "with_traceback", py.Load()), [constant(None)], [])
        handler = py.ExceptHandler(
            self.writer.helper("FAULTS"), fault, [self.set(error, name(fault)), py.Raise()]
        )
        return [py.If(known, [py.Raise(again)], []), py.Try(statements, [handler], [], [])]

    # --- what candidates share ---

    def ensure_level(self, level: int) -> None:
        """Write what finds the object of a level and those before it, unless they are found by now."""
        held = shared_name(level)
        if level not in self.stores or any(held in block.known for block in self.writer.blocks):
            return
        if level <= PIPELINE:  # one look-up finds all three
            level, names = PIPELINE, [shared_name(each) for each in (PIPELINE, TENSOR, GROUP)]
        else:
            self.ensure_level(level - 1)
            names = [held]
        find = py.Call(
            name(level_name("find", level)), level_arguments(level - 1 if level > PIPELINE else 0), []
        )
        finding = [assign(names[0], find)]
        for each, outer in pairwise(names):
            finding.append(assign(outer, py.Attribute(name(each), outer, py.Load())))
        if not self.maybe.isdisjoint(names) or any(block.kind == "body" for block in self.writer.blocks):
            self.local.unset |= dict.fromkeys(names)
            missing = py.Compare(name(names[0]), [py.Is()], [name(UNSET)])
            finding = [py.If(missing, finding, [])]
        for statement in finding:
            self.writer.emit(statement)
        self.maybe.update(names)
        self.writer.blocks[-1].known.update(names)

    def function_of(self, write: Callable[[], None], level: int = 0) -> list[py.stmt]:
        """Return the body of a function of a candidate, which is given what levels up to one keep."""
        blocks, self.writer.blocks = self.writer.blocks, self.writer.blocks[:0]
        maybe, self.maybe = self.maybe, set()
        try:
            with self.writer.block("function") as block:
                block.known |= {shared_name(each) for each in LEVELS if each <= level}
                write()
        finally:
            self.writer.blocks, self.maybe = blocks, maybe
        return block.statements

    def keep(self, level: int, word: str, write: Callable[[], py.expr]) -> py.expr:
        """Write what computes a value that a level's candidates share where it is first needed; return it."""
        kept = self.writer.fresh(TEMPORARY, word)
        self.define_kept(level, kept, write)
        return self.read_kept(level, kept)

    def define_kept(self, level: int, kept: str, write: Callable[[], py.expr]) -> None:
        """Write the function that computes a value that candidates of a level share."""
        store, function = self.stores[level], identifier(COMPUTE, kept)
        store.unset[kept] = None
        outer, self.level = self.level, level
        body = self.function_of(
            lambda: self.writer.emit(set_attribute(shared_name(level), kept, write())), level
        )
        self.level = outer
        store.functions[function] = define(function, level_parameters(level), body)

    def read_kept(self, level: int, kept: str) -> py.expr:
        """Return a value that candidates of a level share, which is computed here unless it is already."""
        self.ensure_level(level)
        call = py.Expr(py.Call(name(identifier(COMPUTE, kept)), level_arguments(level), []))
        value = py.Attribute(name(shared_name(level)), kept, py.Load())
        self.writer.emit(py.If(py.Compare(value, [py.Is()], [name(UNSET)]), [call], []))
        return value

    def shared_node(self, expression: Expression, node: ast.Node, scope: Scope) -> py.expr | None:
        """Return the value of a node that candidates of a level before that of its function share."""
        if self.levels is None or not self.levels.is_worth_keeping(expression, node):
            return None
        level = max(self.levels.of_expression(expression, node), GROUP)
        if level >= self.level or level not in self.stores:
            return None
        if node not in self.shared_nodes:
            kept = self.shared_nodes[node] = self.writer.fresh(TEMPORARY, "part")
            self.define_kept(level, kept, lambda: self.emitter(expression, scope).expression(node, {}))
        return self.read_kept(level, self.shared_nodes[node])


def define(function: str, parameters: list[str], body: list[py.stmt]) -> py.FunctionDef:
    """Return `def function(parameters): body`."""
    definition = function_definition(function, parameters, Writer(), constant(None))
    assert isinstance(definition, py.FunctionDef)
    definition.body = body
    return definition


def level_name(word: str, level: int) -> str:
    return identifier(SEARCH, f"{word}_{level}")


def shared_name(level: int) -> str:
    """Return the name of what candidates of a level share."""
    return identifier(SEARCH, f"shared_{level}")


def level_parameters(level: int) -> list[str]:
    """Return the parameters of a function that reads levels up to this one."""
    return [CANDIDATE, *(shared_name(each) for each in LEVELS if each <= level)]


def level_arguments(level: int) -> list[py.expr]:
    return [name(each) for each in level_parameters(level)]


def set_attribute(holder: str, attribute_name: str, value: py.expr) -> py.stmt:
    return py.Assign([py.Attribute(name(holder), attribute_name, py.Store())], value)


def field(field_name: str) -> py.expr:
    return py.Attribute(name(CANDIDATE), field_name, py.Load())


class _SharingEmitter(Emitter):
    """Compiles an expression that reads a candidate, but for the nodes that candidates share."""

    def __init__(
        self,
        generator: VariableWriter,
        expression: Expression,
        scope: Scope,
        read: Callable[[str], py.expr],
        fails: Callable[[str], bool],
    ) -> None:
        super().__init__(generator.writer, expression.checked, read, fails)
        self.generator = generator
        self.whole = expression
        self.variables = scope

    def visit(self, node: ast.Node, scope: Mapping[str, str]) -> py.expr:
        shared = None if scope else self.generator.shared_node(self.whole, node, self.variables)
        return super().visit(node, scope) if shared is None else shared


class _Everything(set[str]):
    """What may have been computed before a function is called: anything."""

    def __init__(self) -> None:
        super().__init__()
        self.added: set[str] = set()

    def __contains__(self, item: object) -> bool:
        return True

    def add(self, item: str) -> None:
        self.added.add(item)


def _assigned(statements: list[py.stmt]) -> Iterator[str]:
    for statement in statements:
        for node in py.walk(statement):
            if isinstance(node, py.Name) and isinstance(node.ctx, py.Store):
                yield node.id
