"""Model names in commands: the server receives the name unchanged, whatever characters it contains."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine.render
from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.decide.policy import load_policy
from engine.decide.request import Request
from engine.model import Model
from tests.conftest import Run, examples

SERVERS = ("vllm", "sglang", "ray-serve", "kubernetes")
NAMES = (
    *(
        "a b",
        "a'b",
        'a"b',
        "$(touch proof)",
        "`touch proof`",
        "a;b",
        "a&b|c>d<e",
        "a\\b",
        "*",
        "~",
        "#a",
        "a#b",
    ),
    *(
        "$HOME",
        "${HOME}",
        "$MODEL",
        "$(MODEL)",
        "$$(MODEL)",
        "!!",
        "a=b",
        "--x y",
        "{a,b}",
        "yes",
        "0x10",
        "a: b",
    ),
    *("org/name", "./folder", "é", "漢"),
)
SLOW = settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))


def decision(source: str) -> Decision:
    inventory = {"devices": [{"kind": "CudaGpu", "memory": "80GiB", "name": "NVIDIA H100"}]}
    asked = Request.from_dict({"inventory": inventory, "quantization": "bf16"})
    return load_policy("sharding@1.0.0").decide(asked.with_inputs(model=Model(7 * 10**9, source=source)))


def argv(command: str) -> list[str]:
    """Return the arguments that a shell passes, without running the command."""
    script = 'CUDA_VISIBLE_DEVICES=; vllm() { printf "%s\\0" "$@"; }; python() { printf "%s\\0" "$@"; }\n'
    done = subprocess.run(
        ["sh", "-c", script + command], capture_output=True, check=True, cwd="/", timeout=30
    )
    return done.stdout.decode().split("\0")


def kubelet(word: str) -> str:
    """Return an argument after Kubernetes' expansion, with no variable set: $$ becomes $."""
    return word.replace("$$", "$")


def named(form: str, source: str) -> str:
    """Return the model in a server's command or file."""
    text = engine.render.render(decision(source), form)
    if form in ("vllm", "sglang"):
        words = argv(text)
        return words[1] if form == "vllm" else words[words.index("--model-path") + 1]
    document = yaml.safe_load(text)
    if form == "ray-serve":
        config = document["applications"][0]["args"]["llm_configs"][0]
        return str(config["model_loading_config"]["model_source"])
    return kubelet(document["spec"]["template"]["spec"]["containers"][0]["command"][2])


@pytest.mark.slow
@pytest.mark.parametrize("form", SERVERS)
@pytest.mark.parametrize("source", [name for name in NAMES if not name.startswith("-")])
def test_names(source: str, form: str) -> None:
    assert named(form, source) == source


@pytest.mark.slow
@SLOW
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_any_name(source: str) -> None:
    for form in SERVERS:
        try:
            assert named(form, source) == source
        except RenderError as error:
            assert "the model's source is" in error.message  # noqa: PT017  (either is right)


@pytest.mark.slow
@pytest.mark.parametrize("form", SERVERS)
@pytest.mark.parametrize(
    "source",
    [
        "-",
        "-x",
        "--trust-remote-code",
        "--config=/etc/x",
        "",
        " ",
        "a\nb",
        "a\n::error::b",
        "a\x00b",
        "\x1b[2J",
        "\u202e",
    ],
)
def test_what_is_no_word(source: str, form: str) -> None:
    with pytest.raises(RenderError, match="the model's source is"):
        engine.render.render(decision(source), form)


GENERATIONS = {"Gaudi": {"generation": "Gaudi3"}}


@pytest.mark.parametrize("kind", ["CudaGpu", "Gaudi"])
@pytest.mark.parametrize("name", ["$(LWS_LEADER_ADDRESS)", "a'$(MODEL)'b", "$HOME"])
def test_several_nodes_on_kubernetes(name: str, kind: str, run: Run, tmp_path: Path) -> None:
    """Kubernetes replaces variables in the pods' commands; on Gaudi, a shell does so after it."""
    request = tmp_path / "request.json"
    request.write_text(
        json.dumps(
            {
                "inventory": {
                    "devices": [
                        {"kind": kind, "memory": "80GiB", "node": node, **GENERATIONS.get(kind, {})}
                        for node in "ab"
                        for _ in range(8)
                    ],
                    "interconnects": [{"kind": "NVLink", "bandwidth_gbps": 900}],
                },
                "model": {"params": "405B", "source": name, "layers": 126},
                "quantization": "bf16",
            }
        )
    )
    ran = run("eval", "--request", request, "--policy", "sharding@1.0.0", "--format", "kubernetes")
    assert ran.code == 0, ran.err
    leader = yaml.safe_load(ran.out)["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
    command = leader["spec"]["containers"][0]["command"]
    if kind == "CudaGpu":
        assert kubelet(command[2]) == name
    else:
        assert argv(kubelet(command[2].partition("; ")[2]))[1] == name


def test_a_request_is_refused_at_its_line(run: Run, tmp_path: Path) -> None:
    request = tmp_path / "request.yaml"
    request.write_text(
        "inventory: {devices: [{kind: CudaGpu, memory: 80GiB}]}\nmodel:\n  params: 7B\n  source: --x\n"
    )
    ran = run("eval", "--request", request, "--quantization", "bf16")
    assert ran.code == 2
    assert f"{request}:4:11: source: '--x' begins with '-'" in ran.err


@pytest.mark.parametrize("argument", ["--model=-folder", "--model=-folder/config.json"])
def test_a_folder_that_begins_so(
    argument: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 64,
        "vocab_size": 100,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    (tmp_path / "-folder").mkdir()
    (tmp_path / "-folder" / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    ran = run("eval", "--inventory", "h100", argument, "--quantization", "bf16", "--format", "vllm")
    assert ran.code == 0, ran.err
    assert argv(ran.out)[1] == "./-folder"
