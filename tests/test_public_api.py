"""The public API is exported once, documented, listed in docs/python-api.md and typed."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import engine
from tests.conftest import TOP

CALLABLE = [name for name in engine.__all__ if inspect.isfunction(getattr(engine, name))]
QUESTION: dict[str, Any] = {"inventory": "8xH100-SXM", "model": "llama-3.1-70b", "quantization": "bf16"}


def public_object(name: str) -> Any:
    """The object that a public name documents; the room `engine.decide` documents its function."""
    if name == "decide":
        from engine.decide.api import decide

        return decide
    return getattr(engine, name)


def test_public_names_are_sorted_and_unique() -> None:
    names = [name for name in engine.__all__ if name != "__version__"]
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=lambda name: (name[0].islower(), name))


def test_public_names_are_defined_in_one_module_each() -> None:
    defined: dict[str, list[str]] = {name: [] for name in engine.__all__}
    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        if module.name.rpartition(".")[2] in (
            "cpp",
            "pytest_plugin",
            "ray_cluster",
        ):  # need optional packages
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if name in defined and getattr(value, "__module__", None) == module.name:
                defined[name].append(module.name)
    for name in ("__version__", "decide"):
        del defined[name]
    assert {name: where for name, where in defined.items() if len(where) != 1} == {}


@pytest.mark.parametrize("name", [name for name in engine.__all__ if name != "__version__"])
def test_public_name_has_docstring(name: str) -> None:
    value = public_object(name)
    assert inspect.getdoc(value)
    functions = {name: value} if inspect.isfunction(value) else public_methods(value)
    for function_name, function in functions.items():
        doc = inspect.getdoc(function) or ""
        assert doc, f"{name}.{function_name}"
        parameters = [each for each in inspect.signature(function).parameters if each not in ("self", "cls")]
        documented = all(f"{parameter}:" in doc for parameter in parameters)
        assert documented or len(parameters) == 1, f"{name}.{function_name} documents no Args"


def public_methods(value: type) -> dict[str, Any]:
    methods = {
        name: getattr(value, name)
        for name in vars(value)
        if not name.startswith("_") and name != "from_value"
    }
    return {name: method for name, method in methods.items() if inspect.isroutine(method)}


def test_decide_documents_arguments_results_and_errors() -> None:
    from engine.decide.api import decide

    doc = inspect.getdoc(decide) or ""
    assert all(section in doc for section in ("Args:", "Returns:", "Raises:"))
    assert [name for name in inspect.signature(decide).parameters if f"    {name}: " not in doc] == []


def test_public_names_are_listed_in_the_docs() -> None:
    page = (TOP / "docs" / "python-api.md").read_text(encoding="utf-8")
    assert [name for name in engine.__all__ if f"`{name}`" not in page] == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_python_api_page_runs() -> None:
    page = (TOP / "docs" / "python-api.md").read_text(encoding="utf-8")
    examples = doctest.DocTestParser().get_doctest(page.replace("```", ""), {}, "python-api", None, None)
    results = doctest.DocTestRunner().run(examples)
    assert (results.failed, results.attempted > 8) == (0, True)


@pytest.mark.slow
def test_public_api_types_pass_mypy_strict() -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", str(TOP / "tests" / "typing" / "public_api.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TOP)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("before", ["", "import engine.decide.policy", "from engine.decide import policy"])
def test_decide_after_import_of_its_room_is_callable(before: str) -> None:
    program = f"""
import engine
{before}
first = engine.decide(inventory="8xH100-SXM", params="8B", quantization="bf16")
import engine.decide.policy
second = engine.decide(inventory="8xH100-SXM", params="8B", quantization="bf16")
assert first == second, (first, second)
import inspect
assert "quantization" in inspect.signature(engine.decide).parameters
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_decide_equals_the_command_line(run: Any) -> None:
    ran = run(
        *("eval", "--inventory", "8xH100-SXM", "--model", "llama-3.1-70b", "--quantization", "bf16"),
        *("--context", "32768", "--pin", "tp=4", "--objective", "latency", "--format", "json"),
    )
    decision = engine.decide(**QUESTION, context=32768, pin="tp=4", objective="latency")
    assert decision.to_dict() == ran.json


def test_decide_on_objects_equals_names() -> None:
    named = engine.decide(**QUESTION)
    assert named.request is not None
    objects = engine.decide(inventory=named.request.inventory, model=named.request.model, quantization="bf16")
    assert objects.to_dict() == named.to_dict()


def test_decide_with_request_file_and_flags_prefers_flags(tmp_path: Path) -> None:
    file = tmp_path / "request.yaml"
    file.write_text("inventory: {devices: [{kind: CudaGpu, memory: 80GiB}]}\nmodel: {params: 70B}\n")
    decision = engine.decide(request=file, params="8B", quantization="bf16", policy="sharding@1.0.0")
    assert decision.match_id == "single-device"


def test_decide_with_inputs_runs_any_policy(tmp_path: Path) -> None:
    file = tmp_path / "quota" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: quota\nversion: 1.0.0\n"
        "inputs: [{name: n, type: int}]\nrule: {match: [{output: n + 1}]}\n"
    )
    assert engine.decide(policy="quota", policies=tmp_path, inputs={"n": 1}).output == 2
    assert engine.decide(policy=file, inputs={"n": 2}).output == 3
    assert engine.decide(policy=engine.load_policy(str(file)), inputs={"n": 3}).output == 4


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"params": "8B"}, TypeError, "model and params exclude each other"),
        ({"request": {}, "inputs": {}}, TypeError, "request and inputs exclude each other"),
        ({"inventory": "-", "model": "-"}, TypeError, "only once"),
        ({"pin": "x=4"}, engine.RequestError, "tp=8,pp=2"),
        ({"context": 0}, engine.RequestError, "serving.context"),
        ({"memory": "80XB"}, engine.RequestError, "memory: "),
        ({"inventory": {"devices": [{"kind": 5}]}}, engine.RequestError, "kind"),
        ({"model": "no-such-model"}, engine.RequestError, "no-such-model"),
    ],
)
def test_decide_with_bad_arguments_raises(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text.replace("(", r"\(")):
        engine.decide(**{**QUESTION, **arguments})


@pytest.mark.slow
def test_decide_without_inventory_names_the_argument() -> None:
    with pytest.raises(engine.MissingInputError) as caught:
        engine.decide(model="llama-3.1-70b", quantization="bf16")
    assert (caught.value.input, caught.value.hint) == ("inventory", "pass inventory=…")


def test_repr_html_escapes_values() -> None:
    inventory = {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]}
    html = engine.decide(inventory=inventory, params="8B", quantization="bf16")._repr_html_()
    assert html.startswith("<table>")
    assert "sharding@3" in html
    refused = engine.decide(inventory=inventory, params="400B", quantization="bf16")
    assert "infeasible" in refused._repr_html_()
    assert (
        "<b>"
        not in engine.Decision(
            id=None,
            policy_name="<b>",
            policy_version="1",
            policy_digest="",
            outcome="value",
            match_id="<b>",
            explanation="<b>",
            output="<b>",
            plan=None,
            fits_in_memory=None,
        )._repr_html_()
    )
