"""`engine diff`: what changes between versions, files, folders and revisions, on a corpus and by a search."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.decide.policy import load_policy
from tests.conftest import TOP, Run

pytestmark = pytest.mark.usefixtures("first_version")

SHARDING = (TOP / "policies" / "sharding" / "1.0.0.yaml").read_text()
TIGHTER = SHARDING.replace("value: 100.0, unit: GB/s", "value: 150.0, unit: GB/s").replace(
    "version: 1.0.0\ndesc", "version: 1.1.0\ndesc"
)
QUOTA = """apiVersion: engine/v1
kind: Policy
name: quota
version: 1.0.0
inputs: [{name: gpus, type: int}, {name: team, type: string}]
constants: {free: {value: 4, unit: GPU, description: So many cost nothing.}}
rule:
  match:
    - {id: free, condition: gpus <= constants.free, output: "0"}
    - {id: paid, output: gpus - constants.free}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "policies"
    shutil.copytree(TOP / "policies", own)
    (own / "sharding" / "1.1.0.yaml").write_text(TIGHTER)
    return own


def request(number: int, bandwidth: float, count: int = 8, params: str = "70B") -> dict[str, Any]:
    return {
        "id": number,
        "inventory": {
            "devices": [{"kind": "CudaGpu", "count": count, "memory": "80GiB"}],
            "interconnects": [{"kind": "NVLink", "bandwidth_gbps": bandwidth}],
        },
        "model": {"params": params},
        "quantization": "bf16",
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Of these, those of 101 to 150 GB/s change where they need several devices."""
    path = tmp_path / "requests.jsonl"
    lines = [json.dumps(request(number, bandwidth)) for number, bandwidth in enumerate(range(90, 160, 5))]
    lines.append(json.dumps(request(99, 120.0, params="7B")))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_a_threshold(run: Run, folder: Path, corpus: Path) -> None:
    arguments = ("diff", "sharding@1.0.0", "sharding@1.1.0", "--policies", folder, "--requests", corpus)
    ran = run(*arguments, "--format", "json")
    assert ran.code == 1
    found = ran.json
    changing = [bandwidth for bandwidth in range(90, 160, 5) if 100 < bandwidth <= 150]
    assert (found["total"], found["changed"]) == (15, len(changing))
    (group,) = found["groups"]
    assert group["from"] == {"match": "tensor-parallel", "strategy": "tensor_parallel"}
    assert group["to"] == {"match": "pipeline-parallel", "strategy": "pipeline_parallel"}
    assert (group["count"], group["total_memory_bytes_delta"]) == (len(changing), 0)
    expected = sum(20.0 * 8 * 2 * (0.85 - 1 - min(bandwidth / 200, 0.8)) for bandwidth in changing)
    assert group["estimated_tokens_per_sec_delta"] == pytest.approx(expected)
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    assert group["example"] == next(line for line in lines if line["id"] == 3)
    assert run(*arguments, "--format", "json", "--jobs", "2").json == found


def test_for_people(run: Run, folder: Path, corpus: Path) -> None:
    arguments = ("diff", "sharding@1.0.0", "sharding@1.1.0", "--policies", folder, "--requests", corpus)
    out = run(*arguments).out
    assert out.startswith("sharding@1.0.0 → sharding@1.1.0\n10 of 15 decisions change (66.7 %)\n\n")
    assert "     10  tensor-parallel → pipeline-parallel  (tensor_parallel → pipeline_parallel)\n" in out
    markdown = run(*arguments, "--format", "markdown").out
    assert markdown.startswith("### `sharding@1.0.0` → `sharding@1.1.0`\n\n10 of 15 decisions change")
    assert (
        "| 10 | tensor-parallel → pipeline-parallel  (tensor_parallel → pipeline_parallel) |  | -" in markdown
    )
    assert markdown.count("```json") == 1


def test_nothing_changes(run: Run, corpus: Path) -> None:
    ran = run("diff", "sharding@1.0.0", "sharding@1", "--requests", corpus)
    ran.ok()
    assert "0 of 15 decisions change" in ran.out


def test_words_are_no_change(run: Run, folder: Path, corpus: Path) -> None:
    other = folder / "sharding" / "1.2.0.yaml"
    text = SHARDING.replace("links of %.1f GB/s join", "cables of %.1f GB/s join")
    other.write_text(text.replace("version: 1.0.0\ndesc", "version: 1.2.0\ndesc"))
    run("diff", "sharding@1.0.0", other, "--requests", corpus).ok()


@pytest.mark.slow
def test_files_and_folders(run: Run, folder: Path, corpus: Path) -> None:
    new = newest(folder)
    for right in (new, folder):
        ran = run("diff", "sharding@1.0.0", right, "--requests", corpus, "--format", "json")
        assert ran.code == 1
        assert ran.json["changed"] == 10
        assert ran.json["to"] == f"{right} (sharding@9.0.0)"
    ran = run("diff", TOP / "policies", folder, "--requests", corpus, "--format", "json")
    shipped = load_policy("sharding").version
    assert ran.json["from"] == f"{TOP / 'policies'} (sharding@{shipped})"


def newest(folder: Path) -> Path:
    """The tighter policy once more, as the newest version of all."""
    file = folder / "sharding" / "9.0.0.yaml"
    file.write_text(TIGHTER.replace("1.1.0", "9.0.0"))
    return file


@pytest.mark.slow
def test_packed_and_from_standard_input(run: Run, folder: Path, corpus: Path) -> None:
    packed = corpus.with_name("r.jsonl.gz")
    packed.write_bytes(gzip.compress(corpus.read_bytes()))
    arguments = ("diff", "sharding@1.0.0", folder, "--format", "json", "--requests")
    assert run(*arguments, packed).json == run(*arguments, "-", stdin=corpus.read_bytes()).json


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository whose first commit has the looser policy."""
    top = tmp_path / "repository"
    shutil.copytree(TOP / "policies", top / "policies")
    policy = top / "policies" / "sharding" / "9.0.0.yaml"
    policy.write_text(SHARDING.replace("version: 1.0.0\ndesc", "version: 9.0.0\ndesc"))

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=top, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    policy.write_text(TIGHTER.replace("1.1.0", "9.0.0"))
    monkeypatch.chdir(top)
    return top


@pytest.mark.slow
def test_git_revisions(run: Run, repository: Path, corpus: Path) -> None:
    for left, right in (
        ("git:HEAD:policies", "policies"),
        ("git:HEAD:policies/sharding/9.0.0.yaml", "policies/sharding/9.0.0.yaml"),
    ):
        ran = run("diff", left, right, "--requests", corpus, "--format", "json")
        assert ran.code == 1, ran.err
        assert ran.json["changed"] == 10
        assert ran.json["from"] == f"{left} (sharding@9.0.0)"


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ("git:nonsense:policies", "git: "),
        ("git:HEAD:nothing", "git: "),
        ("git:HEAD", "invalid git revision"),
        ("git:--output=x:policies", "invalid git revision"),
        ("git:HEAD:../..", "is not in the repository"),
        ("shardin@1.0.0", "did you mean 'sharding'?"),
        ("nothing/at/all.yaml", "no such file"),
        (".", "no policies in this folder"),
    ],
)
def test_sides_that_are_not_there(left: str, message: str, run: Run, repository: Path, corpus: Path) -> None:
    ran = run("diff", left, "policies", "--requests", corpus)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "Traceback" not in ran.err


def commit(top: Path) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    for arguments in (("add", "-A"), ("commit", "-qm", "more")):
        subprocess.run(["git", *who, *arguments], cwd=top, check=True, capture_output=True)


def _link(policies: Path) -> None:
    (policies / "sharding" / "8.0.0.yaml").symlink_to("/etc/passwd")


def _link_to_folder(policies: Path) -> None:
    (policies / "other").symlink_to("../../..")


def _huge(policies: Path) -> None:
    with (policies / "sharding" / "8.0.0.yaml").open("wb") as file:
        file.truncate(500 * 2**20)


def _huge_together(policies: Path) -> None:
    for number in range(70):
        with (policies / f"{number}.bin").open("wb") as file:
            file.truncate(2**20)


def _many(policies: Path) -> None:
    for number in range(10_001):
        (policies / f"{number}.yaml").touch()


def _deep(policies: Path) -> None:
    folder = policies.joinpath(*"d" * 40)
    folder.mkdir(parents=True)
    (folder / "1.0.0.yaml").touch()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_link, "'policies/sharding/8.0.0.yaml' is a symbolic link, expected a regular file"),
        (_link_to_folder, "'policies/other' is a symbolic link, expected a regular file"),
        (_huge, "more than 64 MiB of files"),
        (_huge_together, "more than 64 MiB of files"),
        (_many, "more than 10,000 files and folders"),
        (_deep, "is not a path in a folder of policies"),
    ],
)
def test_odd_and_huge_revisions(
    change: Callable[[Path], None], message: str, run: Run, repository: Path, corpus: Path
) -> None:
    change(repository / "policies")
    commit(repository)
    tracemalloc.start()
    ran = run("diff", "git:HEAD:policies", "sharding@1.0.0", "--requests", corpus)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.startswith("error: git:HEAD:policies: ")
    assert peak < 50_000_000


@pytest.mark.slow
def test_other_files_of_a_revision_are_left_out(run: Run, repository: Path, corpus: Path) -> None:
    (repository / "policies" / "big.bin").write_bytes(os.urandom(5 * 2**20))
    commit(repository)
    ran = run("diff", "git:HEAD:policies", "git:HEAD:policies", "--requests", corpus)
    ran.ok(quiet=True)


def test_any_policy(run: Run, tmp_path: Path) -> None:
    left, right = tmp_path / "a.yaml", tmp_path / "b.yaml"
    left.write_text(QUOTA)
    right.write_text(QUOTA.replace("value: 4", "value: 6"))
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text("".join(json.dumps({"gpus": gpus, "team": "red"}) + "\n" for gpus in range(10)))
    found = run("diff", left, right, "--inputs", inputs, "--format", "json").json
    groups = [(each["from"]["match"], each["to"]["match"], each["count"]) for each in found["groups"]]
    assert groups == [("paid", "paid", 3), ("paid", "free", 2)]
    assert [each["example"]["gpus"] for each in found["groups"]] == [7, 5]


def test_lines_that_are_no_requests(run: Run, folder: Path, corpus: Path) -> None:
    newest(folder)
    corpus.write_text("nonsense\n" + corpus.read_text() + "{}\n[]\n")
    ran = run("diff", "sharding@1.0.0", folder, "--requests", corpus, "--format", "json")
    assert ran.json["changed"] == 10
    assert ran.json["unreadable"] == 2
    assert "2 invalid lines skipped; first: line 1: not valid JSON" in ran.err
    corpus.write_text("nonsense\n")
    assert run("diff", "sharding@1.0.0", folder, "--requests", corpus).code == 2


def quota_folder(top: Path, name: str, free: int, policy: str = "quota") -> Path:
    """A folder of policies with one policy on a subject of its own."""
    file = top / name / policy / "1.0.0.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(QUOTA.replace("name: quota", f"name: {policy}").replace("value: 4", f"value: {free}"))
    return top / name


def test_diff_requests_that_neither_side_decides_are_errors_not_unchanged(run: Run, tmp_path: Path) -> None:
    left, right = quota_folder(tmp_path, "a", 4), quota_folder(tmp_path, "b", 6)
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text('{"gpu": 5, "team": "red"}\n' * 3)
    ran = run("diff", left, right, "--inputs", inputs)
    assert (ran.code, ran.out) == (2, "")
    assert "neither policy can decide any of these requests" in ran.err
    assert "3 of 3 requests could not be decided; first: line 1: " in ran.err
    inputs.write_text('{"gpu": 5, "team": "red"}\n{"gpus": 3, "team": "red"}\n')
    ran = run("diff", left, right, "--inputs", inputs, "--format", "json")
    assert ran.code == 0
    assert (ran.json["total"], ran.json["changed"], ran.json["errors"]) == (2, 0, 1)
    assert "1 of 2 requests could not be decided" in ran.err
    text = run("diff", left, right, "--inputs", inputs).out
    assert "0 of 1 decisions change (0.0 %), 1 requests that neither policy can decide" in text


@pytest.mark.slow
def test_diff_of_a_policy_in_parts_takes_its_folder(run: Run, corpus: Path) -> None:
    parts = TOP / "policies" / "sharding" / "3.0.0"
    ran = run("diff", parts, "sharding@3.0.0", "--requests", corpus, "--format", "json")
    assert (ran.code, ran.json["changed"]) == (0, 0)
    assert ran.json["from"] == f"{parts} (sharding@3.0.0)"


def test_diff_of_inputs_with_ids_decides_them(run: Run, tmp_path: Path) -> None:
    left, right = quota_folder(tmp_path, "a", 4), quota_folder(tmp_path, "b", 6)
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text('{"id": "x", "gpus": 5, "team": "red"}\n')
    found = run("diff", left, right, "--inputs", inputs, "--format", "json").json
    assert (found["changed"], found["errors"]) == (1, 0)


def test_diff_folders_that_hold_one_policy_compares_it(run: Run, tmp_path: Path) -> None:
    left, right = quota_folder(tmp_path, "a", 4), quota_folder(tmp_path, "b", 6)
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text("".join(json.dumps({"gpus": gpus, "team": "red"}) + "\n" for gpus in range(10)))
    ran = run("diff", left, right, "--inputs", inputs, "--format", "json")
    assert ran.code == 1
    assert ran.json["from"] == f"{left} (quota@1.0.0)"
    assert ran.json["changed"] == 5


def test_diff_folders_that_hold_other_policies_is_an_error(run: Run, tmp_path: Path, corpus: Path) -> None:
    left, right = quota_folder(tmp_path, "a", 4), quota_folder(tmp_path, "b", 6)
    ran = run("diff", left, right, "--policy", "sharding", "--requests", corpus)
    assert (ran.code, ran.out) == (2, "")
    assert "no side holds a policy 'sharding'" in ran.err
    assert f"{left} holds quota; {right} holds quota" in ran.err
    quota_folder(tmp_path, "a", 4, "limits")
    quota_folder(tmp_path, "b", 4, "limits")
    ran = run("diff", left, right, "--requests", corpus)
    assert (ran.code, ran.out) == (2, "")
    assert "name one with --policy" in ran.err
    assert f"{left} holds limits, quota" in ran.err
    ran = run("diff", "sharding@1.0.0", right, "--requests", corpus)
    assert ran.code == 2
    assert "no policy 'sharding' in the folder" in ran.err


def test_errors_of_one_side(run: Run, tmp_path: Path) -> None:
    left, right = tmp_path / "a.yaml", tmp_path / "b.yaml"
    left.write_text(QUOTA)
    right.write_text(QUOTA.replace("output: gpus - constants.free", "output: gpus / (gpus - 7)"))
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text('{"gpus": 7, "team": "red"}\n{"gpus": "x", "team": "red"}\n')
    found = run("diff", left, right, "--inputs", inputs, "--format", "json").json
    assert (found["total"], found["changed"], found["errors"]) == (2, 1, 1)
    assert found["groups"][0]["to"]["match"] == "error"


@pytest.mark.slow
def test_a_search_finds_the_smallest(run: Run, tmp_path: Path) -> None:
    left, right = tmp_path / "a.yaml", tmp_path / "b.yaml"
    left.write_text(QUOTA)
    right.write_text(QUOTA.replace("gpus <= constants.free", "gpus < constants.free"))
    ran = run("diff", left, right, "--search", "--seed", "1")
    assert ran.code == 1
    assert yaml.safe_load(ran.out) == {
        "tests": [{"name": "free, not paid", "inputs": {"gpus": 4, "team": ""}, "expect": {"match": "free"}}]
    }
    suite = tmp_path / "a_test.yaml"
    for policy, code in (("a.yaml", 0), ("b.yaml", 1)):
        suite.write_text(f"apiVersion: engine/v1\nkind: Suite\npolicy: {policy}\n{ran.out}")
        assert run("test", suite).code == code


@pytest.mark.slow
def test_a_search_that_finds_nothing(run: Run) -> None:
    ran = run("diff", "sharding@1.0.0", "sharding@1.0.0", "--search", "--examples", "30", "--seed", "1")
    assert (ran.code, ran.out) == (0, "")
    assert "(not a proof)" in ran.err


@pytest.mark.slow
def test_a_search_for_sharding(run: Run, folder: Path) -> None:
    """A switch that no longer counts: found with the device catalog's help."""
    path = folder / "sharding" / "1.3.0.yaml"
    text = SHARDING.replace('i.fabric == "nvlink" && i.switched', "false && i.switched")
    path.write_text(text.replace("version: 1.0.0\ndesc", "version: 1.3.0\ndesc"))
    ran = run("diff", "sharding@1.0.0", path, "--search", "--seed", "3")
    assert ran.code == 1, ran.err
    (test,) = yaml.safe_load(ran.out)["tests"]
    assert test["expect"]["match"] == "tensor-parallel"
    assert any(link["kind"] == "NVSwitch" for link in test["inputs"]["inventory"]["interconnects"])


def test_bad_usage(run: Run, corpus: Path) -> None:
    assert run("diff", "sharding", "sharding").code == 2
    assert run("diff", "sharding", "sharding", "--search", "--requests", corpus).code == 2
    ran = run("diff", "sharding", "quantization", "--search")
    assert ran.code == 2
    assert "have different inputs" in ran.err


ACCESS = """apiVersion: engine/v1
kind: Policy
name: access
version: 1.0.0
inputs:
  - {name: role, type: string}
  - {name: hours, type: int}
  - {name: groups, type: list(string)}
constants:
  roots: {value: [root, toor], unit: user, description: Users who may do anything.}
  most: {value: 8, unit: hour, description: Longest session.}
rule:
  variables:
    - {name: ops, expression: '"ops" in groups'}
  match:
    - id: root
      condition: role in constants.roots
      output: '{"effect": "ALLOW", "hours": constants.most * 2, "notes": ["root"]}'
    - id: ops
      condition: variables.ops && hours <= constants.most
      output: '{"effect": "ALLOW", "hours": hours, "notes": [""]}'
    - {id: other, output: '{"effect": "DENY", "hours": 0, "notes": [""]}'}
"""


def pair(tmp_path: Path, old: str, new: str) -> tuple[Path, Path]:
    left, right = tmp_path / "a.yaml", tmp_path / "b.yaml"
    assert old in ACCESS
    left.write_text(ACCESS)
    right.write_text(ACCESS.replace(old, new))
    return left, right


def test_diff_of_values_groups_by_the_parts_of_the_output_that_change(run: Run, tmp_path: Path) -> None:
    left, right = pair(
        tmp_path,
        '"ALLOW", "hours": hours, "notes": [""]',
        '"AUDIT", "hours": hours + 1, "notes": ["logged"]',
    )
    inputs = tmp_path / "inputs.jsonl"
    lines = [{"role": "dev", "hours": hours, "groups": ["ops"]} for hours in range(10)]
    inputs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = run("diff", left, right, "--inputs", inputs, "--format", "json").json
    (group,) = found["groups"]
    assert group["count"] == 9
    assert group["from"] == {
        "match": "ops",
        "output": {"output.effect": "ALLOW", "output.hours": 4.0, "output.notes[0]": ""},
    }
    assert group["to"]["output"] == {
        "output.effect": "AUDIT",
        "output.hours": 5.0,
        "output.notes[0]": "logged",
    }
    assert "estimated_tokens_per_sec_delta" not in group
    text = run("diff", left, right, "--inputs", inputs).out
    assert '         output.effect: "ALLOW" → "AUDIT"\n' in text
    assert "         output.hours: 4 → 5 on average\n" in text
    markdown = run("diff", left, right, "--inputs", inputs, "--format", "markdown").out
    assert "| decisions | change | output |\n|--:|---|---|\n" in markdown
    assert "bytes" not in markdown


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("role in constants.roots", 'role == "root" || role == "toor"'),
        ("variables.ops && hours <= constants.most", "constants.most >= hours && variables.ops"),
        ("constants.most * 2", "constants.most + constants.most"),
        ('"hours": hours, "notes": [""]', '"notes": [""], "hours": hours + 0'),
    ],
)
def test_proof_of_equal_policies_says_so(run: Run, tmp_path: Path, old: str, new: str) -> None:
    left, right = pair(tmp_path, old, new)
    ran = run("diff", left, right, "--prove")
    assert (ran.code, ran.out) == (0, "")
    assert "proved: A and B decide alike for every request" in ran.err
    assert run("diff", left, right, "--prove", "--format", "json").json["verdict"] == "equal"


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("[root, toor]", "[root]", "root"),
        ("hours <= constants.most", "hours < constants.most", "ops"),
        ('"hours": hours, "notes"', '"hours": hours + 1, "notes"', "ops"),
        ('"ops" in groups', '"opt" in groups', "ops"),
        ('"DENY"', '"AUDIT"', "other"),
    ],
)
def test_proof_of_different_policies_is_a_request(
    run: Run, tmp_path: Path, old: str, new: str, match: str
) -> None:
    left, right = pair(tmp_path, old, new)
    ran = run("diff", left, right, "--prove", "--seed", "1")
    assert ran.code == 1, ran.err
    suite = tmp_path / "a_test.yaml"
    for policy, code in (("a.yaml", 0), ("b.yaml", 1)):
        suite.write_text(f"apiVersion: engine/v1\nkind: Suite\npolicy: {policy}\n{ran.out}")
        assert run("test", suite).code == code
    (test,) = yaml.safe_load(ran.out)["tests"]
    assert test["name"].startswith(match) or test["name"].endswith(match)


def test_variables_of_one_name_and_other_meaning_are_not_taken_as_equal(run: Run, tmp_path: Path) -> None:
    """The condition is written alike; what the variable in it reads is not."""
    left, right = pair(
        tmp_path, "expression: '\"ops\" in groups'", "expression: 'size(groups.filter(g, g == \"x\")) > 0'"
    )
    assert run("diff", left, right, "--prove", "--seed", "1").code == 1
