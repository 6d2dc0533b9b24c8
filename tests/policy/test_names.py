"""No name that people write means anything but what it is declared as, whatever generated code uses.

Every word that the engine, Python or CEL has a use for stands in every position: the fast path, the evaluator
and C++ CEL give the same values, which are known beforehand, or the compiler refuses the word where it is
declared. The words come from the code: what is added to it is tried as well.
"""

from __future__ import annotations

import ast as py
import builtins
import json
import keyword
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine
from engine.base.errors import EngineError
from engine.catalogs.catalog import _ENTRY_KEYS
from engine.catalogs.schema_types import schema_types
from engine.cel.checker import TYPE_NAMES
from engine.cel.declarations import definition, functions, macros
from engine.cel.parser import NOT_FIELDS, RESERVED
from engine.cel.runtimes import codegen, identifiers
from engine.cel.runtimes.codegen import function_name
from engine.cel.runtimes.link import HELPERS
from engine.cel.values import ObjectValue, attribute, object_class, plain
from engine.fastpath import generate as generate_module
from engine.fastpath.generate import generate
from tests.conftest import TOP, Run, examples
from tests.support.cel_cpp import READ_BY_BINDING
from tests.support.runtimes import RUNTIMES, runtimes_of

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def dumps(value: Any) -> str:
    """JSON that is YAML too, which has no pairs of surrogates."""
    text = json.dumps(value, ensure_ascii=False)
    return text if any(ord(each) > 0xFFFF for each in text) else json.dumps(value)


def temporaries() -> set[str]:
    """The words that the generators ask fresh names for."""
    files = (codegen.__file__, generate_module.__file__)
    texts = [Path(str(file)).read_text(encoding="utf-8") for file in files]
    return {word for text in texts for word in re.findall(r'"([a-z]+)"', text)}


def words() -> list[str]:
    """Everything that has a meaning somewhere, and what would look like it behind a prefix."""
    table = set(functions())
    known = {
        *(part for name in table for part in WORD.findall(name)),
        *(function_name(name) for name in table),
        *(part for _, macro in macros() for part in WORD.findall(macro.form)),
        *HELPERS,
        *identifiers.RESERVED,
        *keyword.kwlist,
        *keyword.softkwlist,
        *dir(builtins),
        *RESERVED,
        *NOT_FIELDS,
        *(part for name in TYPE_NAMES for part in WORD.findall(name)),
        *schema_types().named,
        *(name for type_ in schema_types().objects.values() for name in type_.fields),
        *dir(ObjectValue),
        *dir(dict),
        *dir(Message),
        *("variables", "constants", "catalogs", "candidate", "engine", "self", "cls", "__result__", "dyn"),
        *("__debug__", "__builtins__", "__name__", "__slots__", "mro", "_", "__", "f_", "f__", "x_2"),
    }
    known |= {prefix + stem for prefix in identifiers.PREFIXES for stem in ("size", "math_abs", "plain", "1")}
    known |= {f"_{word}{number}" for word in temporaries() for number in ("", "_2")}
    return sorted(name for name in known if WORD.fullmatch(name))


WORDS = words()
OURS = {"variables", "constants", "catalogs", *schema_types().named}
"""What means something in the policies of this engine, though not in CEL."""


# --- policies in which a word stands somewhere --------------------------------------------------------------


@dataclass
class Draft:
    """A policy, catalogs beside it, and expressions with the values that they must have."""

    inputs: dict[str, int] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    catalogs: dict[str, dict[str, int]] = field(default_factory=dict)
    reads: list[tuple[str, int]] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        head = {"apiVersion": "engine/v1", "version": "1.0.0"}
        for name, row in self.catalogs.items():
            file = folder / "catalog" / name / "99.0.0.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            columns = {column: {"type": "int", "optional": column.startswith("_")} for column in row}
            # Newer than the shipped catalogs, of which some have such names.
            catalog = {**head, "version": "99.0.0", "kind": "Catalog", "name": name}
            catalog |= {"columns": columns, "entries": {"e": row}}
            file.write_text(dumps(catalog))
        output = [f"string({text})" for text, _ in self.reads]
        policy = {
            **head,
            "kind": "Policy",
            "name": "names",
            "inputs": [{"name": name, "type": "int"} for name in self.inputs],
            "catalogs": list(self.catalogs),
            "constants": {name: {"value": value} for name, value in self.constants.items()},
            "rule": {
                "variables": [{"name": name, "expression": text} for name, text in self.variables.items()],
                "match": [{"output": f"[{', '.join(output)}]"}],
            },
        }
        file = folder / "names.yaml"
        file.write_text(dumps(policy))
        return file

    @property
    def expected(self) -> list[str]:
        return [str(value) for _, value in self.reads]


def as_input(draft: Draft, word: str) -> None:
    draft.inputs[word] = 101
    draft.reads += [(word, 101), (f"[1].map(x, x + {word})[0]", 102), (f"[1].map(x, .{word} + x)[0]", 102)]


def as_variable(draft: Draft, word: str) -> None:
    draft.variables[word] = "lists.range(103).map(i, i).size()"
    draft.reads.append((f"variables.{word}", 103))


def as_failing_variable(draft: Draft, word: str) -> None:
    """One that is computed where it is needed, in a branch."""
    draft.variables[word] = "[7, 0].exists(i, 7 / i == 1) ? 104 : 1 / 0"
    draft.reads.append((f"size([1].filter(x, variables.{word} == 104)) == 1 ? 104 : 0", 104))


def as_constant(draft: Draft, word: str) -> None:
    draft.constants[word] = 105
    draft.reads.append((f"constants.{word}", 105))


def as_macro_variable(draft: Draft, word: str) -> None:
    draft.reads += [
        (f"[6].map({word}, {word} + math.abs(-100) + size([1, 2].filter({word}, {word} > 1)))[0]", 107),
        (f"[1, 2].exists({word}, 4 / {word} == 2) && [1].all({word}, {word} == 1) ? 108 : 0", 108),
        (f"[109].map({word}, size([{word}]) == 1 ? {word} : 0)[0]", 109),
        (f"[[1, 2]].map({word}, size({word}))[0]", 2),
        (f"[{{'{word}': 110}}].map({word}, {word}.{word})[0]" if word not in NOT_FIELDS else "110", 110),
    ]


def as_bound_variable(draft: Draft, word: str) -> None:
    draft.reads += [
        (f"cel.bind({word}, 111, {word} + size([{word}]) - 1)", 111),
        (f"cel.bind({word}, 224 / 2, {word} > 0 ? {word} : 0)", 112),
        (f"cel.bind({word}, 1, cel.bind({word}, {word} + 1, {word} + 111))", 113),
    ]


def as_column(draft: Draft, word: str) -> None:
    draft.catalogs["table"] = {word: 114, "plain": 115}
    draft.reads += [
        (f"catalogs.table['e'].{word}", 114),
        (f"dyn(catalogs.table['e']).{word}", 114),
        (f"has(catalogs.table['e'].{word}) ? catalogs.table['e'].plain : 0", 115),
    ]


def as_catalog(draft: Draft, word: str) -> None:
    draft.catalogs[word] = {"value": 116}
    draft.reads.append((f"catalogs.{word}['e'].value", 116))


POSITIONS: dict[str, Callable[[Draft, str], None]] = {
    "input": as_input,
    "variable": as_variable,
    "failing variable": as_failing_variable,
    "constant": as_constant,
    "macro variable": as_macro_variable,
    "bound variable": as_bound_variable,
    "column": as_column,
    "catalog": as_catalog,
}

WORK = [
    *(each.definition.example for each in functions().values() if runtimes_of(each.definition) == RUNTIMES),
    "'%.2f %s'.format([1.5, dyn('a')]) == '1.50 a'",
    "[1u, 2u].sum() == 3u && [duration('1s')].sum() == duration('1s') && [1.5].sum() == 1.5",
    "dyn([1]).exists(i, i == 1) && dyn({'a': 1}).a == 1 && has(dyn({'a': 1}).a) && (dyn(true) || 1 > 2)",
    "{'a': 1, dyn(1): 2}['a'] == 1 && [1, 2][1] == 2 && cel.bind(i, 1 / 1, i == 1) && 'a' + 'b' == 'ab'",
    "[1.5].min() == 1.5 && [1.5].max() == 1.5 && -(1) + 7 % 4 == 2 && 7.0 / double(size('ab')) == 3.5",
    "{'k': {'a': 1}}.map(k, k) == ['k'] && type(1) == int && type({}) == map && [1] == [1] && 1u == 1u",
    "type(timestamp(0)) == google.protobuf.Timestamp && type(duration('1s')) == google.protobuf.Duration",
    "'1' in [string(one), 'a'] && string(one) < string(one + 1) && string(one).startsWith(string(one))",
]
"""Uses every function that the oracle has."""
OWN_WORK = [
    "[?optional.of(one), ?dyn(optional.none())] == [1] && {?'a': optional.of(1)} == {'a': 1}",
    "optional.none().or(dyn(optional.of(1))).orValue(2) == 1 && [1].all(i, v, i + 1 == v)",
    "Device{?kind: optional.of('a')}.kind == 'a' && Device{?kind: optional.none()}.kind == ''",
    "{'a': 1}.transformMapEntry(k, v, {v: k}) == {1: 'a'} && {'a': 1}.transformMap(k, v, v) == {'a': 1}",
]
"""Uses, with `WORK`, every helper of generated code."""


def works(draft: Draft) -> None:
    """Have the policy do everything that generated code can do."""
    draft.inputs["one"] = 1
    for number, text in enumerate(WORK):
        draft.variables[f"work_{number}"] = f"one == 1 && ({text})"
        draft.reads.append((f"variables.work_{number} ? {number} : -1", number))


def answers(file: Path, draft: Draft) -> dict[str, list[str]]:
    """What each way to decide comes to."""
    policy = engine.load_policy(str(file), file.parent, use_cache=False)
    request = engine.Request.from_inputs(draft.inputs)
    policy.prepare()
    assert policy._fast._program is not None
    _, found = policy._fast._program.run(draft.inputs, 1_000_000)  # which would otherwise give up silently
    assert found is not None
    made = {"program": plain(found[2])}
    for runtime in RUNTIMES:
        if runtime == "cel-cpp" and any(name in READ_BY_BINDING for name in draft.catalogs.get("table", ())):
            with pytest.raises(engine.RuntimeUnavailableError, match="give the field another name"):
                policy.decide(request, runtime=runtime)
            continue
        made[runtime] = policy.decide(request, explain=True, runtime=runtime).output
    return made


# --- all at once --------------------------------------------------------------------------------------------


def allowed(position: str) -> Iterator[str]:
    for word in WORDS:
        refused = {
            "input": {*RESERVED, *OURS, *TYPE_NAMES, "dyn", "one"},
            "macro variable": {*RESERVED, "__result__"},
            "bound variable": RESERVED,
            "catalog": NOT_FIELDS,
        }.get(position, NOT_FIELDS)
        shown = re.fullmatch("[a-z][a-z0-9_]*", word) or position != "catalog"
        if shown and word not in refused and not (position == "column" and word in _ENTRY_KEYS):
            yield word


def some(position: str) -> list[str]:
    """Words for a position, evenly spread: of all positions together, each word."""
    step = max(1, len(WORDS) // examples(120))
    shown = set(WORDS[list(POSITIONS).index(position) % step :: step])
    return [word for word in allowed(position) if word in shown]


@pytest.mark.slow
@pytest.mark.parametrize("position", POSITIONS)
def test_many_words_beside_each_other(position: str, tmp_path: Path) -> None:
    """One policy has the words in that position, and uses every function."""
    draft = Draft()
    works(draft)
    if position == "column":
        shown = [word for word in some(position) if word not in READ_BY_BINDING]
        row = {word: number for number, word in enumerate(shown)}
        draft.catalogs["table"] = row
        draft.reads += [(f"catalogs.table['e'].{word}", number) for word, number in row.items()]
    elif position in ("input", "constant", "variable", "failing variable", "catalog"):
        entry_types: set[str] = set()
        for number, word in enumerate(some(position)):
            if position == "catalog":
                entry_type = "".join(part.capitalize() for part in word.split("_"))
                if entry_type in entry_types:
                    continue
                entry_types.add(entry_type)
                draft.catalogs[word] = {"value": number}
                draft.reads.append((f"catalogs.{word}['e'].value", number))
            elif position == "input":
                draft.inputs[word] = number
                draft.reads.append((word, number))
            elif position == "constant":
                draft.constants[word] = number
                draft.reads.append((f"constants.{word}", number))
            else:
                draft.variables[word] = f"{number} / one" if "failing" in position else f"size('') + {number}"
                draft.reads.append((f"variables.{word}", number))
    else:
        for number, word in enumerate(some(position)):
            text = f"[{number}].map({word}, {word} + size('') + math.abs(0))[0]"
            if position == "bound variable":
                text = f"cel.bind({word}, {number} / one, {word} + size('') + math.abs(0))"
            draft.variables[f"v{number}"] = text
            draft.reads.append((f"variables.v{number}", number))
    # An expression holds 32,768 characters.
    reads, draft.reads = draft.reads, []
    texts = [f"string({text})" for text, _ in reads]
    for number, start in enumerate(range(0, len(texts), 300)):
        draft.variables[f"part_{number}"] = f"[{', '.join(texts[start : start + 300])}].join(' ')"
    file = draft.write(tmp_path)
    parts = [f"variables.part_{number}" for number in range(-(-len(texts) // 300))]
    document = json.loads(file.read_text())
    document["rule"]["match"] = [{"output": f"[{', '.join(parts)}].join(' ')"}]
    file.write_text(dumps(document))
    expected = " ".join(str(value) for _, value in reads).split()
    for way, found in answers(file, draft).items():
        wrong = [
            (text, value, wanted)
            for (text, _), value, wanted in zip(reads, str(found).split(), expected, strict=True)
            if value != wanted
        ]
        assert not wrong, (way, wrong[:5])


def test_inputs_may_be_called_as_functions_that_the_oracle_lacks(tmp_path: Path) -> None:
    draft = Draft()
    alone = [each.definition for each in functions().values() if runtimes_of(each.definition) != RUNTIMES]
    names = sorted({name for each in alone for name in WORD.findall(each.name) if name.islower()})
    draft.inputs |= {name: number for number, name in enumerate(names)}
    draft.reads += [(name, number) for number, name in enumerate(names)]
    draft.reads += [(f"{each.example} ? {number} : -1", number) for number, each in enumerate(alone)]
    file = draft.write(tmp_path)
    policy = engine.load_policy(str(file), file.parent, use_cache=False)
    request = engine.Request.from_inputs(draft.inputs)
    expected = draft.expected
    for options in ({}, {"explain": True}, {"runtime": "cel-python"}):
        assert policy.decide(request, **options).output == expected  # type: ignore[arg-type]


def test_the_work_uses_everything(tmp_path: Path) -> None:
    """Else a helper or function that is added would not be tried."""
    draft = Draft()
    works(draft)
    draft.reads += [(f"{text} ? 1 : 0", 1) for text in OWN_WORK]
    policy = engine.load_policy(str(draft.write(tmp_path)), use_cache=False)
    symbols = generate(policy.compiled).symbols
    helpers = {symbol[1] for symbol in symbols.values() if symbol[0] == "helper"}
    assert HELPERS.keys() - helpers == set()


# --- each by itself, in every position ----------------------------------------------------------------------


@pytest.mark.slow
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(WORDS), st.sets(st.sampled_from(sorted(POSITIONS)), min_size=1))
def test_a_word_in_several_positions(tmp_path: Path, word: str, positions: set[str]) -> None:
    draft = Draft()
    for number, text in enumerate(WORK):  # what has to do with the word
        if word in WORD.findall(text):
            draft.variables[f"work_{number}"] = text
            draft.reads.append((f"variables.work_{number} ? 1 : 0", 1))
    if {"variable", "failing variable"} <= positions:
        positions = positions - {"variable"}
    for position in sorted(positions):
        POSITIONS[position](draft, word)
    draft.reads.append(("size('abc')", 3))
    for old in (tmp_path / "catalog").glob("*/*.yaml"):
        old.unlink()
    file = draft.write(tmp_path)
    if all(word in set(allowed(position)) for position in positions):
        for way, found in answers(file, draft).items():
            assert found == draft.expected, (way, word, positions)
    else:
        with pytest.raises(EngineError) as refused:
            engine.load_policy(str(file), tmp_path, use_cache=False)
        assert all(problem.place is not None for problem in refused.value.problems)


# --- C++ CEL says which words may be variables --------------------------------------------------------------


def environment(*names: str) -> Any:
    extensions = [ext_math.ExtMath(), ext_bindings.ExtBindings(), ext_strings.ExtStrings()]
    extensions.append(ext_optional.ExtOptional())
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.INT), container="", extensions=extensions)


def accepts(text: str, *names: str) -> bool:
    try:
        environment(*names).compile(text)
    except RuntimeError:
        return False
    return True


def test_inputs_that_are_refused_are_those_that_cel_refuses() -> None:
    known = list(allowed("input"))
    together = environment(*known)
    for word in known:
        together.compile(f"{word} + 1")
    for word in {*WORDS} - {*known, *OURS, "one"}:
        assert not accepts(f"{word} + 1", word), word


@pytest.mark.parametrize(
    ("position", "text"),
    [
        ("macro variable", "[1].map({0}, {0} + 1)"),
        ("bound variable", "cel.bind({0}, 1, {0} + 1)"),
        ("variable", "dyn({{}}).{0}"),
    ],
)
def test_what_is_refused_is_what_cel_refuses(position: str, text: str) -> None:
    shown, made = set(allowed(position)), environment()
    for word in WORDS:
        if word in shown:
            made.compile(text.format(word))
        else:
            with pytest.raises(RuntimeError):
                made.compile(text.format(word))


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("inputs: [{name: while, type: int}]", 17, "E108 'while' is a reserved word of CEL"),
        ("inputs: [{name: list, type: int}]", 17, "E108 'list' means something else in expressions"),
        ("inputs: [{name: TableEntry, type: int}]", 17, "E108 'TableEntry' means something else"),
        ("constants: {in: {value: 1, unit: x}}", 13, "E108 'in' is a reserved word of CEL"),
        ('inputs: [{name: "x\\n", type: int}]', 17, "E002 inputs[0].name: 'x\\n' has not the expected form"),
    ],
)
def test_refused_where_it_is_declared(text: str, column: int, message: str, run: Run, tmp_path: Path) -> None:
    Draft(catalogs={"table": {"plain": 1}}).write(tmp_path)
    head = "apiVersion: engine/v1\nkind: Policy\nname: names\nversion: 1.0.0\ncatalogs: [table]\n"
    file = tmp_path / "names.yaml"
    file.write_text(
        f"{head}{text}\nrule: {{match: [{{condition: size(catalogs.table) > 0, output: '1'}}]}}\n"
    )
    ran = run("check", file, "--policies", tmp_path)
    assert ran.code == 1
    assert ran.out.startswith(f"{file}:6:{column}: {message}")
    assert "\n  hint: " in ran.out


def test_names_of_columns_and_catalogs_are_refused_too(run: Run, tmp_path: Path) -> None:
    head = "apiVersion: engine/v1\nkind: Catalog\nversion: 1.0.0\n"
    tail = "entries: {e: {%s: []}}\n"
    cases = {
        "name: true_\ncolumns: {fields: {type: list(int)}}\n": (5, 11, "E112 'fields' means something else"),
        "name: table\ncolumns: {in: {type: list(int)}}\n": (5, 11, "E112 'in' is a reserved word of CEL"),
        "name: table\ncolumns: {a b: {type: list(int)}}\n": (
            5,
            11,
            "E002 columns: 'a b' has not the expected form",
        ),
        "name: in\ncolumns: {a: {type: list(int)}}\n": (4, 7, "E112 'in' is a reserved word of CEL"),
    }
    for text, (line, column, message) in cases.items():
        file = tmp_path / "table.yaml"
        file.write_text(head + text + tail % re.findall(r"columns: {([\w ]+):", text)[0])
        ran = run("check", file)
        assert ran.code == 1
        assert f"{file}:{line}:{column}: {message}" in ran.out


def test_catalogs_whose_entries_would_have_one_type(run: Run, tmp_path: Path) -> None:
    draft = Draft(catalogs={"a_b": {"x": 1}, "a-b": {"y": 2}}, reads=[("catalogs.a_b['e'].x", 1)])
    ran = run("check", draft.write(tmp_path), "--policies", tmp_path)
    assert ran.code == 1
    assert "E108 entries of the catalogs 'a_b' and 'a-b' would both have the type ABEntry" in ran.out


# --- what generated code is made of -------------------------------------------------------------------------


def test_prefixes_tell_names_apart() -> None:
    called = functions().keys() - {"!_", "_&&_", "_||_", "_?_:_"}  # which are Python's own operators
    table = [*map(function_name, called), *(function_name("sum", each) for each in definition("sum").empty)]
    assert len(set(table)) == len(table)
    for word in {*HELPERS, *identifiers.RESERVED, *dir(builtins)}:
        clash = [prefix for prefix in identifiers.PREFIXES if word.startswith(prefix)]
        assert not clash or (clash == ["_"] and (word == "_" or word.startswith("__"))), word
    assert not HELPERS.keys() & {*identifiers.RESERVED, *dir(builtins)}
    for first in identifiers.PREFIXES:
        assert not [each for each in identifiers.PREFIXES if each != first and each.startswith(first)]


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), st.from_regex("f_*_?[a-z]+", fullmatch=True))
def test_two_fields_never_share_an_attribute(first: str, second: str) -> None:
    assert (attribute(first) == attribute(second)) is (first == second)
    for name in (attribute(first), attribute(second)):
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not hasattr(ObjectValue, name)


def test_an_object_has_any_fields() -> None:
    names = [word for word in WORDS if word not in NOT_FIELDS]
    value = object_class("T", names)(*range(len(names)))
    assert plain(value) == dict(zip(names, range(len(names)), strict=True))
    assert [value.__class__.__fields__, type(value).__name__] == [tuple(names), "T"]


def test_python_is_not_reached_through_fields(tmp_path: Path) -> None:
    """What Python's objects have is no field, where no type is known."""
    for word in (*dir(object_class("T", ["plain"])(1)), "f_plain"):
        draft = Draft(catalogs={"table": {"plain": 1}}, reads=[(f"dyn(catalogs.table['e']).{word}", 1)])
        policy = engine.load_policy(str(draft.write(tmp_path)), tmp_path, use_cache=False)
        for runtime in RUNTIMES:
            if word == "plain":
                assert policy.decide(engine.Request(), runtime=runtime).output == ["1"]
                continue
            with pytest.raises(engine.EvaluationError):
                policy.decide(engine.Request(), runtime=runtime)


# --- searches, described devices, tools ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["--explain"], ["--runtime", "cel-python"], ["--runtime", "cel-cpp"]])
@pytest.mark.usefixtures("offered_oracle")
def test_words_of_a_search(how: list[str], run: Run, tmp_path: Path) -> None:
    """Variables of candidates and around them, and an input, are called as the generated functions are."""
    document = yaml.safe_load((TOP / "policies" / "sharding" / "2.0.0.yaml").read_text())
    names = ["judge", "refuse", "describe", "requirement", "spend", "UNSET", "chosen", "fault"]
    (match,) = [each for each in document["rule"]["match"] if "candidate" in each.get("plan", {})]
    weighing = match["plan"]["candidate"]
    document["inputs"].append({"name": "asked", "type": "int"})
    for number, name in enumerate(names):
        own = {"name": f"own_{name}", "expression": f"variables.{name} + candidate.tensor_parallel"}
        weighing["variables"].append(own)
        condition = f"variables.own_{name} == {7 + number} + candidate.tensor_parallel"
        weighing["require"].insert(0, {"id": name, "condition": condition})
        document["rule"]["variables"].append({"name": name, "expression": f"asked + {number} / 1"})
    file = tmp_path / "sharding.yaml"
    file.write_text(dumps(document))
    (tmp_path / "input.yaml").write_text("asked: 7")
    asked = ("eval", "--inventory", "4xH100-SXM", "--model", "llama-3.1-8b", "--quantization", "bf16")
    found = run(*asked, "--policy", file, "--input", tmp_path / "input.yaml", "--format", "json", *how)
    assert found.code == 0, found.err
    assert found.json["plan"] == run(*asked, "--policy", "sharding@2.0.0", "--format", "json").json["plan"]


@pytest.mark.slow
def test_tools_keep_names_apart(run: Run, tmp_path: Path) -> None:
    """Coverage and mutants of a policy whose names are those of the code that watches it."""
    draft = Draft(inputs={"observe": 1, "size": 2, "a": 3, "b": 4, "match": 5, "self": 6})
    draft.variables = {
        "observe": "size > 1 && observe > 0",
        "spend": "[1, 2].exists(observe, observe > size - 1) || b > 100",
        "catalog_table": "[1, size].map(size, size + a).max()",
    }
    draft.catalogs = {"table": {"size": 7}}
    file = draft.write(tmp_path)
    document = json.loads(file.read_text())
    document["rule"]["match"] = [
        {"id": "first", "condition": "variables.observe && self == 6", "output": "variables.catalog_table"},
        {"id": "second", "condition": "variables.spend", "output": "catalogs.table['e'].size + match"},
        {"id": "third", "output": "0"},
    ]
    file.write_text(dumps(document))
    suite = {"apiVersion": "engine/v1", "kind": "Suite", "policy": file.name, "defaults": draft.inputs}
    suite["tests"] = [
        {"name": "one", "inputs": {}, "expect": {"match": "first", "output": 5}},
        {"name": "two", "inputs": {"observe": 0}, "expect": {"match": "second", "output": 12}},
        {"name": "three", "inputs": {"size": 9}, "expect": {"match": "first", "output": 12}},
    ]
    (tmp_path / "suite.yaml").write_text(dumps(suite))
    ran = run(
        "test", tmp_path / "suite.yaml", "--policies", tmp_path, "--coverage", "--mutate", "--format", "json"
    )
    assert (ran.json["passed"], ran.json["failed"]) == (3, 0), ran.out
    assert ran.json["coverage"]["match"] == {"seen": 2, "of": 3}


# --- text of policies never becomes code --------------------------------------------------------------------

NASTY = [
    *(
        "'",
        '"',
        '"""',
        "'''",
        "\\",
        "\\\\",
        "\n",
        "\r",
        "\t",
        "\x00",
        "\u2028",
        "\\N{BULLET}",
        "{0}",
        "%s",
        "#",
    ),
    *(
        '"); import os; os.abort() #',
        "\\'); raise SystemExit #",
        "f'{1/0}'",
        "\ufffd",
    ),
    *("${x}", "{{x}}", "é", "😀", "‮", "\x1b]52;c;AAAA\x07", "__import__('os')"),
]


def quoted(text: str) -> str:
    """A CEL literal of any text."""
    return "'" + "".join(f"\\U{ord(each):08x}" for each in text) + "'"


@pytest.mark.slow
@pytest.mark.parametrize("text", NASTY)
def test_text_never_becomes_code(text: str, run: Run, tmp_path: Path) -> None:
    literal = quoted(text)
    document = {
        "apiVersion": "engine/v1",
        "kind": "Policy",
        "name": "texts",
        "version": "1.0.0",
        "description": text,
        "inputs": [{"name": "n", "type": "int", "description": text}],
        "constants": {"c": {"value": text, "unit": text, "description": text}},
        "rule": {
            "id": text,
            "variables": [{"name": "v", "expression": f"[n].map(x, {quoted(text)})[0]", "description": text}],
            "match": [
                {"id": text + "0", "condition": f"constants.c != {quoted(text)}", "output": "[]"},
                {
                    "id": text,
                    "output": f"[variables.v, constants.c, {{{literal}: {literal}}}[{literal}]]",
                    "explanation": f"'%s' .format([{quoted(text)}]) + constants.c",
                    "description": text,
                },
            ],
        },
    }
    file = tmp_path / "texts" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(dumps(document))
    shown = run("policies", "show", "texts", "--python", "--policies", tmp_path)
    assert shown.code == 0
    module = py.parse(shown.out)
    assert [type(each) for each in module.body] == [py.FunctionDef]
    allowed_names = {*HELPERS, *identifiers.RESERVED, "len", "list", "str", "float", "min", "max", "bool"}
    for node in py.walk(module):
        assert not isinstance(node, (py.Import, py.ImportFrom, py.JoinedStr, py.Lambda))
        if isinstance(node, py.Name):
            assert node.id in allowed_names or node.id.startswith(identifiers.PREFIXES), node.id
    policy = engine.load_policy(str(file), use_cache=False)
    request = engine.Request.from_inputs({"n": 1})
    policy.prepare()
    assert policy._fast._program is not None
    for decision in (policy.decide(request), policy.decide(request, explain=True)):
        assert decision.output == [text] * 3
        assert (decision.match_id, decision.explanation) == (text, text * 2)
    _, found = policy._fast._program.run({"n": 1}, 1000)
    assert found is not None
    assert found[1:] == (text * 2, [text] * 3)


@pytest.mark.parametrize("text", NASTY)
def test_text_is_no_name(text: str, run: Run, tmp_path: Path) -> None:
    """Where a name is asked for, it is refused."""
    for where in ("input", "constant", "variable", "column"):
        draft = Draft(reads=[("size('abc')", 3)])
        name = f"x{text}"
        target: Any = {"input": draft.inputs, "constant": draft.constants, "variable": draft.variables}.get(
            where
        )
        if target is None:
            draft.catalogs["table"] = {name: 1}
        else:
            target[name] = "1" if where == "variable" else 1
        ran = run("check", draft.write(tmp_path), "--policies", tmp_path)
        assert ran.code == 1, where
        assert "has not the expected form" in ran.out
        assert "Traceback" not in ran.err
