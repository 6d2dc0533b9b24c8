"""`engine lsp`: the language server, which editors start."""

from __future__ import annotations

import click

from engine.base.errors import EngineError
from engine.cli.exits import YES
from engine.cli.options import policies_option

_EPILOG = """
\b
Editors start it; docs/editor.md says how in VS Code, Neovim and Helix.

\b
Examples:
  engine lsp
  engine lsp --policies site-policies
"""


@click.command("lsp", epilog=_EPILOG)
@policies_option
@click.option("--stdio", is_flag=True, hidden=True, help="Accepted: some editors add it.")
def command(policies: tuple[str, ...], stdio: bool) -> int:
    """Run a language server on standard input and output: diagnostics, hover, completion, rename."""
    try:
        from engine.lsp import serve
    except ImportError:
        raise EngineError("pygls is not installed", hint="pip install 'shard-policy-engine[lsp]'") from None
    serve(policies)
    return YES
