"""Machines in the words that people use: `two RTX 3090s`, `H100 x 8`, `2 nodes of 8 H100`, `M4 Max 128GB`."""

from __future__ import annotations

import re

from engine.inventory.products import Hardware

_WORDS = {
    "a": 1,
    "one": 1,
    "single": 1,
    "two": 2,
    "dual": 2,
    "pair of": 2,
    "a pair of": 2,
    "three": 3,
    "triple": 3,
    "four": 4,
    "quad": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "ten": 10,
    "twelve": 12,
    "sixteen": 16,
}
_SPOKEN = re.compile(r"\s*(?=.*[A-Za-z]|\d{3,4}\s*\Z|\d+ ?[x×*] ?\d)\w[\w×*.+,;& -]{0,200}\Z")
_BETWEEN = re.compile(r"\s*[+,;&]\s*|\s+and\s+", re.IGNORECASE)
_NODES = re.compile(
    r"(?P<nodes>\d{1,5}) ?(?:nodes?|machines?|servers?)\b(?: ?(?:of|with|each with|each|x|×))? *(?P<rest>.+)",
    re.IGNORECASE,
)
_SPELT = re.compile(
    rf"(?P<word>{'|'.join(sorted(_WORDS, key=len, reverse=True))})[ -]+(?P<rest>\S.*)\Z", re.IGNORECASE
)
_COUNTED = re.compile(r"(?:(?P<count>\d{1,7}) ?[x×*] ?|(?P<few>\d{1,3}) +)(?P<rest>\S.*)\Z", re.IGNORECASE)
_AFTER = re.compile(r"(?P<rest>\S.*?)(?: ?[x×*] ?)(?P<count>\d{1,4})\Z", re.IGNORECASE)
_NOUN = re.compile(r"[ -]+(?:GPUs?|cards?|accelerators?|devices?|chips?)\Z", re.IGNORECASE)
_SIZED = re.compile(
    r"(?P<name>\S.*?)[ -]+(?P<gib>\d{1,5}) ?(?:GB|GiB|G)(?: (?:RAM|unified|memory|unified memory))?\Z",
    re.IGNORECASE,
)
_COMPUTER = re.compile(r"(?:Mac ?(?:Studio|Pro|mini|Book(?: Pro| Air)?)|iMac)\s+", re.IGNORECASE)


def is_spoken(text: str) -> bool:
    """Test whether a text may describe a machine in words; the name of a file may have that form, too."""
    return _SPOKEN.match(text) is not None


def parts_of(text: str) -> list[str]:
    """Return the parts of a description that name one product each."""
    return [part for part in _BETWEEN.split(text) if part] or [text]


def written(part: str, hardware: Hardware) -> str:
    """Return one part as a shorthand writes it: `2x8xH100`; as it is if it is of no other form."""
    text = part.strip()
    if _is_name(text, hardware):
        return text
    nodes = _NODES.match(text)
    if nodes is not None:
        inner = written(nodes["rest"], hardware)
        return f"{nodes['nodes']}x{inner}" if re.match(r"\d+x", inner) else f"{nodes['nodes']}x1x{inner}"
    counts: list[int] = []
    while len(counts) < 2 and not _is_name(text, hardware):
        match = _SPELT.match(text) or _COUNTED.match(text)
        if match is None:
            break
        word = match.groupdict().get("word")
        counts.append(int(match["count"] or match["few"]) if word is None else _WORDS[word.lower()])
        text = match["rest"]
    after = None if _is_name(text, hardware) else _AFTER.match(text)
    if after is not None and not counts and re.search(r"[A-Za-z]", after["rest"]):
        counts, text = [int(after["count"])], after["rest"]
    return "x".join([*map(str, counts), _singular(_COMPUTER.sub("", text), hardware)])


def _is_name(text: str, hardware: Hardware) -> bool:
    return hardware.product(text) is not None or hardware.instance(text.replace(" ", "-")) is not None


def _singular(name: str, hardware: Hardware) -> str:
    """Return a name without what makes it a plural: `H100s`, `L4 GPUs`; an `s` may be short for SUPER."""
    for candidate in (name, _NOUN.sub("", name)):
        if _is_name(candidate, hardware):
            return candidate
        one = candidate.rstrip("'’").removesuffix("s").rstrip("'’")
        if one != candidate and _is_name(one, hardware) and hardware.product(f"{one} SUPER") is None:
            return one
        if one != candidate and one.isdecimal():
            return one
    return name


def shared_memory(name: str, hardware: Hardware) -> tuple[str, int | None]:
    """Return a name without the memory of its machine, and the bytes: `M4 Max 128GB`, `GB10 128GB`.

    A size that is not that of a machine's memory stays part of the name.
    """
    match = _SIZED.match(name)
    product = None if match is None else hardware.product(match["name"])
    if match is None or product is None or not product["shared_memory"]:
        return name, None
    return match["name"], int(match["gib"]) * 2**30
