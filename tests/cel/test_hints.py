"""What people write who think in another language: one fault, and a hint that says how CEL writes it."""

from __future__ import annotations

import pytest

from engine.cel import celtypes as t
from engine.cel.celtypes import Field, ObjectType
from engine.cel.checker import CelCheckError, Environment, check

POD = ObjectType("Pod", {"name": Field(t.STRING), "cpu": Field(t.DOUBLE)}, "")
ENVIRONMENT = Environment(
    {
        "plan": t.STRING,
        "used": t.INT,
        "latency": t.DOUBLE,
        "flag": t.BOOL,
        "tags": t.list_of(t.STRING),
        "since": t.TIMESTAMP,
        "waited": t.DURATION,
        "limits": t.map_of(t.STRING, t.INT),
        "pod": t.object_type("Pod"),
        "pods": t.list_of(t.object_type("Pod")),
        "constants.slow": t.DOUBLE,
        "constants.label": t.STRING,
        "constants.free_limit": t.INT,
        "variables.limit": t.INT,
    },
    {"Pod": POD},
)
OTHER_LANGUAGES = {
    # operators and words
    'plan =~ "a.*"': "text.matches(",
    'plan ~= "a.*"': "text.matches(",
    'plan !~ "a.*"': "!text.matches(",
    "used =! 3": "inequality is written !=",
    "used < = 3": "write <= without a space",
    "plan is not null": "inequality is written !=",
    "used in 1..5": "low <= x && x <= high",
    "used in [1, 5)": "of column 9 is closed by ]",
    "used in (1, 2)": "a list stand in [ ]",
    "used in {1, 2}": "a list stand in [ ]",
    'plan in ["a" "b"]': "a comma is missing",
    "used > 1,000": "write 1000",
    "latency > 2,5": "write 2.5",
    "waited > 1h30m": 'duration("1h30m")',
    "waited > 30 minutes": 'duration("30m")',
    "waited > 2d": 'duration("48h")',
    "plan.matches(/a.*/)": "a pattern is text",
    "flag /* why */": "a comment begins with //",
    "used // 2 > 3 && flag": None,
    'f"{plan}" == plan': ".format([",
    "`${plan}` == plan": ".format([",
    "${plan} == plan": "the name alone",
    "{{ plan }} == plan": "the name alone",
    'some t in tags; t == "a"': "list.exists(x, …)",
    "tags[0] as string": "string(a)",
    "(int) latency > 3": "write int(latency)",
    "new Date() > since": "nothing is made by new",
    "typeof used == int": "type(x)",
    "used instanceof int": "type(a) == int",
    "lambda x: x": "list.map(x, …)",
    'flag ? "a"': "condition ? a : b",
    "tags.exists(t: t == plan)": "a comma follows the name",
    "pods[*].cpu > 3.0": "list.map(x, x.field)",
    "tags.0 == plan": "is written list[0]",
    'plan.matches("\\d+")': "raw text",
    'plan ~ "a"': "text.matches(",
    "used NOT IN [1]": "write !(x in y)",
    "used IS NOT NULL": "inequality is written !=",
    "deny { used > 3 }": "no blocks in { }",
    "tags.any { |t| t == plan }": "list.exists(x, …)",
    "pod->cpu > 1.0": "a field is read by a point",
    "constants::slow > 1.0": "a field is read by a point",
    "tags!.size() > 0": "without !",
    # names
    "constants.free-limit > 3": "write free_limit",
    "constants.slow.value > 1.0": "write constants.slow",
    "oldObject.spec == 1": "declare spec",
    "input.plan == plan": "write plan",
    "request.used > 3": "write used",
    "rate.limit > 3": "write variables.limit",
    "constant.slow > 1.0": "write constants.slow",
    'constants["slow"] > 1.0': "write constants.slow",
    "variables.limit() > 3": "without ( )",
    "tags[_] == plan": "list.exists(x, …)",
    "tags.exists(tag, tga == plan)": "did you mean 'tag'",
    # functions
    "isinstance(plan, str)": "type(x) == int",
    "plan.ToLower() == plan": "lowerAscii()",
    "plan.to_lower() == plan": "lowerAscii()",
    "plan.lstrip() == plan": "trim()",
    'strings.HasPrefix(plan, "a")': "text.startsWith(part)",
    're.match("a", plan)': "text.matches(",
    "Math.max(used, 3) > 3": "math.greatest(a, b)",
    "Date.now() > since": "declare an input",
    "IF(flag, 1, 2) > 1": "condition ? a : b",
    "AND(flag, flag)": "and is written &&",
    "to_number(plan) > 3": "int(x)",
    'limits.containsKey("a")': "key in map",
    'limits.has("a")': 'write "a" in limits',
    'limits.contains("a")': 'write "a" in limits',
    'tags.exists("a")': 'write "a" in tags',
    "all([flag])": "list.all(x, …)",
    "tags.all(t == plan)": "tags.all(x, …)",
    "tags.find(t, t == plan) == plan": "tags.filter(t, t == plan)[0]",
    "pods.sum(p, p.cpu) > 3.0": "pods.map(p, p.cpu).sum()",
    "sum(pods.map(p, p.cpu)) > 3.0": "pods.map(p, p.cpu).sum()",
    "has(plan)": "plan != null",
    'has(limits["a"])': 'write "a" in limits',
    "waited.seconds() > 3": "getSeconds()",
    "since.getYear() > 3": "getFullYear()",
    "since.year > 2025": "since.getFullYear()",
    "FALSE()": "write false",
    "MAX(used, 3) > 3": "math.greatest(a, b)",
    "LEFT(plan, 3) == plan": "text.substring(0, n)",
    "JSON.parse(plan) == plan": "requests are read already",
    'contains(keys(limits), "a")': "map.map(k, k)",
    # types
    "plan[-1] == plan": "plan.substring(plan.size() - 1)",
    "plan.compareTo(plan) > 0": "plan < plan",
    'plan == "a" || "b"': 'plan == "a" || plan == "b"',
    "used == 1 || 2": "used == 1 || used == 2",
    'plan == ("a" || "b")': 'x == "a" || x == "b"',
    '!plan in ["a"]': 'write !(plan in ["a"])',
    "flag == 1": "flag is a bool",
    'type(used) == "int"': "write int without quotes",
    'used == "many"': "no text equals",
    'since > "2026-01-01"': 'timestamp("2026-01-01T00:00:00Z")',
    "since > 2026-01-01": 'timestamp("2026-01-01T00:00:00Z")',
    "since + 30 > since": 'duration("30s")',
    'since + "30d" > since': 'duration("720h")',
    'waited > "1d"': 'duration("24h")',
    "latency > constants.label": "is text",
    '",".join(tags) == plan': 'tags.join(",")',
    '"{} of {}".format(plan, used) == plan': '"%s of %s".format([plan, used])',
    '"%d".format(used) == plan': '"%d".format([used])',
    '"%s" % plan == plan': '"%s".format([plan])',
    "plan[0] == plan": "plan.charAt(0)",
    "plan.slice(0, 3) == plan": "plan.substring(0, 3)",
    'plan.matches("a", "i")': "(?i)",
    'pod["cpu"] > 3.0': "write pod.cpu",
}


@pytest.mark.parametrize("text", OTHER_LANGUAGES)
def test_a_hint_says_how_cel_writes_it(text: str) -> None:
    expected = OTHER_LANGUAGES[text]
    if expected is None:
        assert check(text, ENVIRONMENT).type == t.INT
        return
    with pytest.raises(CelCheckError) as caught:
        check(text, ENVIRONMENT)
    (fault,) = caught.value.faults
    assert expected in str(fault.hint), (fault.message, fault.hint)
