"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from engine.cel.names import RUNTIMES
from engine.cli.requests import Sources
from engine.documents.quick import load_schema
from engine.quantities import whole
from engine.render import Screen

_Command = TypeVar("_Command", bound=Callable[..., Any])

_NARROWEST, _WIDEST = 40, 120


def policies_option(command: _Command) -> _Command:
    """`--policies DIR`, as often as wanted."""
    return click.option(
        "--policies",
        "policies",
        type=click.Path(),
        multiple=True,
        metavar="DIR",
        envvar="ENGINE_POLICIES",
        help="Folder of your own policies and catalogs, in front of the shipped ones. [env: ENGINE_POLICIES]",
    )(command)


def policy_option(command: _Command) -> _Command:
    """`--policy REFERENCE`."""
    return click.option(
        "--policy",
        default="sharding",
        show_default=True,
        envvar="ENGINE_POLICY",
        metavar="POLICY",
        help="name, name@1, name@1.0.0, or a policy's file. [env: ENGINE_POLICY]",
    )(command)


_DEGREES = {
    "tp": "tensor_parallel",
    "pp": "pipeline_parallel",
    "dp": "data_parallel",
    "ep": "expert_parallel",
}


def request_options(command: _Command) -> _Command:
    """What is asked: files, words, wishes, and degrees that must be as they are said. See `sources_of`."""
    from_one = click.IntRange(1)
    objectives = load_schema("request")["properties"]["serving"]["properties"]["objective"]["enum"]
    for name, metavar, kind, words in reversed(
        (
            (
                "--inventory",
                "FILE|-|WORD",
                None,
                "Devices: YAML, JSON, what nvidia-smi or rocm-smi printed, or 8xH100-SXM.",
            ),
            ("--memory", "SIZE", None, "Of devices whose memory the inventory doesn't say: 80GiB."),
            (
                "--model",
                "FILE|DIR|NAME",
                None,
                "The model: YAML, JSON, a config.json, or llama-3.1-70b.",
            ),
            ("--params", "N", None, "The model's parameters instead: 70B, 7.24B, 350M."),
            ("--quantization", "NAME", None, "bf16, fp16, fp8, int8, int4 …, or auto."),
            ("--context", "N", from_one, "Tokens of the longest request, its answer included."),
            ("--input-tokens", "N", from_one, "Tokens of a usual request."),
            ("--output-tokens", "N", from_one, "Tokens of a usual answer."),
            ("--concurrency", "N", from_one, "Requests at the same time."),
            ("--utilization", "PART", click.FloatRange(0, 1, min_open=True), "Of memory to use: 0.9."),
            ("--objective", None, click.Choice(objectives), "What is best."),
            ("--pin", "DEGREES", None, "Degrees that must be so: tp=8,pp=2 (also dp, ep)."),
            ("--request", "FILE|-", None, "All of these in one file; flags win over it."),
            ("--input", "FILE|-", None, "Any policy's inputs: names and values."),
        )
    ):
        command = click.option(name, type=kind, metavar=metavar, help=words)(command)
    return command


def sources_of(asked: Mapping[str, Any]) -> Sources:
    """What the options of `request_options` say.

    Raises:
        click.BadParameter: degrees that are none.
    """
    plain = ("inventory", "memory", "model", "params", "quantization", "request", "input")
    wishes = {
        name: value for name, value in asked.items() if name not in (*plain, "pin") and value is not None
    }
    return Sources(**{name: asked[name] for name in plain}, serving=wishes, pin=pin_of(asked["pin"]))


def pin_of(text: str | None) -> dict[str, int]:
    """The degrees in `tp=8,pp=2`, or with their whole names.

    Raises:
        click.BadParameter: something else.
    """
    pinned: dict[str, int] = {}
    for part in text.split(",") if text else ():
        name, _, value = part.strip().partition("=")
        degree = _DEGREES.get(name, name)
        if degree not in _DEGREES.values() or not whole(value):
            raise click.BadParameter(
                f"expected degrees such as tp=8,pp=2, found '{part}'", param_hint="--pin"
            )
        pinned[degree] = int(value)
    return pinned


def format_option(*forms: str) -> Callable[[_Command], _Command]:
    """`--format FORM`; the first is the default."""
    listed = f"{', '.join(forms[:-1])} or {forms[-1]}"
    # Many forms in one metavar would make a line that is wider than a terminal.
    few = len("|".join(forms)) < 50
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        metavar=None if few else "FORM",
        default=forms[0],
        show_default=True,
        help="The form of the output." if few else f"The form of the output: {listed}.",
    )


def runtime_option(command: _Command) -> _Command:
    """`--runtime NAME`."""
    return click.option(
        "--runtime",
        type=click.Choice(RUNTIMES),
        default=RUNTIMES[0],
        show_default=True,
        help="What evaluates CEL.",
    )(command)


def cache_option(command: _Command) -> _Command:
    """`--no-cache`."""
    return click.option(
        "--cache/--no-cache",
        "use_cache",
        default=True,
        help="Keep compiled policies in the user's cache folder, or in ENGINE_CACHE. [default: cache]",
    )(command)


def screen() -> Screen:
    """What standard output can show."""
    import shutil

    columns = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Screen(columns, color)
