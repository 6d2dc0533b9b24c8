"""`engine model`: what is known of a model."""

from __future__ import annotations

import click

from engine.cli.exits import YES
from engine.cli.options import format_option, policies_option
from engine.cli.requests import find_model
from engine.render import model as forms

_EPILOG = """
\b
Examples:
  engine model show llama-3.1-70b
  engine model show ./Qwen3-8B/config.json --format json
"""


@click.group("model", epilog=_EPILOG)
def command() -> None:
    """Read models from their configurations, or by name."""


@command.command("show")
@click.argument("source", metavar="FILE|DIR|NAME")
@policies_option
@format_option("text", "json")
def show(source: str, policies: tuple[str, ...], form: str) -> int:
    """Show a model's shape, and where its parameters are.

    FILE is a config.json as Hugging Face's hub has it, or weights: .safetensors, their index, .gguf, of which
    the headers are read; DIR a folder with one of these; NAME a well-known model.
    """
    model, _ = find_model(source, policies)
    click.echo(forms.as_json(model) if form == "json" else forms.text(model), nl=False)
    return YES
