"""Syntax errors, with a hint for what people write who think in another language.

Each hint is chosen by the tokens around the place where reading stopped; there is none where none is certain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from engine.cel.tokens import LITERALS, Token


class CelSyntaxError(ValueError):
    """An expression that is not CEL; `offset` counts characters from its start."""

    def __init__(self, message: str, offset: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


CONDITIONAL = "write condition ? a : b"
WORDS = {
    "and": "and is written &&: a && b",
    "or": "or is written ||: a || b",
    "not": "not is written !: !(a)",
    "xor": "write a != b",
    "is": "equality is written ==",
    "eq": "equality is written ==",
    "equals": "equality is written ==",
    "ne": "inequality is written !=",
    "lt": "less than is written <",
    "le": "at most is written <=",
    "gt": "greater than is written >",
    "ge": "at least is written >=",
    "mod": "the remainder is written a % b",
    "div": "the quotient is written a / b",
    "then": CONDITIONAL,
    "when": CONDITIONAL,
    "unless": CONDITIONAL,
    "elif": CONDITIONAL,
    "contains": "write a.contains(b); for an element of a list, b in a",
    "matches": "write a.matches(b)",
    "like": "write a.matches(b), with a regular expression",
    "startsWith": "write a.startsWith(b)",
    "endsWith": "write a.endsWith(b)",
    "between": "write low <= a && a <= high",
}
"""Words of other languages, and how CEL writes them."""

_RESERVED = {
    "if": CONDITIONAL,
    "else": CONDITIONAL,
    "for": "write list.map(x, …), list.filter(x, …), list.all(x, …) or list.exists(x, …)",
    "while": "write list.map(x, …), list.filter(x, …), list.all(x, …) or list.exists(x, …)",
    "let": "write cel.bind(name, value, expression), or a variable of the policy",
    "var": "write cel.bind(name, value, expression), or a variable of the policy",
    "const": "write cel.bind(name, value, expression), or a constant of the policy",
    "return": "an expression is its own result",
    "function": "an expression defines no functions; write a variable of the policy",
}
_SYMBOLS = {
    "=": "equality is written ==",
    "&": "and is written &&",
    "|": "or is written ||",
    ";": "one expression, no statements",
    "!": "not is written before what it negates: !(a); unequal is !=",
    "^": "CEL has no operator ^: write x * x for a square, math.bitXor(a, b) for bits",
    "~": "write math.bitNot(a)",
    "@": "names have letters, digits and _",
    "$": "names have letters, digits and _; write a variable as variables.name",
    "#": "a comment begins with //",
    "\\": "an expression may go over several lines without \\",
}
_TYPOGRAPHIC = {
    **dict.fromkeys("“”„‟«»", 'a typographic quote: write "'),
    **dict.fromkeys("‘’‚‛‹›", "a typographic quote: write '"),
    **dict.fromkeys("–—−‐‑‒", "a typographic dash: write -"),
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "×": "write *",
    "·": "write *",
    "÷": "write /",
    "∧": "write &&",
    "∨": "write ||",
    "¬": "write !",
    "∈": "write in",
    "…": "write the elements out",
    "，": "write an ordinary comma",
    "\u00a0": "a no-break space: write an ordinary one",
}
_DURATIONS = {"ns", "us", "µs", "ms", "s", "m", "h", "sec", "secs", "min", "mins", "hr", "d"}
_LONG_UNITS = {"sec": "s", "secs": "s", "min": "m", "mins": "m", "hr": "h"}
_SCALES = {
    **{f"{letter}{end}": 1024**power for power, letter in enumerate("KMGTP", 1) for end in ("iB", "i")},
    **{f"{letter}{end}": 1000**power for power, letter in enumerate("KMGTP", 1) for end in ("B", "")},
    **{f"k{end}": 1000 for end in ("B", "")},
}


def strange_character(text: str, offset: int) -> CelSyntaxError:
    """Return the error of a character that no token begins with."""
    character = text[offset]
    hint = _TYPOGRAPHIC.get(character) or _SYMBOLS.get(character)
    if hint is None and ord(character) > 127 and character.isalpha():
        hint = "names have letters from a to z, digits and _; other text stands in quotes"
    return CelSyntaxError(f"unexpected {_shown(text, offset)}", offset, hint)


def _shown(text: str, offset: int) -> str:
    character = text[offset]
    return repr(character) if character.isprintable() else f"character U+{ord(character):04X}"


def unclosed_text(text: str, offset: int) -> CelSyntaxError:
    """Return the error of a quote without an end."""
    quote = text[offset]
    if quote == "`":
        hint = "a name in backticks has letters, digits and _ . - / and spaces, and a closing backtick"
        return CelSyntaxError("unexpected '`'", offset, hint)
    return CelSyntaxError(f"unexpected {quote!r}", offset, "is a quote missing?")


def unexpected(text: str, tokens: Sequence[Token], index: int) -> CelSyntaxError:
    """Return the error of a token that can't stand where it does.

    Args:
        text: the expression.
        tokens: its tokens, the last of kind `end`.
        index: the token at which reading stopped.
    """
    token = tokens[index]
    before = tokens[index - 1] if index else None
    if token.text in _RESERVED or (token.kind == "name" and token.text in _OTHER_RESERVED):
        return _reserved(tokens, index)
    for case in _CASES:
        error = case(tokens, index)
        if error is not None:
            return error
    if token.kind == "end":
        return _early_end(text, tokens)
    hint = _SYMBOLS.get(token.kind)
    if hint is None and before is not None and token.kind == "string" and before.kind == "string":
        hint = "two texts are joined by +"
    if hint is None and before is not None and _is_value(before) and _is_value(token):
        hint = "an operator or a comma is missing before it"
    if token.kind in ")]}" and _open_bracket(tokens[:index]) is None:
        hint = f"no {_OPENING[token.kind]} is open"
    return CelSyntaxError(f"unexpected {token.text[:40]!r}", token.start, hint)


_OTHER_RESERVED = frozenset(
    ["as", "break", "continue", "import", "loop", "namespace", "package", "void", *_RESERVED]
)


def _reserved(tokens: Sequence[Token], index: int) -> CelSyntaxError:
    token = tokens[index]
    if index and _is_value(tokens[index - 1]):
        return CelSyntaxError(f"unexpected {token.text!r}", token.start, _RESERVED.get(token.text))
    hint = _RESERVED.get(token.text, "choose another name")
    return CelSyntaxError(f"{token.text!r} is a reserved word", token.start, hint)


def _is_value(token: Token) -> bool:
    """Return True for a token that may end a value: a name, a literal, a closing bracket."""
    return token.kind in (*")]}", "name", "quoted", *LITERALS)


_NUMBERS = ("double", "uint", "int")
_OPENING = {")": "(", "]": "[", "}": "{"}


def _open_bracket(tokens: Sequence[Token]) -> Token | None:
    """Return the innermost bracket that is open after some tokens."""
    stack: list[Token] = []
    for token in tokens:
        if token.kind in ("(", "[", "{"):
            stack.append(token)
        elif token.kind in _OPENING and stack:
            stack.pop()
    return stack[-1] if stack else None


def _early_end(text: str, tokens: Sequence[Token]) -> CelSyntaxError:
    bracket = _open_bracket(tokens)
    hint = None
    last = tokens[-2]
    if not _is_value(last):
        hint = f"a value is missing after {last.text!r}"
    elif bracket is not None:
        hint = f"the {bracket.kind!r} of column {bracket.start + 1} is not closed"
        if "\n" in text:
            hint = f"a {bracket.kind!r} is not closed"
    elif tokens[-2].kind == "name" and any(token.kind == "?" for token in tokens):
        hint = CONDITIONAL
    return CelSyntaxError("the expression ends too early", last.end, hint)


# --- cases of several tokens ------------------------------------------------------------------------------

_Case = Callable[[Sequence["Token"], int], "CelSyntaxError | None"]


def _percentage(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`90%` where no operand follows."""
    if index < 2 or tokens[index - 1].kind != "%" or tokens[index - 2].kind not in _NUMBERS:
        return None
    number = tokens[index - 2]
    share = f"{float(number.text.rstrip('uU')) / 100:g}" if not number.text.startswith("0x") else "0.9"
    share = share if "." in share or "e" in share else f"{share}.0"
    hint = f"a share is written as a fraction: {share}; % is the remainder of a division"
    return CelSyntaxError(f"unexpected '%' after {number.text}", tokens[index - 1].start, hint)


def _unit(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`2s`, `80GiB`, `0o17`: letters right after a number, or a unit a space further."""
    token, number = tokens[index], tokens[index - 1]
    if index == 0 or token.kind != "name" or number.kind not in _NUMBERS:
        return None
    if token.start != number.end and token.text not in _DURATIONS | _SCALES.keys():
        return None
    unit, amount = token.text, number.text
    if amount == "0" and re.fullmatch(r"[oO][0-7]+", unit):
        hint = f"CEL has no octals: write {int(unit[1:], 8)} or 0x{int(unit[1:], 8):x}"
    elif amount == "0" and re.fullmatch(r"[bB][01]+", unit):
        hint = f"CEL has no binary numbers: write {int(unit[1:], 2)} or 0x{int(unit[1:], 2):x}"
    elif amount == "0" and re.fullmatch(r"X[0-9a-fA-F]+", unit):
        hint = f"write 0x{unit[1:]}"
    elif unit.startswith("_"):
        hint = f"digits are not grouped: write {amount}{unit.replace('_', '')}"
    elif unit in _DURATIONS:
        name = f"{amount}{_LONG_UNITS.get(unit, unit)}" if unit != "d" else "24h"
        hint = f'a duration is written duration("{name}"); a number of a unit is the number alone'
    elif unit in _SCALES:
        hint = f"numbers have no units: write {amount} * {_SCALES[unit]}"
        if number.kind == "double":
            hint += ".0"
    elif unit in ("f", "d", "F", "D", "l", "L", "n"):
        hint = f"write {amount}" if number.kind == "double" else f"write {amount}, or {amount}.0 for a double"
    else:
        hint = "numbers have no units; an operator is missing, or quotes around text"
    return CelSyntaxError(f"unexpected {unit[:40]!r} after {amount[:40]}", token.start, hint)


def _not(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`not x`, `x not in y`: `not` is a name to the grammar."""
    token = tokens[index]
    if token.kind == "name" and token.text == "not" and tokens[index + 1].kind == "in":
        return CelSyntaxError("unexpected 'not'", token.start, "write !(x in y)")
    if token.kind == "!" and tokens[index + 1].kind == "in":
        return CelSyntaxError("unexpected '!'", token.start, "write !(x in y)")
    if index and tokens[index - 1].text in ("not", "NOT") and tokens[index - 1].kind == "name":
        before = tokens[index - 1]
        return CelSyntaxError(f"unexpected {before.text!r}", before.start, WORDS["not"])
    return None


def _word(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """Return the error of `and`, `is`, `like` … between two values."""
    token = tokens[index]
    if token.kind != "name" or index == 0:
        return None
    hint = WORDS.get(token.text) or WORDS.get(token.text.lower())
    if hint is None and token.text == "In":
        hint = "write in"
    return CelSyntaxError(f"unexpected {token.text!r}", token.start, hint) if hint else None


def _boolean_word(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """Return the error of a comma or a colon where neither can be."""
    token = tokens[index]
    if token.kind == "," and _open_bracket(tokens[:index]) is None:
        hint = "conditions are joined by && or ||, elements stand in [ ]"
        return CelSyntaxError("unexpected ','", token.start, hint)
    if token.kind == ":" and (bracket := _open_bracket(tokens[:index])) is not None and bracket.kind == "[":
        hint = "CEL has no slices: write list.slice(from, to) or text.substring(from, to)"
        return CelSyntaxError("unexpected ':'", token.start, hint)
    return None


_PAIRS = {
    ("==", "="): "equality is written ==",
    ("!=", "="): "inequality is written !=",
    ("<", ">"): "inequality is written !=",
    ("*", "*"): "CEL has no powers: write x * x",
    ("+", "+"): "an expression changes nothing: write x + 1",
    **dict.fromkeys(
        [("+", "="), ("-", "="), ("*", "="), ("/", "=")], "an expression changes nothing: write x + 1"
    ),
    ("?", "?"): "write a.?b.orValue(c), or has(a.b) ? a.b : c",
    ("?", "."): "an optional field is written a.?b",
    ("?", "["): "an optional element is written a[?b]",
    ("?", ":"): "write has(a.b) ? a.b : c, or a.?b.orValue(c)",
    ("=", ">"): "at least is written >=; a macro takes a name and an expression: list.map(x, …)",
    ("|", ">"): "write list.map(x, …), list.filter(x, …)",
    ("-", ">"): "write list.map(x, …) with a name and an expression",
    (".", "."): "write lists.range(n), or low <= x && x <= high",
    (">", "="): "at least is written >=",
    ("<", "="): "at most is written <=",
    ("=", "<"): "at most is written <=",
    (":", "="): "equality is written ==; cel.bind(name, value, expression) names a value",
}


def _optional_chaining(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`a?.b`, which begins a conditional that has no end."""
    if tokens[index].kind not in ("end", ")", "]", ",", "&&", "||"):
        return None
    for first, second in pairwise(tokens[:index]):
        if first.kind == "?" and second.kind in (".", "[") and first.end == second.start:
            hint = _PAIRS["?", second.kind]
            return CelSyntaxError(f"unexpected '?{second.kind}'", first.start, hint)
    return None


def _sentence(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """Words beside each other: text without quotes."""
    words = tokens[:-1]
    if index == 0 or not all(token.kind in ("name", "in", "-", ",", ".", "!", "int") for token in words):
        return None
    if tokens[index].kind != "name" or tokens[index - 1].kind not in ("name", "int"):
        return None
    hint = "text needs quotes of its own inside of YAML's: '\"…\"'"
    return CelSyntaxError(f"unexpected {tokens[index].text!r}", tokens[index].start, hint)


def _pair(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """Two symbols that are an operator elsewhere: `<>`, `**`, `?.`, `?:`, `++`."""
    for first, second in pairwise(tokens[max(index - 1, 0) : index + 2]):
        hint = _PAIRS.get((first.kind, second.kind))
        if hint is not None and first.end == second.start:
            return CelSyntaxError(f"unexpected {first.text + second.text!r}", first.start, hint)
    return None


_CASES: tuple[_Case, ...] = (
    *(_percentage, _unit, _optional_chaining, _not, _word, _pair, _boolean_word, _sentence),
)
