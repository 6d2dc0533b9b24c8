"""Policies that are made to be slow or huge, a kind each; what they read is `x`, an int, and `s`, a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

HEAD = """apiVersion: engine/v1
kind: Policy
name: t
version: 1.0.0
inputs: [{name: x, type: int}, {name: s, type: string}]
"""

KINDS: dict[str, Callable[[], str]] = {}


def kind(made: Callable[[], str]) -> Callable[[], str]:
    """Register a policy by the name of the function that writes it."""
    KINDS[made.__name__] = made
    return made


def policy(output: str, variables: Iterable[str] = (), head: str = HEAD) -> str:
    """A policy with one output; its variables are `v0`, `v1` …"""
    lines = [
        f"    - {{name: v{number}, expression: {quoted(each)}}}" for number, each in enumerate(variables)
    ]
    section = "\n".join(["  variables:", *lines]) + "\n" if lines else ""
    return f"{head}rule:\n{section}  match:\n    - output: {quoted(output)}\n"


def quoted(text: str) -> str:
    """A YAML scalar."""
    return "'" + text.replace("'", "''") + "'"


def doubled(first: str, times: int) -> list[str]:
    """Variables each of which is the one before it twice."""
    return [first, *(f"variables.v{number} + variables.v{number}" for number in range(times))]


BIG = doubled("s + s + s + s", 16)  # of 786,432 characters
LOOP = "lists.range(1000000)"


@kind
def text_equality() -> str:
    return policy(
        f"{LOOP}.filter(q, variables.v17 == variables.v16).size()", [*BIG, "variables.v15 + variables.v15"]
    )


@kind
def text_order() -> str:
    return policy(
        f"{LOOP}.filter(q, variables.v17 < variables.v16).size()", [*BIG, "variables.v15 + variables.v15"]
    )


@kind
def text_starts() -> str:
    return policy(f"{LOOP}.filter(q, variables.v16.startsWith(variables.v16)).size()", BIG)


@kind
def text_in_list() -> str:
    listed = "lists.range(100).map(q, variables.v16)"
    return policy(
        f"{LOOP}.filter(q, variables.v18 in variables.v17).size()", [*BIG, listed, "variables.v15 + s + s"]
    )


@kind
def lists_of_texts_equal() -> str:
    twice = [f"lists.range(1000000).map(q, variables.v{each})" for each in (16, 17)]
    return policy("variables.v18 == variables.v19", [*BIG, "variables.v15 + variables.v15", *twice])


@kind
def sorted_texts() -> str:
    return policy("size(variables.v17.sort())", [*BIG, "lists.range(100000).map(q, variables.v16)"])


@kind
def least_text() -> str:
    return policy("variables.v17.min() == s", [*BIG, "lists.range(1000000).map(q, variables.v16)"])


@kind
def last_index() -> str:
    half = [
        *BIG,
        "variables.v16.replace('b', 'a').replace('c', 'a')",
        "'b' + variables.v17.substring(0, 300000)",
    ]
    return policy("variables.v17.lastIndexOf(variables.v18)", half)


@kind
def last_index_in_loop() -> str:
    return policy(f"{LOOP}.map(q, variables.v16.lastIndexOf('zz')).size()", BIG)


@kind
def sorted_again_and_again() -> str:
    chain = "".join(f".sortBy(e, e % {number + 2})" for number in range(60))
    return policy(f"[x, 1, 2]{chain}")


@kind
def number_of_many_digits() -> str:
    digits = doubled("'1111111111'", 16)
    return policy("double(variables.v16 + 'x')", digits)


@kind
def shared_lists() -> str:
    return policy(
        "variables.v90", ["dyn([x])", *(f"dyn([variables.v{n}, variables.v{n}])" for n in range(90))]
    )


@kind
def shared_lists_equal() -> str:
    deep = ["dyn([x])", *(f"dyn([variables.v{n}, variables.v{n}])" for n in range(60))]
    again = ["dyn([x])", *(f"dyn([variables.v{n}, variables.v{n}])" for n in range(61, 121))]
    return policy("variables.v60 == variables.v121", [*deep, *again])


@kind
def shared_lists_written() -> str:
    return policy(
        "'%s'.format([variables.v40])",
        ["dyn([x])", *(f"dyn([variables.v{n}, variables.v{n}])" for n in range(40))],
    )


@kind
def shared_lists_in_functions() -> str:
    deep = ["dyn([x])", *(f"dyn([variables.v{n}, variables.v{n}])" for n in range(40))]
    return policy("string(type(variables.v40) == list) + string([variables.v40].distinct().size())", deep)


@kind
def deep_lists() -> str:
    return policy("variables.v140", ["dyn([x])", *(f"dyn([variables.v{n}])" for n in range(140))])


@kind
def deep_types() -> str:
    return policy("size(variables.v140)", ["[x]", *(f"[variables.v{n}]" for n in range(140))])


@kind
def long_body() -> str:
    return policy(f"{LOOP}.map(q, {' + '.join(['(q - x)'] * 80)}).size()")


@kind
def wide_body() -> str:
    return policy(f"{LOOP}.map(q, [{', '.join(['q * x'] * 3000)}].size()).size()")


@kind
def dynamic_body() -> str:
    return policy(f"{LOOP}.map(q, dyn(q) + dyn(x) < dyn(q) * dyn(2) ? dyn(q) : dyn(s)).size()")


@kind
def regex_on_long_text() -> str:
    pattern = "(a|b|ab|.)*" * 40 + "(.{1,90}){1,10}z"
    return policy(f"variables.v16.matches('{pattern}')", BIG)


@kind
def regexes_in_loop() -> str:
    return policy(f"{LOOP}.filter(q, s.matches('(a|b){{1,' + string(1 + q % 900) + '}}' + string(q))).size()")


@kind
def faulty_regexes_in_loop() -> str:
    return policy(
        f"{LOOP}.exists(q, s.matches('(' + string(q)) || s.matches('a{{1000}}{{1000}}' + string(q)))"
    )


@kind
def zones_in_loop() -> str:
    zones = "['Europe/Berlin', 'Asia/Tokyo', 'nowhere', '+01:00', '../../etc/passwd', 'America/Lima']"
    return policy(f"{LOOP}.exists(q, timestamp(q).getDate({zones}[q % 6] + (q > 5 ? string(q) : '')) == 99)")


@kind
def wide_precision() -> str:
    return policy(f"{LOOP}.map(q, '%.999f %.999e'.format([double(q) / 3.0, 1.0])).size()")


@kind
def wide_precision_by_a_variable() -> str:
    return policy(f"{LOOP}.map(q, variables.v0.format([double(q)])).size()", ["'%.999f' + s.substring(0, 0)"])


@kind
def formatted_lists() -> str:
    return policy("lists.range(1000).map(q, '%s'.format([variables.v0])).size()", ["lists.range(100000)"])


@kind
def joined_by_format() -> str:
    return policy("'%s%s%s%s'.format([variables.v16, variables.v16, variables.v16, variables.v16])", BIG)


@kind
def quoted_again_and_again() -> str:
    return policy("variables.v40", ["'\"'", *(f"strings.quote(variables.v{n} + s)" for n in range(40))])


@kind
def bytes_of_texts() -> str:
    return policy(f"{LOOP}.map(q, bytes(variables.v16)).size()", BIG)


@kind
def substrings() -> str:
    return policy(f"{LOOP}.map(q, variables.v16.substring(1)).size()", BIG)


@kind
def upper_case() -> str:
    return policy(f"{LOOP}.map(q, variables.v16.upperAscii()).size()", BIG)


@kind
def split_to_letters() -> str:
    return policy("lists.range(100).map(q, variables.v16.split(''))[99].size()", BIG)


@kind
def slices() -> str:
    return policy(f"{LOOP}.map(q, variables.v0.slice(1, 900000)).size()", [LOOP])


@kind
def flattened() -> str:
    return policy(
        "[variables.v0, variables.v0, variables.v0].flatten().flatten().size()", [f"{LOOP}.map(q, [q])"]
    )


@kind
def distinct_of_doubles() -> str:
    return policy("lists.range(100000).map(q, double(q)).distinct().size()")


@kind
def lookups_by_numbers() -> str:
    return policy(
        f"{LOOP}.filter(q, dyn(q) in variables.v0).size()",
        ["{" + ", ".join(f"{n}: x" for n in range(2000)) + "}"],
    )


@kind
def big_lists_kept() -> str:
    kept = [f"lists.range(1000000).map(q, string(q + {n} + x))" for n in range(12)]
    return policy(" + ".join(f"size(variables.v{n})" for n in range(12)), kept)


@kind
def big_lists_of_lists_kept() -> str:
    kept = [f"lists.range(1000000).map(q, [q, {n}])" for n in range(12)]
    return policy(" + ".join(f"size(variables.v{n})" for n in range(12)), kept)


@kind
def failing_diamond() -> str:
    steps = (f"(variables.v{n} > 0 || x > 4) && (variables.v{n} > 1 || x > 5) ? 1 : 2" for n in range(60))
    return policy("variables.v60", ["x / (x - 3)", *steps])


@kind
def failing_diamond_of_binds() -> str:
    steps = (
        f"cel.bind(a, variables.v{n}, cel.bind(b, variables.v{n} + 1, x > 3 || a > b || b > a ? a : b))"
        for n in range(40)
    )
    return policy("variables.v40", ["x / (x - 3)", *steps])


@kind
def failing_in_loop() -> str:
    slow = "lists.range(100000).map(q, q * q).sum() / (x - 3)"
    return policy(f"{LOOP}.exists(q, variables.v0 > q || q > 2000000)", [slow])


@kind
def folded_texts() -> str:
    return policy("x > 1 || " + "'aaaaaaaa'" + ".replace('a', 'aaaaaaaa')" * 12 + ".contains('b')")


@kind
def folded_lists() -> str:
    return policy("x > 1 || size(" + " + ".join(["lists.range(999999)"] * 40) + ") > 3")


@kind
def folded_patterns() -> str:
    return policy("x > 1 || " + " || ".join(f"'a'.matches('(a|b){{1,{n}}}')" for n in range(800, 820)))


@kind
def many_variables() -> str:
    return policy("variables.v3999", (f"x + {n}" for n in range(4000)))


@kind
def many_matches() -> str:
    matches = "".join(
        f"    - {{condition: x > {n} && s != 'a{n}' || x < -{n}, output: x}}\n" for n in range(4000)
    )
    return f"{HEAD}rule:\n  match:\n{matches}    - output: x\n"


@kind
def too_many_matches() -> str:
    return f"{HEAD}rule:\n  match:\n" + "    - {condition: x > 7, output: x}\n" * 20_000


@kind
def many_misspelt_names() -> str:
    return policy("x", (f"variable_{n} + varables.w{n}" for n in range(3000)))


@kind
def many_duplicates() -> str:
    matches = "".join(f"    - {{id: same, condition: x > {n}, output: x}}\n" for n in range(4000))
    return f"{HEAD}rule:\n  match:\n{matches}"


@kind
def alternatives_in_alternatives() -> str:
    def nested(depth: int, seed: int) -> str:
        if depth == 0:
            return f"x > {seed}"
        inner = [nested(depth - 1, seed * 3 + n) for n in range(3)]
        return "(" + (" || " if depth % 2 else " && ").join(inner) + ")"

    matches = "".join(f"    - {{condition: '{nested(5, n)}', output: x}}\n" for n in range(4))
    return f"{HEAD}rule:\n  match:\n{matches}    - output: x\n"


@kind
def wide_and() -> str:
    return policy(" && ".join(f"x > {n}" for n in range(3000)))


@kind
def deep_parentheses() -> str:
    return policy("(" * 16_000 + "x" + ")" * 16_000)


@kind
def deep_indexes() -> str:
    return policy("[" * 8_000 + "x" + "]" * 8_000)


@kind
def deep_macros() -> str:
    text = "1"
    for number in range(30):
        text = f"lists.range(9).map(q{number}, {text}).size()"
    return policy(text)


@kind
def long_names() -> str:
    name = "n" * 30_000
    return policy(
        "x", head=HEAD.replace("rule:", "") + f"constants: {{{name}: {{value: 1}}, {name}a: {{value: 2}}}}\n"
    )


@kind
def big_numbers() -> str:
    return policy(
        "x", head=f"{HEAD}constants: {{a: {{value: 0x{'f' * 100_000}}}, b: {{value: {'9' * 4000}}}}}\n"
    )


@kind
def aliases() -> str:
    lists = "".join(f"  c{n}: {{value: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))
    return policy("x", head=f"{HEAD}constants:\n  c0: {{value: &a0 [1, 2, 3]}}\n{lists}")


@kind
def deep_input_type() -> str:
    return policy("x", head=HEAD.replace("type: string", f"type: '{'list(' * 60}int{')' * 60}'"))


@kind
def layers_dealt() -> str:
    ranged = "lists.range(100000)"
    lists = f"{ranged}.map(e, 9), {ranged}.map(e, 1), {ranged}, {ranged}.map(e, 1.0 * double(e))"
    return policy(f"{LOOP}.map(q, layers.deal(900000, {lists})).size()")


@kind
def durations() -> str:
    return policy(f"{LOOP}.map(q, duration('1h1m1s')).sum() > duration(variables.v16)", BIG)


@kind
def shadowed_rules() -> str:
    inner = "{match: [{output: x}]}"
    for number in range(15):
        variables = f"[{{name: v{number % 3}, expression: x + {number}}}]"
        inner = f"{{variables: {variables}, match: [{{condition: x > {number}, rule: {inner}}}]}}"
    return f"{HEAD}rule: {inner}\n"


def table(hit: str, rows: Iterable[str]) -> str:
    """A policy with a decision table on `x` and `s`; each row is its cells."""
    columns = "{xx: {input: x, type: int}, ss: {input: s, type: string}, out: {type: int}}"
    listed = "".join(f"      - [{row}]\n" for row in rows)
    return f"{HEAD}rule:\n  table:\n    hit: {hit}\n    columns: {columns}\n    rows:\n{listed}"


@kind
def rows_that_overlap_in_one_column() -> str:
    return table("unique", (f"'[{n}..{n + 1000}]', 'a{n}', {n}" for n in range(600)))


@kind
def rows_with_equal_results() -> str:
    return table("any", (f"'>= {n}', '-', 1" for n in range(1000)))


@kind
def rows_that_all_overlap() -> str:
    return table("unique", (f"'!= {n}', '!= \"a{n}\"', {n}" for n in range(800)))


@kind
def defaults_of_defaults() -> str:
    field = "{{type: T{}, default: {{}}}}"
    fields = (f"a: {field.format(n + 1)}, b: {field.format(n + 1)}" for n in range(24))
    types = "".join(f"  T{n}: {{fields: {{{each}}}}}\n" for n, each in enumerate(fields))
    declared = f"types:\n{types}  T24: {{fields: {{a: {{type: int, default: 1}}}}}}\n"
    head = HEAD.replace("inputs: [", "inputs: [{name: d, type: T0, default: {}}, ")
    return policy("x", head=head.replace("inputs:", f"{declared}inputs:"))


@kind
def many_allowed_values() -> str:
    values = ", ".join(f"e{n}" for n in range(50_000))
    return policy("x", head=HEAD.replace("type: string", f"type: string, enum: [{values}, abc]"))


@kind
def many_libraries() -> str:
    listed = "".join(f"  - {{name: llm-memory@1, as: m{n}}}\n" for n in range(2000))
    return policy("x", head=f"{HEAD}libraries:\n{listed}")


@kind
def optionals_doubled() -> str:
    steps = (f"variables.v{n}.optMap(a, a + a)" for n in range(40))
    return policy("variables.v40.orValue([x]).size()", ["optional.of([x])", *steps])


@kind
def two_variables_nested() -> str:
    inner = "lists.range(3000).all(j, b, a + b + x >= 0)"
    return policy(f"lists.range(3000).all(i, a, {inner})")


@kind
def aggregated_lists() -> str:
    matches = "    - {condition: x >= 0, output: 'lists.range(1000000).map(q, q + x)'}\n" * 60
    return f"{HEAD}rule:\n  aggregate:\n{matches}"
