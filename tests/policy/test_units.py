"""Units: notation, algebra, and what `engine check` reports of expressions that mix them."""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.policy.units import UnitError, UnitTable, load_units
from engine.policy.units.unit import NUMBER, Unit, agree, power, product, quotient
from engine.regress.lint import check_paths
from tests.conftest import Run, examples

# Numbers that stand for base units: two units of different dimensions never have one value.
BASES = {"bit": 10007, "s": 10009, "EUR": 10037, "token": 10039, "request": 10061}
VALUES = {
    "bit": Fraction(10007),
    "byte": Fraction(8 * 10007),
    "GB": Fraction(8 * 10007 * 10**9),
    "GiB": Fraction(8 * 10007 * 2**30),
    "Gbit": Fraction(10007 * 10**9),
    "s": Fraction(10009),
    "ms": Fraction(10009, 1000),
    "us": Fraction(10009, 10**6),
    "min": Fraction(60 * 10009),
    "hour": Fraction(3600 * 10009),
    "EUR": Fraction(10037),
    "token": Fraction(10039),
    "request": Fraction(10061),
    "percent": Fraction(1, 100),
}
"""Units with their values, computed by hand: no row of the catalog is read for them."""


@cache
def table() -> UnitTable:
    return load_units()


def value(unit: Unit) -> Fraction:
    """Return the number that a unit stands for."""
    found = unit.scale
    for name, exponent in (*unit.dimension, *unit.counts):
        assert exponent.denominator == 1
        found *= Fraction(BASES[name]) ** int(exponent)
    return found


named = st.sampled_from(sorted(VALUES)).map(lambda name: (name, VALUES[name]))


def joined(parts: tuple[tuple[str, Fraction], str, tuple[str, Fraction]]) -> tuple[str, Fraction]:
    (left, first), sign, (right, second) = parts
    return f"({left}){sign}({right})", first / second if sign == "/" else first * second


written = st.recursive(
    named,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("/·*"), inner).map(joined),
        st.tuples(named, st.sampled_from([-2, 2, 3])).map(
            lambda it: (f"{it[0][0]}^{it[1]}", it[0][1] ** it[1])
        ),
    ),
    max_leaves=5,
)


@settings(max_examples=examples(100), deadline=None)
@given(written)
def test_notation_means_what_arithmetic_says(unit: tuple[str, Fraction]) -> None:
    text, expected = unit
    if len(text) <= 100:
        assert value(table().parse(text)) == expected


@settings(max_examples=examples(60), deadline=None)
@given(named, named, named)
def test_laws_of_products(
    first: tuple[str, Fraction], second: tuple[str, Fraction], third: tuple[str, Fraction]
) -> None:
    one, two, three = (table().parse(name) for name, _ in (first, second, third))
    assert value(product(one, two)) == value(product(two, one))
    assert product(product(one, two), three).dimension == product(one, product(two, three)).dimension
    assert value(quotient(product(one, two), two)) == value(one)
    squared = power(one, Fraction(2))
    assert squared is not None
    assert value(squared) == value(product(one, one))
    root = power(product(one, one), Fraction(1, 2))
    assert root is not None
    assert value(root) == value(one)
    assert agree(one, one)
    assert agree(one, two) == agree(two, one)


@settings(max_examples=examples(60), deadline=None)
@given(written)
def test_a_printed_unit_can_be_read(unit: tuple[str, Fraction]) -> None:
    if len(unit[0]) > 100:
        return
    parsed = table().parse(unit[0])
    assert value(table().parse(str(parsed))) == value(parsed)


def test_a_root_that_is_no_fraction_is_unknown() -> None:
    assert power(table().parse("ms"), Fraction(1, 2)) is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("GB/s", "Gbit/s", False),
        ("GB/s", "Gbps", False),
        ("Gbps", "Gbit/s", True),
        ("GB", "GiB", False),
        ("GiB", "byte", False),
        ("ms", "s", False),
        ("1000/s", "kHz", None),
        ("1/s", "Hz", True),
        ("byte/ms", "kB/s", True),
        ("token/s", "request/s", False),
        ("token/s", "1/s", True),  # what is counted may be left out
        ("token", "byte", False),
        ("token", "request", False),
        ("token", "layer", False),
        ("layer", "device", False),
        ("layer", "number", True),
        ("byte/layer", "byte", True),  # items are plain numbers in products
        ("ratio", "device", False),
        ("ratio", "percent", False),
        ("ratio", "number", True),
        ("ms/s", "ratio", False),
        ("EUR/kg", "EUR/g", False),
        ("year", "month", False),
        ("request·token/s", "token/s", True),
        ("token^2/s", "request/s", False),
    ],
)
def test_which_units_go_together(one: str, other: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(UnitError):
            table().parse(one)
        return
    assert agree(table().parse(one), table().parse(other)) is expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("gbps", "unknown unit 'gbps'", "did you mean 'GBps' or 'Gbps'?"),
        ("KB", "unknown unit 'KB'", "did you mean 'kB'?"),
        ("tokn/s", "unknown unit 'tokn'", "'token'"),
        ("mss", "unknown unit 'mss'", "'ms'"),
        ("GX/s", "unknown unit 'GX'", None),
        ("time zone", "found 'zone'", "write units like"),
        ("GB/", "ends too early", "write units like"),
        ("(GB", "ends too early", "write units like"),
        ("GB/s)", "found ')'", "write units like"),
        ("m^0", "a power of a unit", None),
        ("m^99", "a power of a unit", None),
        ("$/h", "is not a unit", "write units like"),
        ("", "ends too early", None),
        ("s" * 101, "more than 100 characters", None),
        ("(" * 40 + "s" + ")" * 40, "is not a unit", None),
    ],
)
def test_what_is_no_unit(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(UnitError) as caught:
        table().parse(text)
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


def test_a_word_is_the_name_of_what_is_counted() -> None:
    assert table().parse("widget").item == "widget"
    assert not agree(table().parse("widget"), table().parse("gadget"))
    assert agree(table().parse("widget/s"), table().parse("gadget/s"))


def test_numbers_and_fractions_keep_what_they_multiply() -> None:
    ratio, device = table().parse("ratio"), table().parse("device")
    assert product(ratio, device) == product(device, ratio) == device
    assert product(ratio, ratio) == ratio
    assert product(device, device) == quotient(device, device) == NUMBER


# --- engine check -------------------------------------------------------------------------------------------

HEAD = {"apiVersion": "engine/v1", "kind": "Policy", "name": "units", "version": "1.0.0"}
UNITS = {
    "gbit": "Gbit/s",
    "gb": "GB/s",
    "ms": "ms",
    "s": "s",
    "gib": "GiB",
    "data": "byte",
    "tokens": "token",
    "requests": "request",
    "layers": "layer",
    "devices": "device",
    "share": "ratio",
    "percent": "percent",
    "number": "number",
    "unknown": None,
}
CONSTANTS = {
    "ms_per_s": (1000.0, "ms/s"),
    "bytes_per_gib": (1073741824.0, "byte/GiB"),
    "gigabytes": (0.125, "GB/Gbit"),
    "limits": ([1.0, 2.0], "ms"),
    "times": ([1.0, 2.0], "s"),
}


def policy(output: str, **more: Any) -> dict[str, Any]:
    """Return a policy whose inputs and constants are named by their units."""
    return {
        **HEAD,
        "inputs": [
            {"name": name, "type": "double", **({"unit": unit} if unit else {})}
            for name, unit in UNITS.items()
        ],
        "constants": {
            name: {"value": given, "unit": unit, "description": name}
            for name, (given, unit) in CONSTANTS.items()
        },
        "rule": {"match": [{"output": output}], **more},
    }


def found(
    run: Run, folder: Path, document: dict[str, Any], *arguments: str
) -> list[tuple[str, str, str | None]]:
    """Return the findings about units in a document."""
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    result = run("check", str(file), "--format", "json", *arguments)
    return [
        (each["code"], each["message"], each["hint"])
        for each in json.loads(result.out)["findings"]
        if each["code"] in ("W230", "W231", "W232") or each["code"].startswith("E")
    ]


MIXES = {
    "gbit <= gb": "'<=' mixes Gbit/s and GB/s: 'gbit' is Gbit/s, 'gb' is GB/s",
    "gbit / 4.0 <= gb": "'<=' mixes Gbit/s and GB/s: 'gbit / 4.0' is Gbit/s, 'gb' is GB/s",
    "ms + s": "'+' mixes ms and s: 'ms' is ms, 's' is s",
    "ms - s": "'-' mixes ms and s: 'ms' is ms, 's' is s",
    "ms == s": "'==' mixes ms and s: 'ms' is ms, 's' is s",
    "gib < data": "'<' mixes GiB and byte: 'gib' is GiB, 'data' is byte",
    "tokens > requests": "'>' mixes token and request: 'tokens' is token, 'requests' is request",
    "layers >= devices": "'>=' mixes layer and device: 'layers' is layer, 'devices' is device",
    "share + devices": "'+' mixes ratio and device: 'share' is ratio, 'devices' is device",
    "share < percent": "'<' mixes ratio and percent: 'share' is ratio, 'percent' is percent",
    "number + ms": "'+' mixes a plain number and ms: 'number' is a plain number, 'ms' is ms",
    "math.greatest(ms, s)": "math.greatest() mixes ms and s: 'ms' is ms, 's' is s",
    "math.least(ms, 1.0, data)": "math.least() mixes ms and byte: 'ms' is ms, 'data' is byte",
    "[ms, s]": "the list mixes ms and s: 'ms' is ms, 's' is s",
    "[ms, s].max()": "the list mixes ms and s: 'ms' is ms, 's' is s",
    "share > 0.5 ? ms : s": "'? :' mixes ms and s: 'ms' is ms, 's' is s",
    "s in constants.limits": "'in' mixes s and ms: 's' is s, 'constants.limits' is ms",
    "constants.limits + constants.times": (
        "'+' mixes ms and s: 'constants.limits' is ms, 'constants.times' is s"
    ),
    "constants.limits.map(each, each + s)": "'+' mixes ms and s: 'each' is ms, 's' is s",
    "constants.limits.filter(each, each < s)": "'<' mixes ms and s: 'each' is ms, 's' is s",
    "constants.limits.exists(each, each < s)": "'<' mixes ms and s: 'each' is ms, 's' is s",
    "constants.limits[0] + s": "'+' mixes ms and s: 'constants.limits[0]' is ms, 's' is s",
    "constants.limits.sum() < s": "'<' mixes ms and s: 'constants.limits.sum()' is ms, 's' is s",
    "cel.bind(wait, ms, wait < s)": "'<' mixes ms and s: 'wait' is ms, 's' is s",
    "math.ceil(double(int(ms))) < s": "'<' mixes ms and s: 'math.ceil(double(int(ms)))' is ms, 's' is s",
    "-ms < s": "'<' mixes ms and s: '-ms' is ms, 's' is s",
    "double(size([1])) < ms": (
        "'<' mixes a plain number and ms: 'double(size([1]))' is a plain number, 'ms' is ms"
    ),
    "tokens / s < requests / s": (
        "'<' mixes token/s and request/s: 'tokens / s' is token/s, 'requests / s' is request/s"
    ),
    "data / s < gb": "'<' mixes byte/s and GB/s: 'data / s' is byte/s, 'gb' is GB/s",
    "math.sqrt(ms * ms) < s": "'<' mixes ms and s: 'math.sqrt(ms * ms)' is ms, 's' is s",
    "optional.of(ms).orValue(s) > 1.0": "orValue() mixes ms and s: 'optional.of(ms)' is ms, 's' is s",
    '{"a": ms}[?"a"].orValue(0.0) < s': (
        "'<' mixes ms and s: '{\"a\": ms}[?\"a\"].orValue(0.0)' is ms, 's' is s"
    ),
    '{"a": ms}.?a.orValue(0.0) < s': ("'<' mixes ms and s: '{\"a\": ms}.?a.orValue(0.0)' is ms, 's' is s"),
    "optional.of(ms).optMap(each, each + s).hasValue()": "'+' mixes ms and s: 'each' is ms, 's' is s",
    "constants.limits.exists(n, each, each < s)": "'<' mixes ms and s: 'each' is ms, 's' is s",
    "constants.limits.transformList(n, each, each + s)": "'+' mixes ms and s: 'each' is ms, 's' is s",
    "sets.contains(constants.limits, constants.times)": (
        "sets.contains() mixes ms and s: 'constants.limits' is ms, 'constants.times' is s"
    ),
    '{"wait": ms}.wait < s': "'<' mixes ms and s: '{\"wait\": ms}.wait' is ms, 's' is s",
}


@cache
def reported() -> dict[str, list[tuple[str, str]]]:
    """Return what is reported of each expression; all are variables of one policy."""
    expressions = (*MIXES, *CLEAN)
    variables = [{"name": f"v{number}", "expression": each} for number, each in enumerate(expressions)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.yaml"
        file.write_text(yaml.safe_dump(policy("ms", variables=variables)))
        report = check_paths([file])
    found_: dict[str, list[tuple[str, str]]] = {each: [] for each in expressions}
    for finding in report.findings:
        path = finding.problem.path or ()
        if finding.code[:3] in ("E10", "W23") and path[:2] == ("rule", "variables"):
            found_[expressions[int(path[2])]].append((finding.code, finding.problem.message))
    return found_


@pytest.mark.parametrize("expression", MIXES)
def test_mix(expression: str) -> None:
    assert reported()[expression] == [("W230", MIXES[expression])]


CLEAN = (
    "gbit * constants.gigabytes <= gb",
    "gbit / 8.0 <= gb",  # a literal that is the factor between both
    "gb * 8.0 <= gbit",
    "gib * 1024.0 * 1024.0 * 1024.0 < data",
    "s * constants.ms_per_s + ms",
    "s * 1000.0 < ms",
    "gib * constants.bytes_per_gib < data",
    "ms < 100.0",
    "ms + 1.0",
    "math.greatest(0.0, ms)",
    "share > 0.5 ? ms : 0.0",
    "unknown + ms < s * unknown",
    "unknown < ms && unknown < s",
    "layers * data + data",
    "data / layers < data",
    "share * devices < devices",
    "devices * 2.0 < devices",
    "tokens / s < 1.0 / s",
    "double(size([1, 2])) < devices",
    "ms / s < 1000.0",
    '"%f %f".format([ms, s])',
    '{"wait": ms, "time": s}',
    "(layers + devices - 1.0) / devices < layers",
    "ms * ms + s * s * 1000000.0 < ms * ms",
    "1.0 - share < share",
    "optional.none().orValue(ms) < ms",
    "optional.of(1.0).orValue(ms) < ms",
    'double(size("text")) < data && double(size(b"data")) < data',
)


@pytest.mark.parametrize("expression", CLEAN)
def test_no_mix(expression: str) -> None:
    assert reported()[expression] == []


def test_gigabits_read_as_gigabytes(run: Run, tmp_path: Path) -> None:
    """The headline case: a link's rate in Gbit/s, compared with a limit in GB/s."""
    document = policy("variables.fast", variables=[{"name": "fast", "expression": "gbit >= gb"}])
    [(code, message, hint)] = found(run, tmp_path, document)
    assert (code, message) == ("W230", "'>=' mixes Gbit/s and GB/s: 'gbit' is Gbit/s, 'gb' is GB/s")
    assert hint == "multiply 'gb' by a constant that converts: {value: 8.0, unit: Gbit/GB}"


def test_a_mix_is_an_error_by_setting(run: Run, tmp_path: Path) -> None:
    settings_file = {"apiVersion": "engine/v1", "kind": "Settings", "checks": {"severity": {"W230": "error"}}}
    (tmp_path / "engine.yaml").write_text(yaml.safe_dump(settings_file))
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy("ms + s")))
    result = run("check", str(tmp_path / "policy.yaml"), "--severity", "error", "--format", "json")
    assert result.code == 1
    assert [(each["code"], each["severity"]) for each in json.loads(result.out)["findings"]] == [
        ("W230", "error")
    ]


def test_a_comment_silences_a_mix(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    text = yaml.safe_dump(policy("ms + s"))
    file.write_text(text.replace("- output: ms + s", "- output: ms + s  # engine: ignore W230"))
    assert "W230" not in run("check", str(file)).out


VARIABLES = [
    ("ms", "s", "'wait' is declared as ms, the expression gives s", "{value: 1000.0, unit: ms/s}"),
    ("s", "ms", "'wait' is declared as s, the expression gives ms", "{value: 0.001, unit: s/ms}"),
    (
        "byte",
        "gib",
        "'wait' is declared as byte, the expression gives GiB",
        "{value: 1073741824.0, unit: byte/GiB}",
    ),
    ("byte", "ms", "'wait' is declared as byte, the expression gives ms", None),
    ("token/s", "requests / s", "'wait' is declared as token/s, the expression gives request/s", None),
    ("byte", "double(size([1]))", "'wait' is declared as byte, the expression gives a plain number", None),
    (
        "ms",
        '{"a": ms, "b": s}',
        "'wait' is declared as ms, the expression gives s",
        "{value: 1000.0, unit: ms/s}",
    ),
]


@pytest.mark.parametrize(("unit", "expression", "message", "conversion"), VARIABLES)
def test_declared_unit_of_a_variable_is_proved(
    run: Run, tmp_path: Path, unit: str, expression: str, message: str, conversion: str | None
) -> None:
    variables = [{"name": "wait", "unit": unit, "expression": expression}]
    [(code, said, hint)] = found(run, tmp_path, policy("variables.wait", variables=variables))
    assert (code, said) == ("W231", message)
    assert (hint is None) is (conversion is None)
    assert conversion is None or conversion in str(hint)


def test_what_reads_a_variable_trusts_its_declared_unit(run: Run, tmp_path: Path) -> None:
    variables = [
        {"name": "later", "expression": "variables.wait + ms"},
        {"name": "wait", "unit": "ms", "expression": "unknown * 2.0"},
        {"name": "inferred", "expression": "variables.wait * 2.0"},
    ]
    document = policy("variables.inferred + s + variables.later", variables=variables)
    [(code, message, _)] = found(run, tmp_path, document)
    assert (code, message) == ("W230", "'+' mixes ms and s: 'variables.inferred' is ms, 's' is s")


def test_a_whole_number_is_divided_rather_than_multiplied_by_a_fraction(run: Run, tmp_path: Path) -> None:
    document = policy("variables.s")
    document["inputs"] = [{"name": "ms", "type": "int", "unit": "ms"}]
    document["rule"]["variables"] = [{"name": "s", "unit": "s", "expression": "ms"}]
    [(_, _, hint)] = found(run, tmp_path, document)
    assert hint == "divide it by a constant that converts: {value: 1000, unit: ms/s}"


def test_columns_of_records_and_tables_have_units(run: Run, tmp_path: Path) -> None:
    document = policy("variables.links.map(link, link.wait + link.time)")
    columns = {"rate": {"type": "double", "unit": "GB/s"}, "wait": {"type": "double", "unit": "ms"}}
    document["constants"]["links"] = {
        "table": {"columns": columns, "rows": [[1.0, 2.0]]},
        "description": "Links.",
    }
    document["rule"]["variables"] = [
        {
            "name": "links",
            "records": "constants.links",
            "as": "link",
            "columns": [
                {"name": "time", "unit": "s", "expression": "link.wait"},
                {"name": "double", "expression": "link.wait * 2.0"},
            ],
        }
    ]
    assert [(code, message) for code, message, _ in found(run, tmp_path, document)] == [
        ("W230", "'+' mixes ms and s: 'link.wait' is ms, 'link.time' is s"),
        ("W231", "'links.time' is declared as s, the expression gives ms"),
    ]


def test_results_of_a_decision_table_have_units(run: Run, tmp_path: Path) -> None:
    table_ = {
        "hit": "first",
        "columns": {
            "score": {"input": "number", "type": "double"},
            "limit": {"type": "double", "unit": "ms"},
            "fee": {"type": "double", "unit": "EUR"},
        },
        "rows": [["> 3.0", "= s", 3.0], ["-", 4.0, "= s * 2.0"]],
    }
    document = policy("ms")
    document["rule"] = {"table": table_}
    assert [(code, message) for code, message, _ in found(run, tmp_path, document)] == [
        ("W231", "column 'limit' is declared as ms, the expression gives s"),
        ("W231", "column 'fee' is declared as EUR, the expression gives s"),
    ]


def test_arguments_and_results_of_a_builder_have_units(run: Run, tmp_path: Path) -> None:
    document = {
        **HEAD,
        "inputs": [{"name": "inventory", "type": "Inventory"}, {"name": "gib", "type": "int", "unit": "GiB"}],
        "rule": {
            "match": [
                {
                    "plan": {
                        "builder": "single_device",
                        "arguments": {"device": "inventory.devices[0]", "memory_bytes": "gib"},
                    }
                }
            ]
        },
    }
    [(code, message, hint)] = found(run, tmp_path, document)
    assert code == "W231"
    assert (
        message
        == "argument 'memory_bytes' of builder single_device is declared as byte, the expression gives GiB"
    )
    assert hint == "multiply it by a constant that converts: {value: 1073741824, unit: byte/GiB}"


def test_fields_of_requests_have_units(run: Run, tmp_path: Path) -> None:
    document = {
        **HEAD,
        "inputs": [
            {"name": "inventory", "type": "Inventory"},
            {"name": "serving", "type": "Serving", "optional": True},
        ],
        "constants": {"least": {"value": 80, "unit": "GiB", "description": "Least memory."}},
        "rule": {
            "match": [{"output": "inventory.devices.filter(d, d.memory_bytes >= constants.least)[0].kind"}]
        },
    }
    [(code, message, _)] = found(run, tmp_path, document)
    assert (code, message) == (
        "W230",
        "'>=' mixes byte and GiB: 'd.memory_bytes' is byte, 'constants.least' is GiB",
    )


def test_fields_of_declared_types_have_units(run: Run, tmp_path: Path) -> None:
    document = policy("pod.memory < pod.limits[0].memory + pod.wait")
    fields = {
        "memory": {"type": "int", "unit": "byte"},
        "unit": "string",
        "wait": {"type": "int", "unit": "mss"},
        "limits": {"items": {"fields": {"memory": {"type": "int", "unit": "GiB"}}}},
    }
    document["types"] = {"Pod": {"fields": fields}}
    document["inputs"] = [{"name": "pod", "type": "Pod"}]
    assert [(code, message) for code, message, _ in found(run, tmp_path, document)] == [
        (
            "W230",
            "'<' mixes byte and GiB: 'pod.memory' is byte, 'pod.limits[0].memory + pod.wait' is GiB",
        ),
        ("W232", "unknown unit 'mss'"),
    ]


def test_fields_of_a_json_schema_have_units(run: Run, tmp_path: Path) -> None:
    properties = {
        "memory": {"type": "integer", "x-unit": "byte"},
        "limit": {"type": "integer", "x-unit": "GiB"},
        "wait": {"type": "integer", "x-unit": "mss"},
    }
    schema = {"type": "object", "properties": properties, "required": ["memory", "limit", "wait"]}
    (tmp_path / "pod.json").write_text(json.dumps(schema))
    document = policy("pod.memory < pod.limit")
    document["types"] = {"Pod": {"schema": "pod.json"}}
    document["inputs"] = [{"name": "pod", "type": "Pod"}]
    assert [(code, message) for code, message, _ in found(run, tmp_path, document)] == [
        ("W232", "unknown unit 'mss'"),
        ("W230", "'<' mixes byte and GiB: 'pod.memory' is byte, 'pod.limit' is GiB"),
    ]


@pytest.mark.parametrize(
    ("value", "unit", "hint"),
    [
        (8.0, "GB/Gbit", "the value in this unit is 0.125"),
        (0.001, "ms/s", "the value in this unit is 1000.0"),
        (8, "byte/bit", "the value in this unit is 0.125"),
        (0.125, "GB/Gbit", None),
        (1000, "ms/s", None),
        (250.0, "ms/s", None),  # a share of time, not a conversion
        (100, "percent", None),
    ],
)
def test_conversion_with_the_value_of_its_inverse(
    run: Run, tmp_path: Path, value: float, unit: str, hint: str | None
) -> None:
    document = policy("constants.factor")
    document["constants"] = {"factor": {"value": value, "unit": unit, "description": "Factor."}}
    expected = [("W231", f"constant 'factor' converts the other way around: {value} {unit}", hint)]
    assert found(run, tmp_path, document) == (expected if hint else [])


def test_a_long_chain_of_products_is_checked_in_no_time(run: Run, tmp_path: Path) -> None:
    variables = [{"name": "v0", "expression": "gib"}]
    square = "((((variables.v{0} * variables.v{0}))))"
    variables += [{"name": f"v{n + 1}", "expression": square.format(n)} for n in range(400)]
    variables.reverse()
    document = policy("variables.v400 > 0.0 && variables.v2 < data", variables=variables)
    [(code, message, _)] = found(run, tmp_path, document)
    assert (code, message) == ("W230", "'<' mixes GiB^4 and byte: 'variables.v2' is GiB^4, 'data' is byte")


def test_libraries_and_their_inputs_have_units(run: Run, tmp_path: Path) -> None:
    library = {
        "apiVersion": "engine/v1",
        "kind": "Library",
        "name": "waiting",
        "version": "1.0.0",
        "inputs": [{"name": "delay", "type": "double", "unit": "s"}],
        "constants": {"ms_per_s": {"value": 1000.0, "unit": "ms/s", "description": "Milliseconds."}},
        "variables": [{"name": "delay_ms", "unit": "ms", "expression": "delay * constants.ms_per_s"}],
    }
    (tmp_path / "library" / "waiting").mkdir(parents=True)
    (tmp_path / "library" / "waiting" / "1.0.0.yaml").write_text(yaml.safe_dump(library))
    document = policy("waiting.delay_ms < s")
    document["libraries"] = [{"name": "waiting@1", "with": {"delay": "ms"}}]
    findings = found(run, tmp_path, document, "--policies", str(tmp_path))
    assert sorted((code, message) for code, message, _ in findings) == [
        ("W230", "'<' mixes ms and s: 'waiting.delay_ms' is ms, 's' is s"),
        ("W231", "input 'waiting.delay' is declared as s, the expression gives ms"),
    ]


def catalog(columns: dict[str, Any], row: dict[str, Any], name: str = "links") -> dict[str, Any]:
    return {
        "apiVersion": "engine/v1",
        "kind": "Catalog",
        "name": name,
        "version": "1.0.0",
        "describes": {"type": "Device", "by": "kind"},
        "columns": columns,
        "entries": {"CudaGpu": row},
    }


def test_computed_columns_of_catalogs_are_proved(run: Run, tmp_path: Path) -> None:
    columns = {
        "room": {"type": "double", "unit": "GiB"},
        "half": {"type": "double", "unit": "byte"},
        "speed": {"type": "double", "unit": "gbps"},
    }
    row = {
        "room": {"expression": "double(device.memory_bytes)"},
        "half": {"expression": "double(device.memory_bytes) / 2.0"},
        "speed": 3.0,
    }
    findings = found(run, tmp_path, catalog(columns, row))
    assert [(code, message) for code, message, _ in findings] == [
        ("W232", "unknown unit 'gbps'"),
        ("W231", "column room is declared as GiB, the expression gives byte"),
    ]


def test_units_that_cannot_be_read_are_reported_where_they_are_written(run: Run, tmp_path: Path) -> None:
    document = policy("variables.wait + constants.limit + other")
    document["inputs"] = [{"name": "other", "type": "double", "unit": "GB//s"}]
    document["constants"] = {"limit": {"value": 1.0, "unit": "byte/mss", "description": "Limit."}}
    document["rule"]["variables"] = [{"name": "wait", "unit": "Msec/s/", "expression": "other"}]
    file = tmp_path / "policy.yaml"
    text = yaml.safe_dump(document, sort_keys=False)
    file.write_text(text)
    findings = json.loads(run("check", str(file), "--format", "json").out)["findings"]
    places = {each["message"]: (each["line"], each["column"]) for each in findings if each["code"] == "W232"}
    lines = text.split("\n")
    assert places == {
        "'GB//s' is not a unit: found '/'": _place(lines, "GB//s", 3),
        "unknown unit 'mss'": _place(lines, "byte/mss", 5),
        "'Msec/s/' is not a unit: it ends too early": _place(lines, "Msec/s/", 6),
    }


def _place(lines: list[str], text: str, offset: int) -> tuple[int, int]:
    number, line = next((number, line) for number, line in enumerate(lines, 1) if text in line)
    return number, line.index(text) + offset + 1


def test_a_site_adds_units_by_a_patch(run: Run, tmp_path: Path) -> None:
    patch = {
        "apiVersion": "engine/v1",
        "kind": "CatalogPatch",
        "name": "acme-units",
        "version": "1.0.0",
        "base": "units@1",
        "entries": {"slot": {"definition": "15 min"}, "Ae": {"prefixes": "decimal"}},
    }
    (tmp_path / "patch" / "acme-units").mkdir(parents=True)
    (tmp_path / "patch" / "acme-units" / "1.0.0.yaml").write_text(yaml.safe_dump(patch))
    document = policy("variables.wait")
    document["inputs"] = [
        {"name": "wait", "type": "double", "unit": "slot"},
        {"name": "power", "type": "double", "unit": "kAe"},
    ]
    document["rule"]["variables"] = [{"name": "wait", "unit": "s", "expression": "wait"}]
    [(code, message, hint)] = found(run, tmp_path, document, "--policies", str(tmp_path))
    assert (code, message) == ("W231", "'wait' is declared as s, the expression gives slot")
    assert hint == "multiply it by a constant that converts: {value: 900.0, unit: s/slot}"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"definition": "loop"}, "unit 'loop' has the definition 'loop'"),
        ({"definition": "2 loop"}, "unit 'loop' is defined by itself"),
        ({"definition": "0 s"}, "unit 'loop' has the definition '0 s'"),
        ({"definition": "2 mss"}, "unknown unit 'mss'"),
    ],
)
def test_faulty_definitions_of_units(run: Run, tmp_path: Path, row: dict[str, Any], message: str) -> None:
    patch = {**HEAD, "kind": "CatalogPatch", "name": "acme", "base": "units@1", "entries": {"loop": row}}
    (tmp_path / "patch" / "acme").mkdir(parents=True)
    (tmp_path / "patch" / "acme" / "1.0.0.yaml").write_text(yaml.safe_dump(patch))
    document = policy("wait")
    document["inputs"] = [{"name": "wait", "type": "double", "unit": "loop"}]
    [(code, said, _)] = found(run, tmp_path, document, "--policies", str(tmp_path))
    assert (code, said) == ("W232", message)


def test_units_reports_how_much_is_known(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(policy("unknown * ms + unknown < s")))
    result = run("check", str(file), "--units")
    # unknown, ms, unknown * ms, unknown, s; and the sum, of which nothing is known.
    assert "units of units@1.0.0: 2 of 6 numbers have a known unit (33.3 %)" in result.out
    assert "  2 × unknown" in result.out
    report = json.loads(run("check", str(file), "--units", "--format", "json").out)["units"]
    assert report == [{"policy": "units@1.0.0", "total": 6, "known": 2, "unknown": {"unknown": 2}}]
    assert "units" not in json.loads(run("check", str(file), "--format", "json").out)
