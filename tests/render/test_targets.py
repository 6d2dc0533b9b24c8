"""Targets: one set of tests for all of them, lookup without imports, targets of installed packages."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import engine.render
from engine.base.errors import RenderError
from engine.decide.policy import load_policy
from engine.decide.request import Request
from engine.render import Screen, Target, find_target, target_names, targets
from tests.conftest import TOP, Run

TARGETS = {target.name: target for target in targets()}
PLANLESS = {
    "no_match": {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]},
    "no devices": {"devices": []},
}


def parse(target: Target, output: str) -> object:
    """Read an output in the language that the target declares."""
    readers: dict[str, Any] = {
        "json": json.loads,
        "yaml": yaml.safe_load,
        "svg": ElementTree.fromstring,
        "html": lambda text: re.search(r"<!doctype html>.*</html>", text, re.DOTALL),
        "sh": lambda text: shlex.split(text.replace("\\\n", " ")),
        "text": str.strip,
    }
    return readers[target.syntax](output)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_target_example_renders_in_its_syntax(name: str, run: Run) -> None:
    target = TARGETS[name]
    ran = run("eval", *shlex.split(target.example), "--format", name)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("\n")
    assert parse(target, ran.out) is not None


@pytest.mark.parametrize("name", TARGETS)
def test_target_has_every_required_part(name: str) -> None:
    target = TARGETS[name]
    module = sys.modules[target.render.__module__]
    assert module.TARGET is target
    assert module.__name__.rpartition(".")[2].removeprefix("as_") == re.sub("[-.]", "_", name)
    assert target.summary.endswith("."), "the docstring begins with one sentence on a line"
    assert not target.launches or target.documentation != target.summary, "and goes on with details"
    assert target.render.__doc__
    assert find_target(name) is target
    for code in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        assert not isinstance(code, ast.Raise) or "RenderError(" in ast.unparse(code)


@pytest.mark.slow
@pytest.mark.parametrize("inventory", PLANLESS)
@pytest.mark.parametrize("name", TARGETS)
def test_target_without_a_plan_renders_or_raises_render_error(name: str, inventory: str) -> None:
    request = {"inventory": PLANLESS[inventory], "model": {"params": "7000B"}, "quantization": "bf16"}
    decision = load_policy("sharding").decide(Request.from_dict(request))
    with suppress(RenderError):
        assert TARGETS[name].render(decision, Screen()).endswith("\n")


@pytest.mark.parametrize("name", TARGETS)
def test_target_has_a_section_in_the_docs_and_a_word_in_help(name: str, run: Run) -> None:
    page = (TOP / "docs" / "targets.md").read_text(encoding="utf-8")
    assert f"\n## {name}\n\n{TARGETS[name].summary}\n" in page
    words = run("eval", "--help").out.partition("Output format:")[2].partition("[default")[0]
    assert name in re.split(r"[\s,]+", words.strip().rstrip("."))


@pytest.mark.slow
def test_trace_option_of_a_target_is_what_its_output_shows(run: Run) -> None:
    for target in targets():
        ran = run("eval", *shlex.split(target.example), "--explain", "--format", target.name)
        assert (ran.code == 0) == target.shows_trace
        assert ran.code == 0 or "use json, text or yaml" in ran.err


# Looking up


def imported(code: str, *paths: Path) -> set[str]:
    """The modules that a fresh interpreter has imported after running `code`."""
    script = (
        f"import sys\nsys.path[:0] = {list(map(str, paths))}\n{code}\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=TOP)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def target_modules(modules: set[str]) -> set[str]:
    return modules & {target.render.__module__ for target in targets()}


@pytest.mark.parametrize("name", ["json", "ai-hwaccel", "llama.cpp", "sglang"])
def test_find_target_built_in_imports_no_other_target(name: str) -> None:
    modules = imported(f"from engine.render import find_target\nfind_target({name!r})")
    own = {TARGETS[name].render.__module__}
    helpers = {"engine.render.as_json"} if name == "ai-hwaccel" else set()
    assert target_modules(modules) == own | helpers
    assert "importlib.metadata" not in modules


@pytest.mark.parametrize("options", [("--format", "json"), ("--format", "json", "--runtime", "compiled")])
def test_eval_json_imports_no_other_target(options: tuple[str, ...]) -> None:
    arguments = ["eval", *shlex.split(TARGETS["json"].example), *options]
    modules = imported(f"from engine.cli.main import main\nassert main({arguments!r}) == 0")
    assert target_modules(modules) == {"engine.render.as_json"}
    assert "importlib.metadata" not in modules


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("jsn", "did you mean 'json'"),
        ("llama_cpp", "did you mean 'llama.cpp'"),
        ("as_json", "'json'"),
        ("JSON", "did you mean 'json'"),
        ("picture", "known: "),
        ("launch", "known: "),
        ("launch.vllm", "known: "),
        ("../../etc", "known: "),
        ("__init__", "known: "),
        ("", "known: "),
        ("a\x00b", "known: "),
    ],
)
def test_find_target_unknown_name_raises_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(RenderError, match="unknown format") as caught:
        find_target(name)
    assert hint in (caught.value.hint or "")


# Targets of installed packages

ACME = '''"""A command of the ACME server."""

from engine.render import Screen, Target
from engine.render.launch import Command, prepare, shell_command


def render(decision, screen):
    launch = prepare(decision, "ACME", kinds={"CudaGpu"})
    flags = {**launch.degree_flags(tensor="tp", pipeline="pp", data="dp"), "verbose": True}
    return shell_command(Command(("acme", launch.model_argument), flags, launch.environment))


TARGET = Target("acme-serve", render, "sh", launches=True)
'''


def install(folder: Path, module: str, entry_points: str) -> None:
    """Create a package as pip would have installed it: its module and its metadata."""
    (folder / "acme_targets.py").write_text(module)
    metadata = folder / "acme_targets-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-targets\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[engine.targets]\n{entry_points}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages on the module search path."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("acme_targets", None)


@pytest.mark.parametrize("value", ["acme_targets", "acme_targets:TARGET"])
def test_installed_target_is_a_format_of_the_command_line(value: str, site: Path, run: Run) -> None:
    install(site, ACME, f"acme-serve = {value}")
    ran = run("eval", *shlex.split(TARGETS["vllm"].example), "--format", "acme-serve")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 acme meta-llama/Meta-Llama-3.1-70B \\\n"
        "  --tp 8 \\\n  --verbose\n"
    )
    assert find_target("acme-serve").summary == "A command of the ACME server."
    assert "acme-serve" in run("eval", "--help").out
    assert "did you mean 'acme-serve'" in run("eval", "--format", "acme-srve").err
    inventory = {"devices": [{"kind": "MetalGpu", "memory": "80GiB"}]}
    request = {"inventory": inventory, "model": {"params": "7B"}, "quantization": "bf16"}
    decision = load_policy("sharding").decide(Request.from_dict(request))
    with pytest.raises(RenderError, match="ACME does not run on MetalGpu"):
        engine.render.render(decision, "acme-serve")


@pytest.mark.slow
def test_installed_target_works_in_a_process_of_its_own(tmp_path: Path) -> None:
    install(tmp_path, ACME, "acme-serve = acme_targets")
    arguments = ["eval", *shlex.split(TARGETS["vllm"].example), "--format", "acme-serve"]
    modules = imported(f"from engine.cli.main import main\nassert main({arguments!r}) == 0", tmp_path)
    assert "acme_targets" in modules
    assert target_modules(modules) == set()


def test_installed_target_does_not_replace_a_built_in_one(site: Path, run: Run) -> None:
    install(site, "raise ValueError('imported')", "vllm = acme_targets")
    ran = run("eval", *shlex.split(TARGETS["vllm"].example), "--format", "vllm")
    assert (ran.code, ran.out.split()[1]) == (0, "vllm")
    assert target_names().count("vllm") == 1


@pytest.mark.parametrize(
    ("module", "entry_point", "message"),
    [
        ("raise ValueError('no license')", "acme = acme_targets", "failed: ValueError: no license"),
        ("", "acme = acme_target", "failed: ModuleNotFoundError"),
        ("", "acme = acme_targets:TARGET", "failed: AttributeError"),
        ("TARGET = 1", "acme = acme_targets", "acme_targets is not a target of that name"),
        (ACME, "acme = acme_targets", "acme_targets is not a target of that name"),
    ],
)
def test_installed_target_that_is_broken_is_an_error_with_its_package(
    module: str, entry_point: str, message: str, site: Path, run: Run
) -> None:
    install(site, module, entry_point)
    ran = run("eval", *shlex.split(TARGETS["vllm"].example), "--format", "acme")
    assert (ran.code, ran.out) == (2, "")
    assert "'acme' of package acme-targets" in ran.err
    assert message in ran.err
    assert "acme" in run("eval", "--help").out
    assert run("eval", *shlex.split(TARGETS["vllm"].example), "--format", "vllm").code == 0


def test_installed_target_that_fails_while_rendering_is_an_error_with_its_package(
    site: Path, run: Run
) -> None:
    faulty = ACME.replace('"acme-serve"', '"acme"').replace("launch.degree_flags(", "launch.no_such_method(")
    install(site, faulty, "acme = acme_targets")
    ran = run("eval", *shlex.split(TARGETS["vllm"].example), "--format", "acme")
    assert (ran.code, ran.out) == (2, "")
    assert "'acme' of package acme-targets 1.0 failed: AttributeError" in ran.err
