"""Syntax errors, with a hint for what people write who think in another language.

Each hint is chosen by the tokens around the place where reading stopped; there is none where none is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from engine.cel.errors import CelSyntaxError
from engine.cel.suffixes import amount_of_a_unit
from engine.cel.tokens import LITERALS, NUMBERS, Token

CONDITIONAL = "write condition ? a : b"
_MATCHES = 'write text.matches("…")'
FILLED = '"%s of %d".format([text, number])'
_FILL = f"values go into text by {FILLED}"
_LOOP = "write list.map(x, …), list.filter(x, …), list.all(x, …) or list.exists(x, …)"
_RANGE = "write low <= x && x <= high, or lists.range(n)"
_LISTED = "the elements of a list stand in [ ]"
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
    "isnot": "inequality is written !=",
    "isnt": "inequality is written !=",
    "instanceof": "write type(a) == int",
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
    "for": _LOOP,
    "while": _LOOP,
    "as": "write int(a), double(a) or string(a)",
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
_PREFIXES = {
    "some": "write list.exists(x, …)",
    "every": "write list.all(x, …)",
    "any": "write list.exists(x, …)",
    "all": "write list.all(x, …)",
    "typeof": "write type(x)",
    "new": 'nothing is made by new: write timestamp("2026-01-31T00:00:00Z"), [1, 2] or {"a": 1}',
    "lambda": _LOOP,
    "delete": "an expression changes nothing",
    **dict.fromkeys(("int", "uint", "double", "string", "bool", "bytes"), "write {0}({1})"),
}
"""Words of other languages before a value, and how CEL writes them."""


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
    if quote == "`" and "${" in text[offset:]:
        return CelSyntaxError("unexpected '`'", offset, _FILL)
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
        bracket = _open_bracket(tokens[:index])
        hint = "two texts are joined by +"
        if bracket is not None and bracket.kind != "{":
            hint = f"a comma is missing before it; {hint}"
    if hint is None and before is not None and _is_value(before) and _is_value(token):
        hint = "an operator or a comma is missing before it"
    if token.kind in ")]}":
        hint = _closing_hint(token, _open_bracket(tokens[:index])) or hint
    return CelSyntaxError(f"unexpected {token.text[:40]!r}", token.start, hint)


def _closing_hint(token: Token, opened: Token | None) -> str | None:
    if opened is None:
        return f"no {_OPENING[token.kind]} is open"
    if opened.kind != _OPENING[token.kind]:
        closing = _CLOSING[opened.kind]
        return f"the {opened.kind!r} of column {opened.start + 1} is closed by {closing}"
    return None


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


_OPENING = {")": "(", "]": "[", "}": "{"}
_CLOSING = {opening: closing for closing, opening in _OPENING.items()}


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
    if _awaits_colon(tokens):
        hint = CONDITIONAL
    elif not _is_value(last):
        hint = f"a value is missing after {last.text!r}"
    elif bracket is not None:
        hint = f"the {bracket.kind!r} of column {bracket.start + 1} is not closed"
        if "\n" in text:
            hint = f"a {bracket.kind!r} is not closed"
    return CelSyntaxError("the expression ends too early", last.end, hint)


def _awaits_colon(tokens: Sequence[Token]) -> bool:
    """Return True after `a ? b`."""
    last = tokens[-2]
    marks = [token.kind for token in tokens if token.kind in ("?", ":")]
    return _is_value(last) and _open_bracket(tokens) is None and marks.count("?") > marks.count(":")


# --- cases of several tokens ------------------------------------------------------------------------------

_Case = Callable[[Sequence["Token"], int], "CelSyntaxError | None"]


def _percentage(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`90%` where no operand follows."""
    if index < 2 or tokens[index - 1].kind != "%" or tokens[index - 2].kind not in NUMBERS:
        return None
    number = tokens[index - 2]
    share = f"{float(number.text.rstrip('uU')) / 100:g}" if not number.text.startswith("0x") else "0.9"
    share = share if "." in share or "e" in share else f"{share}.0"
    hint = f"a share is written as a fraction: {share}; % is the remainder of a division"
    return CelSyntaxError(f"unexpected '%' after {number.text}", tokens[index - 1].start, hint)


def _not(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`not x`, `x not in y`: `not` is a name to the grammar."""
    token = tokens[index]
    if token.kind == "name" and token.text.lower() == "not" and tokens[index + 1].text.lower() == "in":
        return CelSyntaxError(f"unexpected {token.text!r}", token.start, "write !(x in y)")
    if token.kind == "!" and tokens[index + 1].kind == "in":
        return CelSyntaxError("unexpected '!'", token.start, "write !(x in y)")
    if index and tokens[index - 1].text in ("not", "NOT") and tokens[index - 1].kind == "name":
        before = tokens[index - 1]
        return CelSyntaxError(f"unexpected {before.text!r}", before.start, WORDS["not"])
    return None


def _word(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """Return the error of `and`, `is`, `like` … between two values."""
    token = tokens[index]
    if token.kind != "name" or index == 0 or not _is_value(tokens[index - 1]):
        return None
    if token.text.lower() == "is" and tokens[index + 1].text.lower() == "not":
        return CelSyntaxError("unexpected 'is not'", token.start, "inequality is written !=")
    hint = WORDS.get(token.text) or WORDS.get(token.text.lower())
    if hint is None and token.text.lower() == "in":
        hint = "write in"
    return CelSyntaxError(f"unexpected {token.text!r}", token.start, hint) if hint else None


def _punctuation(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """Return the error of a comma or a colon where neither can be."""
    token = tokens[index]
    bracket = _open_bracket(tokens[:index])
    hint = None
    if token.kind == ",":
        hint = _comma(tokens, index, bracket)
    elif token.kind == ":" and bracket is None:
        hint = CONDITIONAL
    elif token.kind == ":" and bracket is not None and bracket.kind == "[":
        hint = "CEL has no slices: write list.slice(from, to) or text.substring(from, to)"
    elif token.kind == ":" and bracket is not None and bracket.kind == "(" and tokens[index - 2] == bracket:
        hint = "a comma follows the name: list.exists(x, …)"
    return CelSyntaxError(f"unexpected {token.text!r}", token.start, hint) if hint else None


def _comma(tokens: Sequence[Token], index: int, bracket: Token | None) -> str | None:
    before, after = tokens[index - 1], tokens[index + 1]
    adjacent = before.end == tokens[index].start and tokens[index].end == after.start
    if index and adjacent and bracket is None and before.kind == after.kind == "int":
        if len(after.text) == 3:
            return f"digits are not grouped: write {before.text}{after.text}"
        return f"the decimal sign is a point: write {before.text}.{after.text}"
    if bracket is None:
        return "conditions are joined by && or ||, elements stand in [ ]"
    if bracket.kind == "{":
        return f"{_LISTED}, a map is {{key: value}}"
    position = tokens.index(bracket)
    called = position > 0 and tokens[position - 1].kind == "name"
    return _LISTED if bracket.kind == "(" and not called else None


def _template(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`f"{a}"`, `${a}`, `{{ a }}`: how other languages put values into text."""
    token = tokens[index]
    before = tokens[index - 1] if index else None
    formatted = token.kind == "string" and before is not None and before.end == token.start
    if formatted and before is not None and before.text in ("f", "F", "fr", "rf", "$"):
        return CelSyntaxError(f"unexpected {before.text!r} before text", before.start, _FILL)
    if token.kind == "$" and tokens[index + 1].kind == "{":
        return CelSyntaxError("unexpected '${'", token.start, "write the name alone, without ${ }")
    for first, second in pairwise(tokens[: index + 2]):
        if first.kind == second.kind == "{" and first.end == second.start:
            hint = "write the name alone, without {{ }}"
            if first.start != tokens[0].start:
                hint = f"text needs quotes of its own inside of YAML's, and {_FILL}"
            return CelSyntaxError("unexpected '{{'", first.start, hint)
    return None


def _prefix(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`new Date()`, `typeof x`, `some x in y`, `(int) x`: a word before a value."""
    token = tokens[index]
    if index == 0 or token.kind != "name":
        return None
    word, at = tokens[index - 1], tokens[index - 1].start
    if word.kind == ")" and index > 2 and tokens[index - 3].kind == "(":
        word, at = tokens[index - 2], tokens[index - 3].start
        if word.text not in _PREFIXES or "{0}" not in _PREFIXES[word.text]:
            return None
    hint = _PREFIXES.get(word.text) if word.kind == "name" else None
    if hint is None:
        return None
    hint = hint.replace("{0}", word.text).replace("{1}", token.text)
    return CelSyntaxError(f"unexpected {word.text!r}", at, hint)


def _range(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`1..5`, and `list.0`: both have a double that begins with a point."""
    token = tokens[index]
    if index == 0 or token.kind != "double" or not token.text.startswith("."):
        return None
    before = tokens[index - 1]
    if before.kind == "." and before.end == token.start:
        return CelSyntaxError("unexpected '..'", before.start, _RANGE)
    if before.end == token.start and _is_value(before) and token.text[1:].isdigit():
        hint = f"an element of a list is written list[{token.text[1:]}]"
        return CelSyntaxError(f"unexpected {token.text!r}", token.start, hint)
    return None


def _between(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`a ~ b`, `[x | …]`, `{ |x| … }`, `a->b`, `a::b`: symbols with another meaning between two names."""
    token = tokens[index]
    before = tokens[index - 1] if index else None
    bracket = _open_bracket(tokens[:index])
    hint = None
    if token.kind == "~" and before is not None and _is_value(before):
        hint = _MATCHES
    elif token.kind == "|" and bracket is not None and bracket in tokens[max(index - 2, 0) : index]:
        hint = _LOOP if bracket.kind in "[{" else None
    elif token.kind == ":" and tokens[index + 1].kind == ":":
        hint = "a field is read by a point: a.b"
    elif token.kind == ">" and before is not None and before.kind == "-" and bracket is None:
        return CelSyntaxError("unexpected '->'", before.start, "a field is read by a point: a.b")
    elif token.kind in ("<", ">", "==", "!=", "<=", ">=") and bracket is not None and bracket.kind == "{":
        hint = "CEL has no blocks in { }: write the condition alone"
    return CelSyntaxError(f"unexpected {token.text!r}", token.start, hint) if hint else None


def _operand(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """`/a.*/` and `list[*]`: a symbol where a value is expected."""
    token = tokens[index]
    before = tokens[index - 1] if index else None
    if token.kind == "/" and (before is None or not _is_value(before)):
        return CelSyntaxError("unexpected '/'", token.start, f"a pattern is text: {_MATCHES}")
    if token.kind == "*" and before is not None and before.kind in ("[", "."):
        return CelSyntaxError("unexpected '*'", token.start, "write list.map(x, x.field)")
    return None


_PAIRS = {
    ("=", "~"): _MATCHES,
    ("~", "="): _MATCHES,
    ("!", "~"): 'write !text.matches("…")',
    ("=", "!"): "inequality is written !=",
    ("/", "*"): "a comment begins with // and ends with its line",
    ("==", "="): "equality is written ==",
    ("!=", "="): "inequality is written !=",
    ("<", ">"): "inequality is written !=",
    ("*", "*"): "CEL has no powers: write x * x",
    ("+", "+"): "an expression changes nothing: write x + 1",
    **dict.fromkeys(
        [("+", "="), ("-", "="), ("*", "="), ("/", "=")], "an expression changes nothing: write x + 1"
    ),
    ("!", "."): "write a.b without !; a value that may be null is asked for first",
    ("?", "?"): "write a.?b.orValue(c), or has(a.b) ? a.b : c",
    ("?", "."): "an optional field is written a.?b",
    ("?", "["): "an optional element is written a[?b]",
    ("?", ":"): "write has(a.b) ? a.b : c, or a.?b.orValue(c)",
    ("=", ">"): "at least is written >=; a macro takes a name and an expression: list.map(x, …)",
    ("|", ">"): "write list.map(x, …), list.filter(x, …)",
    ("-", ">"): "write list.map(x, …) with a name and an expression",
    (".", "."): _RANGE,
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
        if first.kind + second.kind in _SPACED and first.end < second.start:
            hint = f"write {first.kind}{second.kind} without a space"
            return CelSyntaxError(f"unexpected {second.text!r}", second.start, hint)
    return None


_SPACED = {"<=", ">=", "!=", "==", "&&", "||"}
"""Operators that fall apart by a space in them."""

_CASES: tuple[_Case, ...] = (
    *(
        _percentage,
        amount_of_a_unit,
        _optional_chaining,
        _template,
        _not,
        _word,
        _between,
        _pair,
        _range,
        _prefix,
    ),
    *(_punctuation, _operand, _sentence),
)
