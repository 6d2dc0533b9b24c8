"""`engine lsp` on the command line."""

from __future__ import annotations

import sys

import pytest

import engine.lsp
from tests.conftest import Run


def test_missing_package_is_named_with_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "engine.lsp.server", raising=False)
    monkeypatch.delitem(vars(engine.lsp), "serve", raising=False)
    monkeypatch.setitem(sys.modules, "pygls.lsp.server", None)
    result = run("lsp")
    assert result.code == 2
    assert result.err == "error: pygls is not installed\n  hint: pip install 'shard-policy-engine[lsp]'\n"
