"""Files that multiply each other: libraries, overlays, parts, catalogs and suites end with a message."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Run

HEAD = "apiVersion: engine/v1\nkind: {}\nname: {}\nversion: 1.0.0\n"
INPUT = "inputs: [{name: x, type: int}]\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def policy(name: str = "p", rest: str = "", rule: str = "{match: [{output: x}]}") -> str:
    return f"{HEAD.format('Policy', name)}{INPUT}{rest}rule: {rule}\n"


def test_libraries_that_list_the_next_one_twice(run: Run, tmp_path: Path) -> None:
    files = {"p/1.0.0.yaml": policy(rest="libraries: [l0@1]\n", rule="{match: [{output: l0.v}]}")}
    for n in range(16):
        listed = f"libraries: [{{name: l{n + 1}@1, as: a}}, {{name: l{n + 1}@1, as: b}}]\n"
        body = f"{INPUT}{listed}variables: [{{name: v, expression: a.v + b.v}}]\n"
        files[f"library/l{n}/1.0.0.yaml"] = HEAD.format("Library", f"l{n}") + body
    last = f"{INPUT}variables: [{{name: v, expression: x}}]\n"
    files["library/l16/1.0.0.yaml"] = HEAD.format("Library", "l16") + last
    write(tmp_path, files)
    ran = run("eval", "--policies", tmp_path, "--policy", "p", "--input", "-", stdin='{"x": 1}').ok(2)
    assert "more than 100 libraries" in ran.err


def test_an_overlay_of_thousands_of_faulty_changes(run: Run, tmp_path: Path) -> None:
    changes = "".join(f"  - {{disable: z{n}}}\n" for n in range(3000))
    overlay = f"{HEAD.format('Overlay', 'o')}base: p@1\nmatches:\n{changes}"
    write(tmp_path, {"p/1.0.0.yaml": policy(), "o/1.0.0.yaml": overlay})
    ran = run("check", tmp_path, "--format", "json").ok(1)
    assert 1 < len(ran.json["findings"]) <= 100


def test_changes_of_an_overlay_apply_in_order(run: Run, tmp_path: Path) -> None:
    """Entries are found by an index, which follows additions, removals and new ids."""
    base = policy(rule="{match: [{id: a, condition: x > 5, output: '1'}, {id: b, output: '2'}]}")
    changes = (
        "matches:\n"
        "  - {before: a, id: c, condition: x > 50, output: '3'}\n"
        "  - {after: c, id: d, condition: x > 40, output: '4'}\n"
        "  - {replace: c, id: e, output: '5'}\n"
        "  - {disable: a}\n"
        "  - {before: b, id: a, condition: x > 30, output: '6'}\n"
    )
    overlay = f"{HEAD.format('Overlay', 'o')}base: p@1\n{changes}"
    write(tmp_path, {"p/1.0.0.yaml": base, "o/1.0.0.yaml": overlay})
    for x, match, output in ((60, "e", 5), (45, "d", 4), (35, "a", 6), (10, "b", 2)):
        request = f'{{"x": {x}}}'
        ran = run(
            *("eval", "--policies", tmp_path, "--policy", "o", "--input", "-", "--format", "json"),
            stdin=request,
        )
        assert (ran.json["match"], ran.json["output"]) == (match, output)


def test_a_cell_of_a_catalog_has_a_small_budget(run: Run, tmp_path: Path) -> None:
    cell = '{a: {expression: "lists.range(1000000).map(q, q * q).sum()"}}'
    described = "describes: {type: Device, by: kind}\ncolumns: {a: {type: int}}\n"
    catalog = HEAD.format("Catalog", "big") + described
    files = {
        "catalog/big/1.0.0.yaml": f"{catalog}entries:\n  CudaGpu: {cell}\n",
        "p/1.0.0.yaml": HEAD.format("Policy", "p")
        + "inputs: [{name: inv, type: Inventory}]\ncatalogs: [big@1]\n"
        + 'rule: {match: [{output: "inv.devices.map(d, d.a).sum()"}]}\n',
    }
    write(tmp_path, files)
    request = '{"inv": {"devices": [{"kind": "CudaGpu", "memory": "80GiB", "count": 64}]}}'
    for runtime in ("compiled", "cel-python"):
        ran = run(
            *("eval", "--policies", tmp_path, "--policy", "p", "--input", "-", "--runtime", runtime),
            stdin=request,
        ).ok(2)
        assert "catalog/big/1.0.0.yaml:8:30" in ran.err
        assert "budget of a catalog's cell exceeded (1,000 steps), for inv.devices[0]" in ran.err


def test_a_matrix_of_too_many_combinations(run: Run, tmp_path: Path) -> None:
    inputs = ", ".join(f"{{name: x{n}, type: int}}" for n in range(8))
    matrix = ", ".join(f"x{n}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]" for n in range(8))
    suite = (
        "apiVersion: engine/v1\nkind: Suite\npolicy: p@1\ntests:\n"
        f"  - {{name: m, matrix: {{{matrix}}}, expect: {{outcome: value}}}}\n"
    )
    text = f"{HEAD.format('Policy', 'p')}inputs: [{inputs}]\nrule: {{match: [{{output: x0}}]}}\n"
    write(tmp_path, {"p/1.0.0.yaml": text, "p/tests/a_test.yaml": suite})
    for ran in (run("test", "--policies", tmp_path, tmp_path).ok(2), run("check", tmp_path).ok(1)):
        assert "the matrix has 100,000,000 combinations, at most 10,000 are allowed" in ran.out


def test_a_folder_of_thousands_of_parts(run: Run, tmp_path: Path) -> None:
    part = "apiVersion: engine/v1\nkind: Part\n"
    files = {"p/1.0.0/policy.yaml": policy()}
    files |= {f"p/1.0.0/c{n}.yaml": f"{part}constants: {{c{n}: {{value: 1}}}}\n" for n in range(1000)}
    ran = run("check", write(tmp_path, files)).ok(1)
    assert ran.out.count("E002") == 1
    assert "more than 200 parts" in ran.out


def test_a_number_of_many_digits_in_a_csv_file(run: Run, tmp_path: Path) -> None:
    rule = "{table: {columns: {xx: {input: x, type: int}, o: {type: int}}, rows: r.csv}}"
    files = {"p/1.0.0.yaml": policy(rule=rule), "p/r.csv": f"xx,o\n{'9' * 100_000},2\n"}
    ran = run("check", write(tmp_path, files)).ok(1)
    assert "r.csv:2:1: E130 xx: expected a whole number" in ran.out
