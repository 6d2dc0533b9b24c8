"""The prices of functions, charged before the work is done.

A step is about 0.1 µs of work or 8 bytes that stay. Every runtime that runs in Python uses this model:

- A macro costs the length of its range times the weight of its body (see `codegen`), which grows with the
  body's operations.
- A function with a `Price` costs `elements` steps for each element of its lists and maps, and one step per
  `characters` of its strings. Python handles an element in 0.1 to 0.5 µs, C a character in 1 ns or less.
- A function that is `CHARGING` costs what only its values show (lists in lists, results longer than
  arguments, patterns); it takes `spend` as its first argument and charges as it goes.
- A `FLAT` function does the same work whatever its arguments are, and costs nothing: the number of calls in
  an expression is limited, and inside a macro the body's weight counts them.

Strings shorter than `READ` characters cost nothing by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.base.records import record

if TYPE_CHECKING:
    from collections.abc import Sized
    from typing import Protocol, TypeVar

    _Values = TypeVar("_Values")
    _Text = TypeVar("_Text", bound=Sized | None)

    class Spend(Protocol):
        """`Budget.spend`: takes steps off the budget of a decision."""

        def __call__(self, values: _Values = ..., weight: int = 1, steps: int = 0) -> _Values: ...

else:
    Spend = object


READ = 64
"""Characters that are read, compared or searched in one step."""
MADE = 8
"""Characters that are made in one step."""
EQUAL = 4
"""Steps for comparing one element with CEL's equality across types."""


@record
class Price:
    """Steps for an element of a list or map, and characters for a step."""

    elements: int = 1
    characters: int = READ


FLAT = "flat"
"""The cost of a function whose work does not depend on the size of its arguments."""
CHARGING = "charging"
"""The cost of a function that takes `spend` and charges as it goes."""

Cost = Price | str
"""`FLAT`, `CHARGING` or a `Price`."""

READING = Price()
"""The price of a function that reads its arguments once."""
COPYING = Price(elements=1, characters=MADE)
"""The price of a function that copies its arguments."""
COMPARING = Price(elements=3)
"""The price of a function that compares the elements of a list."""
REWRITING = Price(characters=1)
"""The price of a function that handles each character in Python."""

OPEN_OPERATIONS = 8
"""The least that a call takes, in Python operations, unless its function says otherwise."""


def priced(price: Price, implementation: Callable[..., object]) -> Callable[..., object]:
    """Return the implementation with `spend` as its first argument: it charges `price`, then calls."""
    elements, characters = price.elements, price.characters

    def charged(spend: Spend, *arguments: object) -> object:
        steps = 0
        for argument in arguments:
            if isinstance(argument, (str, bytes)):
                steps += len(argument) // characters if len(argument) >= READ else 0
            elif isinstance(argument, (list, dict)):
                steps += len(argument) * elements
        if steps:
            spend(steps=steps)
        return implementation(*arguments)

    return charged


def read_text(spend: Spend, text: _Text) -> _Text:
    """Charge for reading `text` (or bytes, or null) and return it."""
    if text is not None and len(text) >= READ:
        spend(steps=len(text) // READ)
    return text


def searched(spend: Spend, text: str, part: str) -> None:
    """Charge for a substring search; Python compares at most 100 characters at each position."""
    if len(text) >= READ:
        spend(steps=len(text) // READ * (1 + min(len(part), 100) // 4))


def ordering(spend: Spend, values: Sequence[object]) -> None:
    """Charge for sorting values, or for comparing each with another."""
    count = len(values)
    steps = count * (2 + count.bit_length() // 4)
    if values and isinstance(values[0], (str, bytes)):
        characters = sum(len(value) for value in values if isinstance(value, (str, bytes)))
        steps += characters // READ * count.bit_length()
    spend(steps=steps)
