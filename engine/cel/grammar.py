"""cel-python's grammar in a Lark parser of our own.

cel-python keeps one parser for the whole process, tied to one of its runners, and its `true` and `false` lose
their place; the options here are otherwise its own. Making a parser of the grammar takes longer than all
else in a cold start, so the wheel has it ready made.
"""

from __future__ import annotations

import io
import os
import re
import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

import lark
from lark import Lark, Token

from engine.documents.digest import sha256
from engine.documents.resources import shipped


@cache
def parser() -> Lark:
    """The parser, ready made where this very grammar, Lark and Python are those that it was made with."""
    text = _grammar()
    try:
        with open(os.path.join(shipped("programs"), file_name(text)), "rb") as file:
            return Lark.load(file)
    except OSError:
        return _make(text)


def pack() -> tuple[str, bytes]:
    """The name and the content of the file that has the parser ready made."""
    text, content = _grammar(), io.BytesIO()
    _make(text).save(content)
    return file_name(text), content.getvalue()


def file_name(text: str) -> str:
    """What the file is called that has the parser of this grammar."""
    tag = f"{lark.__version__} {sys.implementation.cache_tag} {sys.hexversion:x}\n"
    return f"{sha256((tag + text).encode()).hex()}.grammar"


def _grammar() -> str:
    """The grammar's text; nothing of cel-python is imported for it, which takes long."""
    spec = find_spec("celpy")
    assert spec is not None
    assert spec.origin is not None
    with open(os.path.join(os.path.dirname(spec.origin), "cel.lark"), encoding="utf-8") as file:
        return file.read()


def _make(text: str) -> Lark:
    options: dict[str, Any] = {
        "parser": "lalr",
        "start": "expr",
        "g_regex_flags": re.M,
        "propagate_positions": True,
        "maybe_placeholders": False,
        "priority": "invert",
    }
    return Lark(text, lexer_callbacks={"IDENT": bool_literal}, **options)


def bool_literal(token: Token) -> Token:
    """`true` and `false` are names to the grammar's lexer."""
    return Token.new_borrow_pos("BOOL_LIT", token.value, token) if token in ("true", "false") else token
