"""Text to tokens, by the lexical rules of CEL's language definition.

One regular expression finds the next token; no part of it can match a text in two ways, so reading takes time
in proportion to the text. White space and comments separate tokens and are dropped.
"""

from __future__ import annotations

import re

from engine.cel.errors import CelSyntaxError
from engine.cel.faults import strange_character, unclosed_text
from engine.cel.tokens import END, Token

_RAW = r'[rR](?:"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?!"")[^"\n\r]*"|\'(?!\'\')[^\'\n\r]*\')'
_QUOTED = "|".join(
    [
        r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"""',
        r"'''(?:[^'\\]|\\[\s\S]|'(?!''))*'''",
        r'"(?!"")(?:[^"\\\n\r]|\\[^\n\r])*"',
        r"'(?!'')(?:[^'\\\n\r]|\\[^\n\r])*'",
    ]
)
_TOKEN = re.compile(
    rf"""
    (?P<gap>(?:[\t\n\f\r ]+|//[^\n]*)+)
  | (?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+
      |[0-9]+\.(?![A-Za-z_`?.]))
  | (?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
  | (?P<int>0x[0-9a-fA-F]+|[0-9]+)
  | (?P<bytes>[bB](?:{_RAW}|{_QUOTED}))
  | (?P<string>{_RAW}|{_QUOTED})
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<quoted>`[A-Za-z0-9_.\-/\ ]+`)
  | (?P<symbol>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{{}}=&|;^~@$#\\])
    """,
    re.VERBOSE,
)

_WORDS = {"in": "in", "true": "bool", "false": "bool", "null": "null"}
"""Words that are no names, and their kinds."""


def tokens(text: str) -> list[Token]:
    """Return the tokens of an expression, and one of kind `END` after them.

    Raises:
        CelSyntaxError: something is no token.
    """
    found: list[Token] = []
    position, match = 0, _TOKEN.match
    while position < len(text):
        token = match(text, position)
        if token is None:
            raise _no_token(text, position)
        kind, word, end = token.lastgroup, token[0], token.end()
        if kind == "symbol":
            found.append(Token(word, word, position, end))
        elif kind == "name":
            found.append(Token(_WORDS.get(word, "name"), word, position, end))
        elif kind != "gap":
            found.append(Token(str(kind), word, position, end))
        position = end
    last = found[-1].end if found else 0
    found.append(Token(END, "", last, last))
    return found


def _no_token(text: str, position: int) -> CelSyntaxError:
    if text[position] in "\"'`":
        return unclosed_text(text, position)
    return strange_character(text, position)
