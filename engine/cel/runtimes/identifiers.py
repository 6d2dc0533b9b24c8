"""The names of generated code: a prefix for each kind of name, so that names of two kinds never clash.

What people write (inputs, variables, constants, what macros and `cel.bind` bind, catalogs, types) always has
its kind's prefix in generated Python, and so has what is generated as often as it is needed (CEL's functions,
temporaries, functions that compute something). Names without one are Python's builtins, and those of
`link.HELPERS` and `RESERVED`, of which none begins as a prefix does. A user's `len`, `class` or
`chosen_2` thus is `var_len`, `var_class`, `var_chosen_2`, and can stand for nothing else.
"""

from __future__ import annotations

INPUT = "input_"
VARIABLE = "var_"
CONSTANT = "const_"
CATALOG = "catalog_"
TYPE = "type_"
EACH = "each_"
"""A name that a macro binds to each element."""
BOUND = "bound_"
"""A name that `cel.bind` binds."""
FUNCTION = "cel_"
"""A function or an operator of CEL."""
COMPUTE = "compute_"
"""A function that computes a variable."""
SEARCH = "search_"
"""A function of a search's candidate."""
COLUMN = "column_"
"""A function that computes a cell of a catalog."""
TEMPORARY = "_"

PREFIXES = (
    *(INPUT, VARIABLE, CONSTANT, CATALOG, TYPE, EACH, BOUND, FUNCTION, COMPUTE, SEARCH, COLUMN, TEMPORARY),
)

SPEND = "spend"
RESOLVE = "resolve"
OBSERVE = "observe"
UNSET = "UNSET"
CANDIDATE = "candidate"
REQUIREMENT = "requirement"
DECIDE = "decide"
EVALUATE = "evaluate"

RESERVED = frozenset({SPEND, RESOLVE, OBSERVE, UNSET, CANDIDATE, REQUIREMENT, DECIDE, EVALUATE})
"""Parameters, functions and marks of generated code that have no prefix."""


def identifier(prefix: str, word: str) -> str:
    """Return the Python name of a user's or the engine's word of one kind.

    What is before the last dot of a library's name is counted, as no plain word begins with a digit:
    `speed.tpot_ms` becomes `5speed_tpot_ms`.

    Raises:
        ValueError: it would be no plain Python name, which neither schemas nor CEL's grammar let through.
    """
    if "." in word:
        *owners, last = word.split(".")
        word = "".join(f"{len(owner)}{owner}" for owner in owners) + f"_{last}"
    made = prefix + word
    if not (made.isascii() and made.isidentifier()):
        raise ValueError(f"not a name: {word!r}")
    return made
