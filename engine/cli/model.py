"""`engine model`: show models."""

from __future__ import annotations

import click

from engine.catalogs.resolved import Catalogs
from engine.cli.exits import YES
from engine.cli.options import format_option, policies_option
from engine.cli.requests import find_model
from engine.model.model import refuse_unknown
from engine.render import model as forms

_EPILOG = """
\b
Examples:
  engine model show llama-3.1-70b
  engine model show ./Qwen3-8B/config.json --format json
"""


@click.group("model", epilog=_EPILOG)
def command() -> None:
    """Show models from configs, weights or names."""


@command.command("show")
@click.argument("source", metavar="FILE|DIR|NAME")
@policies_option
@format_option("text", "json")
@click.option(
    "--strict", is_flag=True, help="Refuse unknown architectures instead of counting them as usual decoders."
)
def show(source: str, policies: tuple[str, ...], form: str, strict: bool) -> int:
    """Show a model's shape, its parameters by component, how it is stored and what it caches.

    FILE is a Hugging Face config.json or weights (.safetensors, their index, .gguf; only headers are read).
    DIR is a folder with one of these. NAME is an entry of the catalog of models.
    """
    model, _ = find_model(source, Catalogs(policies))
    refuse_unknown(model, strict=strict)
    click.echo(forms.as_json(model) if form == "json" else forms.text(model), nl=False)
    return YES
