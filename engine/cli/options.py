"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from engine.base.errors import DocumentError
from engine.cel.runtimes.registry import RUNTIMES
from engine.cli.requests import Sources
from engine.decide.sources import memory_bytes, parse_pin
from engine.documents import parse_document
from engine.documents.quick import load_schema

_Command = TypeVar("_Command", bound=Callable[..., object])


def policies_option(command: _Command) -> _Command:
    """Add `--policies DIR`, which may be repeated."""
    return click.option(
        "--policies",
        "policies",
        type=click.Path(),
        multiple=True,
        metavar="DIR",
        envvar="ENGINE_POLICIES",
        help="Folder of policies that override the shipped ones; repeatable. [env: ENGINE_POLICIES]",
    )(command)


def policy_option(command: _Command) -> _Command:
    """Add `--policy REFERENCE`."""
    return click.option(
        "--policy",
        default="sharding",
        show_default=True,
        envvar="ENGINE_POLICY",
        metavar="POLICY",
        help="Policy: NAME, NAME@1, NAME@1.0.0 or a file. [env: ENGINE_POLICY]",
    )(command)


def request_options(command: _Command, *, without: Sequence[str] = ()) -> _Command:
    """Add the options that describe a request, except for some; `sources_of` reads them."""
    from_one = click.IntRange(1)
    objectives = load_schema("request")["properties"]["serving"]["properties"]["objective"]["enum"]
    for name, metavar, kind, words in reversed(
        (
            (
                "--inventory",
                "FILE|-|WORD",
                None,
                "Devices: YAML, JSON, output of nvidia-smi or rocm-smi, or shorthand such as 8xH100-SXM.",
            ),
            ("--memory", "SIZE", None, "Memory per device, if the inventory omits it (e.g. 80GiB)."),
            (
                "--model",
                "FILE|DIR|NAME",
                None,
                "Model: YAML, JSON, a config.json, weights, or a name such as llama-3.1-70b.",
            ),
            ("--params", "N", None, "Parameter count, instead of --model (e.g. 70B, 7.24B, 350M)."),
            ("--quantization", "NAME", None, "Quantization: bf16, fp16, fp8, int8, int4 …, or auto."),
            ("--context", "N", from_one, "Longest request in tokens, prompt and output."),
            ("--input-tokens", "N", from_one, "Typical prompt length in tokens."),
            ("--output-tokens", "N", from_one, "Typical output length in tokens."),
            ("--concurrency", "N", from_one, "Concurrent requests."),
            (
                "--utilization",
                "PART",
                click.FloatRange(0, 1, min_open=True),
                "Fraction of device memory to use (default 0.9).",
            ),
            (
                "--target",
                "SERVER[@VERSION]",
                None,
                "Model server that must run the plan: vllm, sglang, llama.cpp …; --format vllm implies it.",
            ),
            ("--kv-dtype", "TYPE", None, "KV cache type: fp8, int8, q8_0 …; default: the checkpoint's."),
            ("--batched-tokens", "N", from_one, "Tokens per forward pass; default: the server's."),
            (
                "--prefix-cache-hit-rate",
                "PART",
                click.FloatRange(0, 1),
                "Share of prompt tokens that the prefix cache has (default 0).",
            ),
            (
                "--speculative",
                "METHOD",
                None,
                "Speculative decoding: mtp, eagle3, eagle, draft_model or ngram.",
            ),
            (
                "--speculative-tokens",
                "N",
                click.IntRange(1, 64),
                "Tokens drafted per step; default: the method's.",
            ),
            (
                "--acceptance-length",
                "TOKENS",
                click.FloatRange(1, 65),
                "Mean tokens that a step yields; default: no drafted token is accepted.",
            ),
            (
                "--draft-model",
                "FILE|DIR|NAME",
                None,
                "Model or head that drafts tokens.",
            ),
            ("--max-loras", "N", from_one, "LoRA adapters that a batch may use."),
            ("--max-lora-rank", "N", from_one, "Highest rank of LoRA adapters (default 16)."),
            (
                "--language-model-only",
                None,
                bool,
                "Leave out the model's towers for images, video and audio.",
            ),
            (
                "--host-memory",
                "SIZE",
                None,
                "Memory of a machine, for weights that fit nowhere else (e.g. 128GiB).",
            ),
            ("--slo", "GOALS", None, "Latency limits: ttft=1s,tpot=40ms; add p95 for a percentile."),
            ("--rate", "RATE", None, "Requests to serve, e.g. 20/s or 1200/min; instead of --concurrency."),
            ("--objective", None, click.Choice(objectives), "Optimization objective."),
            ("--pin", "DEGREES", None, "Fix parallel degrees, e.g. tp=8,pp=2 (also dp, ep)."),
            ("--request", "FILE|-", None, "All of the above in one file; options override it."),
            ("--input", "FILE|-", None, "Inputs for a custom policy: YAML/JSON mapping of name to value."),
        )
    ):
        if name in without:
            continue
        # The parameter `target` of `engine eval` is the target of --format.
        names = (name, "server") if name == "--target" else (name,)
        flag = {"is_flag": True, "default": None} if kind is bool else {"type": kind, "metavar": metavar}
        command = click.option(*names, **flag, help=words)(command)
    return command


def sources_of(asked: Mapping[str, Any]) -> Sources:
    """Return the sources of a request from the values of `request_options`.

    Raises:
        click.BadParameter: `--pin`, `--slo`, `--rate` or `--host-memory` is invalid.
    """
    plain = ("inventory", "memory", "model", "params", "quantization", "request", "input")
    serving = {
        name: value
        for name, value in asked.items()
        if name not in (*plain, "pin", "slo", "rate") and value is not None and value != ""
    }
    host = serving.pop("host_memory", None)
    if host is not None:
        if host.isdigit() and int(host):
            raise click.BadParameter(f"'{host}' has no unit; write {host}GiB", param_hint="--host-memory")
        serving["host_memory_bytes"] = memory_bytes(host, "host memory")
    serving |= goals_of(asked.get("slo"), asked.get("rate"))
    read = {name: asked.get(name) for name in plain}
    return Sources(**read, serving=serving, pin=pin_of(asked["pin"]))


def goals_of(slo: str | None, rate: str | None) -> dict[str, object]:
    """Return the serving goals that `--slo` and `--rate` mean.

    Raises:
        click.BadParameter: one of them is not of its form, or a goal that no system can have.
    """
    from engine.decide.goals import RATE, parse_rate, parse_slo  # deferred: start-up time

    goals: dict[str, object] = {}
    try:
        if slo is not None:
            goals |= parse_slo(slo)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--slo") from None
    try:
        if rate is not None:
            goals[RATE] = parse_rate(rate)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rate") from None
    return goals


def pin_of(text: str | None) -> dict[str, int]:
    """Return the degrees in `tp=8,pp=2`, by full name; full names are accepted too.

    Raises:
        click.BadParameter: The text is not of this form.
    """
    try:
        return parse_pin(text or "")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--pin") from None


def set_option(command: _Command) -> _Command:
    """Add `--set NAME=VALUE`, which may be repeated; the command takes `constants`."""
    return click.option(
        "--set",
        "constants",
        multiple=True,
        callback=lambda _context, _option, texts: settings_of(texts),
        metavar="NAME=VALUE",
        help="Change a constant of the policy for this run, e.g. default_utilization=0.85; repeatable.",
    )(command)


def settings_of(texts: Sequence[str]) -> dict[str, object]:
    """Return constants by name from `NAME=VALUE`; values are written as in YAML: 0.85, true, [a], {a: 1.0}.

    Raises:
        click.BadParameter: A text is not of this form.
    """
    constants: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"expected NAME=VALUE, found '{text}'", param_hint="--set")
        try:
            constants[name.strip()] = parse_document(f"value: {value.strip()}\n", "--set").value["value"]
        except DocumentError as error:
            raise click.BadParameter(f"{text}: {error.message}", param_hint="--set") from None
        if constants[name.strip()] is None:
            expected = "a number, text, true or false, a list or a map"
            raise click.BadParameter(f"{text}: expected {expected}", param_hint="--set")
    return constants


def format_option(*forms: str) -> Callable[[_Command], _Command]:
    """Add `--format FORM`; the first form is the default."""
    listed = f"{', '.join(forms[:-1])} or {forms[-1]}"
    # A metavar of many forms would be wider than a terminal.
    few = len("|".join(forms)) < 50
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        metavar=None if few else "FORM",
        default=forms[0],
        show_default=True,
        help="Output format." if few else f"Output format: {listed}.",
    )


def runtime_option(command: _Command) -> _Command:
    """Add `--runtime NAME`."""
    return click.option(
        "--runtime",
        type=click.Choice(RUNTIMES),
        default=RUNTIMES[0],
        show_default=True,
        help="CEL runtime.",
    )(command)


def cache_option(command: _Command) -> _Command:
    """Add `--cache/--no-cache`."""
    return click.option(
        "--cache/--no-cache",
        "use_cache",
        default=True,
        help="Cache compiled policies in the user's cache folder, or in ENGINE_CACHE. [default: cache]",
    )(command)
