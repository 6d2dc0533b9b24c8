"""A compiled policy as one Python function: what `engine policies show NAME --python` prints.

The function takes the policy's inputs as the compiled runtime keeps them, and `spend`, which counts steps. It
returns the position of the chosen match among all matches, its explanation, and its output or its builder's
arguments by name; None where no match holds.

A variable is a local, computed where it is first needed and at most once. One that is needed first in several
places is written out in each of them while that is short, and else is a function of its own. So is one that
may end in an error where that is absorbed: the function remembers the error for those who read it again.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import groupby, pairwise

from engine.base.records import record
from engine.cel import syntax as ast
from engine.cel.runtimes.codegen import Emitter, Writer, assign, constant, is_not_none, name
from engine.cel.runtimes.compiled import function_definition
from engine.cel.runtimes.identifiers import (
    CANDIDATE,
    CATALOG,
    COMPUTE,
    CONSTANT,
    DECIDE,
    INPUT,
    REQUIREMENT,
    SEARCH,
    SPEND,
    TEMPORARY,
    UNSET,
    VARIABLE,
    identifier,
)
from engine.cel.runtimes.link import Symbol
from engine.cel.values import to_json
from engine.fastpath.levels import CANDIDATE as EACH_CANDIDATE
from engine.fastpath.levels import EXPERTS, FIELDS, GROUP, LEVELS, LOAD, PIPELINE, TENSOR, Levels
from engine.policy.compiled import (
    CompiledMatch,
    CompiledPolicy,
    CompiledRule,
    CompiledSearch,
    CompiledVariable,
    Expression,
)

_SHORT = 40
"""Nodes of syntax: what is shorter may be written out more than once."""
_PASSES = 20
"""Times that a policy is written before it is taken to be too long."""
_LOOKS = 100_000
"""Variables that are looked at for whether they may fail; of further ones it is taken that they may."""
_LONGEST = 200_000
"""Nodes of Python's syntax: a policy that needs more is evaluated expression by expression."""
_MOST_KEPT = 4096
"""Keys of a level of candidates whose results are kept at a time."""


def constant_name(constant: str) -> str:
    """What a constant that can be changed is called in the function."""
    return identifier(CONSTANT, constant)


class TooLongError(Exception):
    """A policy that is too long to be one function."""


@record
class Generated:
    """A policy's function as syntax, the names that it uses, and the matches by their positions."""

    function: py.stmt
    symbols: dict[str, Symbol]
    matches: tuple[CompiledMatch, ...]

    @property
    def source(self) -> str:
        """The function as people read it."""
        return py.unparse(py.fix_missing_locations(py.Module([self.function], []))) + "\n"


def generate(policy: CompiledPolicy, open_constants: frozenset[str] = frozenset()) -> Generated:
    """The policy's function.

    Args:
        policy: the policy.
        open_constants: those that are names in it instead of their values, so that they can be changed.

    Raises:
        TooLongError: the policy is too long, or its variables read each other too deeply.
    """
    apart: set[_Variable] = set()
    try:
        for _ in range(_PASSES):
            known = len(apart)
            generated = _Generator(policy, apart, open_constants).generate()
            if len(apart) > known:  # what was written before these were found is not as it must be
                continue
            if sum(1 for _ in py.walk(generated.function)) > _LONGEST:
                raise TooLongError
            return generated
        raise TooLongError
    except RecursionError:
        raise TooLongError from None


class _Variable:
    """A variable of one rule, and the scope that its expression is read in."""

    def __init__(self, compiled: CompiledVariable, python_name: str) -> None:
        self.compiled = compiled
        self.name = python_name
        self.scope: _Scope | None = None
        self.level = EACH_CANDIDATE
        """See engine.fastpath.levels; of a variable of candidates."""

    def __hash__(self) -> int:
        return hash(self.compiled.expression)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Variable) and self.compiled is other.compiled


class _Store:
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


class _Scope:
    """The variables that can be read in a rule, those of the rules around it behind its own.

    In one that is `weighing`, `candidate` means the one that is weighed, and no input.
    """

    def __init__(
        self, variables: dict[str, _Variable], outer: _Scope | None, *, weighing: bool = False
    ) -> None:
        self.variables = variables
        self.outer = outer
        self.weighing = weighing

    def find(self, variable_name: str) -> _Variable:
        if variable_name in self.variables:
            return self.variables[variable_name]
        assert self.outer is not None, variable_name
        return self.outer.find(variable_name)

    def without(self, variable_name: str) -> _Scope:
        """What a variable that shadows itself reads."""
        others = {n: v for n, v in self.variables.items() if n != variable_name}
        return _Scope(others, self.outer, weighing=self.weighing)


class _Generator:
    def __init__(self, policy: CompiledPolicy, apart: set[_Variable], open_constants: frozenset[str]) -> None:
        self.policy = policy
        self.apart = apart
        self.open_constants = open_constants
        self.writer = Writer()
        self.inputs = {each: self.writer.fresh(INPUT, each) for each in policy.inputs}
        # Variables of the rule that a candidate's functions stand in, computed ahead of these.
        self.outside: set[str] = set()
        self.matches: list[CompiledMatch] = []
        self.written: set[_Variable] = set()
        # Variables that some path has computed already, and those that must be UNSET at the beginning.
        self.maybe: set[str] = set()
        self.local = _Store()
        # Where variables are kept that candidates share, by level; and whether this is a search that shares.
        self.stores: dict[int, _Store] = {}
        self.sharing = False
        # The levels that the function being written is given, and variables that it computes in place.
        self.given = 0
        self.inline: frozenset[_Variable] = frozenset()
        self.levels: Levels | None = None
        # The level of the function being written, and nodes that candidates of a level before it share.
        self.level = EACH_CANDIDATE
        self.shared_nodes: dict[ast.Node, str] = {}
        self.names: dict[_Variable, str] = {}
        self.errors: dict[_Variable, str] = {}
        self.failing: dict[_Variable, bool] = {}
        self.looks = _LOOKS
        # What is known of variables while one question is answered: it depends on what is computed by then.
        self.asked: dict[_Variable, bool] = {}

    def generate(self) -> Generated:
        self.rule(self.policy.rule, None, py.Return(constant(None)))
        statements = self.writer.blocks[0].statements
        statements[:0] = self.local.begin(self.writer)
        parameters = [*self.inputs.values(), SPEND]
        function = function_definition(DECIDE, parameters, self.writer, constant(None))
        return Generated(function, self.writer.symbols, tuple(self.matches))

    # --- rules and matches --------------------------------------------------------------------------------

    def rule(self, rule: CompiledRule, outer: _Scope | None, end: py.stmt) -> None:
        """Write a rule's matches; `end` is what leaves the rule without a result."""
        variables = {
            each: _Variable(variable, self.writer.fresh(VARIABLE, each))
            for each, variable in rule.variables.items()
        }
        scope = _Scope(variables, outer)
        for each, variable in variables.items():
            variable.scope = scope.without(each) if variable.compiled.shadows_itself else scope
        for match in rule.matches:
            self.match(match, scope, end)

    def match(self, match: CompiledMatch, scope: _Scope, end: py.stmt) -> None:
        if match.condition is None:
            self.outcome(match, scope, end)
            return
        emitter = self.emitter(match.condition, scope)
        condition = emitter.boolean(match.condition.checked.root, {})
        with self.writer.block("branch") as block:
            self.outcome(match, scope, end)
            if match.rule is not None:  # a conditional nested rule without a result ends the rule around it
                self.writer.emit(end)
        self.writer.emit(py.If(condition, block.statements, []))

    def outcome(self, match: CompiledMatch, scope: _Scope, end: py.stmt) -> None:
        if match.rule is not None and match.condition is not None:
            self.rule(match.rule, scope, end)
            return
        if match.rule is not None:
            # Without a result it goes on behind an unconditional rule: a loop, run once, that break leaves.
            with self.writer.block("branch") as block:
                self.rule(match.rule, scope, py.Break())
            self.writer.emit(py.While(constant(True), [*block.statements, py.Break()], []))
            return
        position = len(self.matches)
        self.matches.append(match)
        explanation = constant(None)
        if match.explanation is not None and match.search is None:
            explanation = self.expression(match.explanation, scope)
        if match.output is not None:
            value = self.expression(match.output, scope)
        else:
            value = self.mapping(match.arguments, scope)
        if match.search is not None:
            functions = self.search(match, match.search, scope)
            value = py.Tuple([value, *functions], py.Load())
        answer = py.Tuple([constant(position), explanation, value], py.Load())
        self.writer.emit(py.Return(answer))

    def mapping(self, expressions: Mapping[str, Expression], scope: _Scope) -> py.expr:
        keys: list[py.expr | None] = [constant(each) for each in expressions]
        return py.Dict(keys, [self.expression(each, scope) for each in expressions.values()])

    # --- searches -----------------------------------------------------------------------------------------

    def search(self, match: CompiledMatch, search: CompiledSearch, scope: _Scope) -> list[py.expr]:
        """Functions of a candidate: what it is worth, why it is refused, what its plan says, what to try.

        What they read beyond the candidate is computed ahead of them.
        """
        expressions = [
            *(variable.expression for variable in search.rule.variables.values()),
            *(each.condition for each in search.rule.matches if each.condition is not None),
            *(each.explanation for each in search.rule.matches if each.explanation is not None),
            *(score.expression for score in search.scores),
            *search.results.values(),
            *(() if match.explanation is None else (match.explanation,)),
            *_tried(search),
        ]
        own = {f"variables.{each}" for each in search.rule.variables}
        for expression in expressions:
            for each in expression.checked.free_names():
                if each.startswith("variables.") and each not in own:
                    self.ensure(scope.find(each.partition(".")[2]))
        functions: dict[str, Callable[[_Scope], None]] = {
            "judge": partial(self.judge, search),
            "refuse": partial(self.refuse, search),
            "describe": partial(self.describe, match, search),
        }
        if search.lazy:
            self.sharing = True
            made = self.sharing_functions(search, scope, functions)
            self.sharing = False
        else:
            made = [
                self.candidate_function(purpose, search.rule, scope, write)
                for purpose, write in functions.items()
            ]
        no_rule = CompiledRule(f"{match.id}: remedies", {}, ())
        tries = self.candidate_function("tries", no_rule, scope, partial(self.tries, search))
        return [*map(name, made), name(tries)]

    def candidate_scope(self, rule: CompiledRule, outer: _Scope) -> _Scope:
        """Return the scope of the variables of candidates."""
        variables = {
            each: _Variable(variable, self.writer.fresh(VARIABLE, each))
            for each, variable in rule.variables.items()
        }
        scope = _Scope(variables, outer, weighing=True)
        for each, variable in variables.items():
            variable.scope = scope.without(each) if variable.compiled.shadows_itself else scope
        return scope

    @contextmanager
    def candidate_functions(self) -> Iterator[None]:
        """Write functions of candidates, which read variables that are computed ahead of them."""
        known = set().union(*(block.known for block in self.writer.blocks))
        kept = self.writer.blocks, self.local, self.names, self.written, self.maybe
        self.writer.blocks, self.outside = self.writer.blocks[:0], known
        self.local, self.names, self.written, self.maybe = _Store(), {}, set(), set()
        try:
            yield
        finally:
            self.writer.blocks, self.local, self.names, self.written, self.maybe = kept
            self.outside = set()

    def candidate_function(
        self, purpose: str, rule: CompiledRule, outer: _Scope, write: Callable[[_Scope], None]
    ) -> str:
        """Emit a function of a candidate, and of the number of a requirement; its name."""
        function = self.writer.fresh(SEARCH, purpose)
        scope = self.candidate_scope(rule, outer)
        with self.candidate_functions():
            with self.writer.block("function") as block:
                write(scope)
            body = [*self.local.begin(self.writer), *block.statements]
        self.writer.emit(define(function, [CANDIDATE, REQUIREMENT], body))
        return function

    # --- what candidates share ----------------------------------------------------------------------------

    def sharing_functions(
        self, search: CompiledSearch, outer: _Scope, functions: dict[str, Callable[[_Scope], None]]
    ) -> list[str]:
        """Emit functions of a candidate, and those that keep what candidates share; the names of the former.

        What candidates of one level and key share is an object, whose attributes are the variables of that
        level, computed where they are first needed. The functions that compute them take the objects of all
        levels up to their own.
        """
        self.levels = levels = Levels(search)
        self.shared_nodes = {}
        functions = {**functions, "judge": partial(self.judge_by_level, search, levels)}
        scope = self.candidate_scope(search.rule, outer)
        for each in levels.names:
            scope.variables[each].level = max(levels.of_variable(each), GROUP)
        cuts = {level: [scope.variables[each] for each in levels.cuts(level)] for level in LEVELS}
        stores = {level: _Store() for level in LEVELS}
        self.stores = dict(stores)
        made: dict[str, py.stmt] = {}
        finding: list[py.stmt] = []
        with self.candidate_functions():
            self.outside = self.outside | {each.name for own in cuts.values() for each in own}
            for purpose, write in functions.items():
                self.local = _Store()
                function, body = self.writer.fresh(SEARCH, purpose), self.function_of(partial(write, scope))
                body = [*self.local.begin(self.writer), *body]
                made[function] = define(function, [CANDIDATE, REQUIREMENT], body)
            for level in reversed(LEVELS):
                del self.stores[level]
                self.outside = self.outside - {each.name for each in cuts[level]}
                self.local, self.inline = _Store(), frozenset(cuts[level])
                self.given = level - 1 if level > PIPELINE else 0
                self.level = self.given + 1
                found = self.function_of(partial(self.find, level, levels, scope, cuts[level]), self.given)
                found = [*self.local.begin(self.writer), *found]
                kept = assign(_level_name("kept", level), py.Dict([], []))
                finding += [kept, define(_level_name("find", level), _parameters(self.given), found)]
            self.inline, self.given, self.level = frozenset(), 0, EACH_CANDIDATE
        self.levels = None
        for level, store in stores.items():
            attributes = (*store.unset, *(each.name for each in cuts[level]))
            self.writer.symbols[_level_name("level", level)] = ("shared", attributes)
        self.writer.symbols[UNSET] = ("unset",)
        computing = [function for store in stores.values() for function in store.functions.values()]
        for statement in [*finding, *computing, *made.values()]:
            self.writer.emit(statement)
        return [*made]

    def find(self, level: int, levels: Levels, scope: _Scope, cuts: list[_Variable]) -> None:
        """Write the statements that return what candidates of a level and key share."""
        key, found = self.writer.fresh(TEMPORARY, "key"), self.writer.fresh(TEMPORARY, "found")
        outer = py.Call(name(_level_name("find", level - 1)), [name(CANDIDATE)], [])
        if level == TENSOR:
            self.writer.emit(assign(_held(GROUP), outer))
        values = self.key(level, levels, scope)
        kept = _level_name("kept", level)
        self.writer.emit(assign(key, py.Tuple(values, py.Load())))
        get = py.Attribute(name(kept), "get", py.Load())
        self.writer.emit(assign(found, py.Call(get, [name(key)], [])))
        full = py.Compare(py.Call(name("len"), [name(kept)], []), [py.GtE()], [constant(_MOST_KEPT)])
        clear = py.Expr(py.Call(py.Attribute(name(kept), "clear", py.Load()), [], []))
        place = py.Subscript(name(kept), name(key), py.Store())
        made = py.Call(name(_level_name("level", level)), [], [])
        making: list[py.stmt] = [
            py.If(full, [clear], []),
            py.Assign([py.Name(found, py.Store()), place], made),
            *(_set_attribute(found, each.name, name(each.name)) for each in cuts),
        ]
        if level == TENSOR:
            making.append(_set_attribute(found, _held(GROUP), name(_held(GROUP))))
        if level == PIPELINE:
            making.append(_set_attribute(found, _held(TENSOR), outer))
        if level in (GROUP, PIPELINE):  # what an id in the key stands for must live as long
            making.append(_set_attribute(found, CANDIDATE, name(CANDIDATE)))
        self.writer.emit(py.If(py.Compare(name(found), [py.Is()], [constant(None)]), making, []))
        self.writer.emit(py.Return(name(found)))

    def key(self, level: int, levels: Levels, scope: _Scope) -> list[py.expr]:
        """Return the values in which candidates agree that share a level, and those before it."""
        if level == GROUP:
            first = py.Subscript(_field("stages"), constant(0), py.Load())
            return [py.Call(name("id"), [py.Attribute(first, "device", py.Load())], [])]
        if level == PIPELINE:  # whose stages tell the device, too
            return [*map(_as_key, (*FIELDS[TENSOR], *FIELDS[PIPELINE]))]
        made = [name(_held(level - 1)), *map(_as_key, FIELDS.get(level, ()))]
        if level == EXPERTS:
            tests = [self.emitter(found, scope).expression(node, {}) for found, node in levels.comparisons()]
            made += {py.dump(test): test for test in tests}.values()
        for cut in levels.cuts(level):
            variable = scope.variables[cut]
            self.ensure(variable)
            made.append(_distinct(name(variable.name)) if level == LOAD else name(variable.name))
        return made

    def function_of(self, write: Callable[[], None], level: int = 0) -> list[py.stmt]:
        """Return the body of a function of a candidate, which is given what levels up to one keep."""
        blocks, self.writer.blocks = self.writer.blocks, self.writer.blocks[:0]
        maybe, self.maybe = self.maybe, set()
        try:
            with self.writer.block("function") as block:
                block.known |= {_held(each) for each in LEVELS if each <= level}
                write()
        finally:
            self.writer.blocks, self.maybe = blocks, maybe
        return block.statements

    def ensure_level(self, level: int) -> None:
        """Write what finds the object of a level and those before it, unless they are found by now."""
        held = _held(level)
        if level not in self.stores or any(held in block.known for block in self.writer.blocks):
            return
        if level <= PIPELINE:  # one look-up finds all three
            level, names = PIPELINE, [_held(each) for each in (PIPELINE, TENSOR, GROUP)]
        else:
            self.ensure_level(level - 1)
            names = [held]
        find = py.Call(name(_level_name("find", level)), _arguments(level - 1 if level > PIPELINE else 0), [])
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

    def place(self, variable: _Variable) -> py.expr:
        """Return the expression that reads a variable from where it is kept."""
        if variable.level not in self.stores:
            return name(variable.name)
        return py.Attribute(name(_held(variable.level)), variable.name, py.Load())

    def set(self, variable: _Variable, value: py.expr) -> py.stmt:
        """Return the statement that keeps the value of a variable."""
        if variable.level not in self.stores:
            return assign(variable.name, value)
        return _set_attribute(_held(variable.level), variable.name, value)

    def judge_by_level(self, search: CompiledSearch, levels: Levels, scope: _Scope) -> None:
        """Return what `judge` does; of scores, only those up to the first that is lower than the best's."""
        for level, numbered in groupby(
            enumerate(search.rule.matches), lambda each: levels.of_expression(_condition(each[1]))
        ):
            requirements = list(numbered)
            if level == EACH_CANDIDATE:
                for number, requirement in requirements:
                    refused = py.Tuple([constant(number), constant(None)], py.Load())
                    self.unless(requirement, scope, py.Return(refused))
                continue
            write = partial(self.refused, requirements, scope)
            refused_by = self.keep(max(level, GROUP), "refused", write)
            fails = py.Compare(refused_by, [py.GtE()], [constant(0)])
            answer = py.Tuple([refused_by, constant(None)], py.Load())
            self.writer.emit(py.If(fails, [py.Return(answer)], []))
        best, tied = name(REQUIREMENT), self.writer.fresh(TEMPORARY, "tied")
        self.writer.emit(assign(tied, is_not_none(best)))
        scores: list[py.expr] = []
        for place, score in enumerate(search.scores):
            level = levels.of_expression(score.expression)
            if level == EACH_CANDIDATE:
                value = self.expression(score.expression, scope)
            else:
                value = self.keep(
                    max(level, GROUP), "score", partial(self.expression, score.expression, scope)
                )
            kept = self.writer.fresh(TEMPORARY, "score")
            self.writer.emit(assign(kept, value))
            scores.append(name(kept))
            answer = py.Tuple([constant(-1), py.Tuple([*scores], py.Load())], py.Load())
            other = py.Subscript(best, constant(place), py.Load())
            worse = py.If(py.Compare(name(kept), [py.Lt()], [other]), [py.Return(answer)], [])
            still = assign(tied, py.Compare(name(kept), [py.Eq()], [other]))
            self.writer.emit(py.If(name(tied), [worse, still], []))
        self.writer.emit(py.Return(py.Tuple([constant(-1), py.Tuple([*scores], py.Load())], py.Load())))

    def refused(self, requirements: list[tuple[int, CompiledMatch]], scope: _Scope) -> py.expr:
        """Write the statements that find the first requirement of some that fails; its number, or -1."""
        found = self.writer.fresh(TEMPORARY, "found")
        self.writer.emit(assign(found, constant(-1)))
        with self.writer.block("branch") as block:
            for number, requirement in requirements:
                self.unless(requirement, scope, assign(found, constant(number)), py.Break())
        self.writer.emit(py.While(constant(True), [*block.statements, py.Break()], []))
        return name(found)

    def unless(self, requirement: CompiledMatch, scope: _Scope, *statements: py.stmt) -> None:
        """Write statements that are run where a requirement does not hold."""
        condition = _condition(requirement)
        holds = self.emitter(condition, scope).boolean(condition.checked.root, {})
        self.writer.emit(py.If(py.UnaryOp(py.Not(), holds), [*statements], []))

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
        body = self.function_of(lambda: self.writer.emit(_set_attribute(_held(level), kept, write())), level)
        self.level = outer
        store.functions[function] = define(function, _parameters(level), body)

    def read_kept(self, level: int, kept: str) -> py.expr:
        """Return a value that candidates of a level share, which is computed here unless it is already."""
        self.ensure_level(level)
        call = py.Expr(py.Call(name(identifier(COMPUTE, kept)), _arguments(level), []))
        value = py.Attribute(name(_held(level)), kept, py.Load())
        self.writer.emit(py.If(py.Compare(value, [py.Is()], [name(UNSET)]), [call], []))
        return value

    def shared_node(self, expression: Expression, node: ast.Node, scope: _Scope) -> py.expr | None:
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

    def judge(self, search: CompiledSearch, scope: _Scope) -> None:
        """Return the number of the first requirement that fails, or -1 and the scores."""
        for number, requirement in enumerate(search.rule.matches):
            assert requirement.condition is not None
            emitter = self.emitter(requirement.condition, scope)
            holds = emitter.boolean(requirement.condition.checked.root, {})
            refused = py.Return(py.Tuple([constant(number), constant(None)], py.Load()))
            self.writer.emit(py.If(py.UnaryOp(py.Not(), holds), [refused], []))
        scores = py.Tuple([self.expression(each.expression, scope) for each in search.scores], py.Load())
        self.writer.emit(py.Return(py.Tuple([constant(-1), scores], py.Load())))

    def refuse(self, search: CompiledSearch, scope: _Scope) -> None:
        """Return the explanation of the requirement of that number."""
        for number, requirement in enumerate(search.rule.matches):
            if requirement.explanation is None:
                continue
            with self.writer.block("branch") as block:
                self.writer.emit(py.Return(self.expression(requirement.explanation, scope)))
            test = py.Compare(name(REQUIREMENT), [py.Eq()], [constant(number)])
            self.writer.emit(py.If(test, block.statements, []))
        self.writer.emit(py.Return(constant(None)))

    def describe(self, match: CompiledMatch, search: CompiledSearch, scope: _Scope) -> None:
        """Return the explanation of a choice, and the builder's results by name."""
        explanation = constant(None)
        if match.explanation is not None:
            explanation = self.expression(match.explanation, scope)
        results = self.mapping(search.results, scope)
        self.writer.emit(py.Return(py.Tuple([explanation, results], py.Load())))

    def tries(self, search: CompiledSearch, scope: _Scope) -> None:
        """Return the values of each remedy and what the request has, and the bounds of the negotiation."""
        remedies: list[py.expr] = [
            py.Tuple(
                [
                    self.expression(each.values, scope),
                    constant(None) if each.asked is None else self.expression(each.asked, scope),
                ],
                py.Load(),
            )
            for each in search.remedies
        ]
        bounds = search.negotiation
        limits = (
            [constant(0), constant(0)]
            if bounds is None
            else [
                self.expression(bounds.most_candidates, scope),
                self.expression(bounds.most_combinations, scope),
            ]
        )
        self.writer.emit(py.Return(py.Tuple([py.List(remedies, py.Load()), *limits], py.Load())))

    # --- expressions and variables ------------------------------------------------------------------------

    def expression(self, expression: Expression, scope: _Scope) -> py.expr:
        return self.emitter(expression, scope).expression()

    def emitter(self, expression: Expression, scope: _Scope) -> Emitter:
        def read(global_name: str) -> py.expr:
            return self.read(global_name, scope)

        def fails(global_name: str) -> bool:
            kind, _, each = global_name.partition(".")
            return kind == "variables" and bool(each) and self.fails(scope.find(each))

        if self.levels is not None and scope.weighing:
            return _SharingEmitter(self, expression, scope, read, fails)
        return Emitter(self.writer, expression.checked, read, fails)

    def read(self, global_name: str, scope: _Scope) -> py.expr:
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

    def renamed(self, variable: _Variable) -> py.expr | None:
        """Return the value of a variable that is only another name, as a library's inputs often are."""
        checked = variable.compiled.expression.checked
        assert variable.scope is not None
        if checked.root in checked.names:
            return self.read(checked.names[checked.root], variable.scope)
        root = checked.root
        if not variable.scope.weighing or not isinstance(root, ast.Select) or root.test:
            return None
        return _field(root.field) if checked.names.get(root.operand) == CANDIDATE else None

    def known(self, variable: _Variable) -> bool:
        return variable.name in self.outside or any(
            variable.name in block.known for block in self.writer.blocks
        )

    def fails(self, variable: _Variable) -> bool:
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

    def ensure(self, variable: _Variable) -> None:
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

    def write_at(self, position: int, variable: _Variable) -> None:
        inner = self.writer.blocks[position + 1 :]
        del self.writer.blocks[position + 1 :]
        try:
            self.write(variable, in_loop=False)
        finally:
            self.writer.blocks += inner

    def hoist(self, variable: _Variable) -> None:
        """Each element needs it first of all: it is computed where there is an element."""
        body = self.writer.blocks.pop()
        try:
            with self.writer.block("branch") as block:
                self.write(variable, in_loop=False)
            body.hoisted += block.statements
            body.known |= block.known
        finally:
            self.writer.blocks.append(body)

    def store(self, variable: _Variable) -> _Store:
        return self.stores.get(variable.level, self.local)

    def write(self, variable: _Variable, *, in_loop: bool) -> None:
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

    def compute(self, variable: _Variable) -> None:
        if variable not in self.apart and variable not in self.inline and self.needs_function(variable):
            self.apart.add(variable)
        if variable in self.apart and variable not in self.inline:
            arguments = _arguments(variable.level) if variable.level in self.stores else []
            self.writer.emit(py.Expr(py.Call(name(self.function(variable)), arguments, [])))
            return
        self.written.add(variable)
        outer, self.level = self.level, min(self.level, variable.level)
        self.writer.emit(self.set(variable, self.value(variable)))
        self.level = outer

    def needs_function(self, variable: _Variable) -> bool:
        """True of what is long and needed again, and of what may fail where another reader follows."""
        if variable in self.written and self.length(variable) > _SHORT:
            return True
        return any(block.absorbs for block in self.writer.blocks) and self.fails(variable)

    def value(self, variable: _Variable) -> py.expr:
        assert variable.scope is not None
        return self.expression(variable.compiled.expression, variable.scope)

    def length(self, variable: _Variable) -> int:
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

    def function(self, variable: _Variable) -> str:
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

    def function_body(self, variable: _Variable, function: str) -> None:
        maybe, self.maybe = self.maybe, (everything := _Everything())
        store = self.store(variable)
        shared = store is not self.local
        outer, self.level = self.level, variable.level if shared else self.level
        with self.writer.block("function") as block:
            given = variable.level if shared else self.given
            block.known |= {_held(each) for each in LEVELS if each <= given}
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
            store.functions[function] = define(function, _parameters(variable.level), block.statements)
            return
        assigned = sorted(self.local.unset.keys() & set(_assigned(block.statements)))
        store.functions[function] = define(function, [], [py.Nonlocal(assigned), *block.statements])

    def remembering(self, variable: _Variable, statements: list[py.stmt]) -> list[py.stmt]:
        """Statements that raise the error in which they ended before, instead of being tried again."""
        if variable not in self.errors:
            self.errors[variable] = self.writer.fresh(TEMPORARY, f"error_of_{variable.name}")
        error = _Variable(variable.compiled, self.errors[variable])
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


def define(function: str, parameters: list[str], body: list[py.stmt]) -> py.FunctionDef:
    """Return `def function(parameters): body`."""
    definition = function_definition(function, parameters, Writer(), constant(None))
    assert isinstance(definition, py.FunctionDef)
    definition.body = body
    return definition


def _level_name(word: str, level: int) -> str:
    return identifier(SEARCH, f"{word}_{level}")


def _held(level: int) -> str:
    """Return the name of what candidates of a level share."""
    return identifier(SEARCH, f"shared_{level}")


def _parameters(level: int) -> list[str]:
    """Return the parameters of a function that reads levels up to this one."""
    return [CANDIDATE, *(_held(each) for each in LEVELS if each <= level)]


def _arguments(level: int) -> list[py.expr]:
    return [name(each) for each in _parameters(level)]


def _set_attribute(holder: str, attribute_name: str, value: py.expr) -> py.stmt:
    return py.Assign([py.Attribute(name(holder), attribute_name, py.Store())], value)


def _condition(requirement: CompiledMatch) -> Expression:
    assert requirement.condition is not None
    return requirement.condition


def _field(field_name: str) -> py.expr:
    return py.Attribute(name(CANDIDATE), field_name, py.Load())


def _as_key(field_name: str) -> py.expr:
    """Return the value that stands for a candidate's field in a key."""
    value = _field(field_name)
    if field_name == "stages":
        return py.Call(name("id"), [value], [])
    return _distinct(value) if field_name == "fabric_gbs" else value


def _distinct(value: py.expr) -> py.expr:
    """Return what stands for a double in a key: two zeros are equal, but not the same."""
    return py.BoolOp(py.Or(), [value, py.Call(name("repr"), [value], [])])


class _SharingEmitter(Emitter):
    """Compiles an expression that reads a candidate, but for the nodes that candidates share."""

    def __init__(
        self,
        generator: _Generator,
        expression: Expression,
        scope: _Scope,
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


def _tried(search: CompiledSearch) -> Iterator[Expression]:
    """Yield what is evaluated if no candidate is feasible."""
    for remedy in search.remedies:
        yield from remedy.expressions
    if search.negotiation is not None:
        yield from (search.negotiation.most_candidates, search.negotiation.most_combinations)
