"""Text without what mail, logs, terminals and launchers put around it, and the hosts that they name."""

from __future__ import annotations

import html
import re

from engine.base.records import record
from engine.inventory.wrappings import without_wrapping

_ESCAPES = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|(?:\^\[)?\[\d{0,3}(?:;\d{1,3}){0,4}m"
)
"""Escape sequences, and what is left of colours where the escape character is lost."""

_DATE = r"\d{4}-\d\d-\d\d[T ][0-9:.,]{8,20}(?: ?(?:Z|[+-]\d\d:?\d\d))?"
_LEVEL = r"(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR)"
_WORKER = r"\([\w= -]{0,60}\bpid=\d{1,9}\) "
_LOG = re.compile(
    rf"\[?(?:{_DATE}|\d{{1,4}}/\d\d/\d{{2,4}} [\d:.]{{8,15}})\]? (?:- )?"
    rf"(?:\[?{_LEVEL}\]?:? (?:- )?|std(?:out|err) [FP] )?"  # of Python, of containers
    rf"|(?:{_WORKER})?{_LEVEL} \d\d-\d\d [\d:]{{8}} \[[^\[\]]{{1,60}}\] |{_WORKER}"  # of vLLM
    r"|\d{1,4}\.\d\d\.\d{3}\.\d{3} [DIWE] "  # of llama.cpp
    r"|\[rank\d{1,6}\]:? "  # of torchrun
)
"""What programs put before a line of their log, and no tool before a line of its output."""
_MARGINS = (
    re.compile(  # the journal, with months in any language
        r"[^\W\d_]{2,5}\.? [ \d]\d [\d:]{8} (?P<host>[\w.-]{1,99}) [\w./-]{1,99}(?:\[\d+\])?:(?: |$)"
    ),
    re.compile(rf"{_DATE} (?P<host>[\w.-]{{1,99}}) [\w./-]{{1,99}}\[\d+\]:(?: |$)"),
    _LOG,
    re.compile(r"> ?"),  # quoted, as in a mail or an issue
    re.compile(rf"{_DATE}(?: |$)"),  # kubectl logs --timestamps
    re.compile(rf"\[?{_LEVEL}\]?:? +(?!\d\d-\d\d )|\[?\d\d:\d\d:\d\d\]? "),  # logs without a date
    re.compile(r"// ?|[*-] |REM "),  # comments and lists
    re.compile(r"\([\w= -]{0,60}\bpid=\d{1,9}, ip=(?P<host>[\d.]{7,15})\) "),  # Ray
    re.compile(r"\[pod/(?P<host>[^\[\]/]{1,99})/[^\[\]]{1,99}\] "),  # kubectl logs --prefix
    re.compile(rf"\[{_DATE}\] ?|\[ *\d+\.\d+\] "),  # logs, dmesg
    re.compile(r"(?P<service>[\w.-]{1,99}) +\|(?: |$)"),  # docker compose logs
    re.compile(r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,99}):(?: |$)"),  # pdsh, srun -l
    re.compile(r"\[(?P<host>\d+,\d+)\]<std(?:out|err)>: ?"),  # mpirun --tag-output
    re.compile(r"\[(?P<host>[\w.-]{1,99})\] (?:out: )?"),  # fabric, parallel-ssh
    re.compile(r"# ?"),  # a comment in a script
    re.compile(r"\+"),  # a line that a diff adds
)
_FENCES = re.compile(
    r"^[ \t]*(?:```|~~~)[\w-]*[ \t]*$|</?(?:pre|code|samp)(?: [^<>\n]{0,200})?>", re.MULTILINE
)
_SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u2060\ufeff]")
_MOST_MARGINS = 4
"""Margins inside one another that are taken off."""
_ENTITY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|vert|ndash|mdash|#\d{1,4}|#x[0-9A-Fa-f]{1,4});")


@record
class Plain:
    """A text without margins; `hosts` are those that the margin of its lines names, in their order."""

    text: str
    hosts: tuple[str, ...] = ()


def plain(text: str) -> str:
    """Return a text without terminal styles, invisible characters and the margin before each of its lines."""
    return unwrap(text).text


def unwrap(text: str) -> Plain:
    """Return a text without its margins, and the hosts that they name.

    Lines of several hosts, which launchers mix, are put together by host, each below a line `HOST:`.
    """
    text = without_wrapping(text)
    text = _INVISIBLE.sub("", _SPACES.sub(" ", _ESCAPES.sub("", text) if "[" in text else text))
    if "<pre" in text or "<code" in text or "```" in text or "~~~" in text:
        text = _FENCES.sub("", text)
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text).replace("\u00a0", " ")
    hosts: tuple[str, ...] = ()
    for _ in range(_MOST_MARGINS):
        inner = _without_margin(text)
        if inner is None:
            break
        text, hosts = inner.text, hosts or inner.hosts
    return Plain("\n".join(map(_unlogged, text.split("\n"))), hosts)


def _unlogged(line: str) -> str:
    """Return a line without what a log puts before it, where other lines have none."""
    match = _LOG.match(line)
    return line if match is None else line[match.end() :]


def _without_margin(text: str) -> Plain | None:
    """Return the text without the first margin that all its lines have; None if there is none."""
    lines = text.split("\n")
    filled = [line for line in lines if line.strip()]
    if not filled:
        return None
    if _are_numbered(lines):
        return Plain("\n".join(_NUMBER.sub("", line, count=1) for line in lines))
    for margin in _MARGINS:
        if margin.match(filled[0]) is None:
            continue
        matches = [margin.match(line) for line in lines]
        if all(match is not None or not line.strip() for match, line in zip(matches, lines, strict=True)):
            inner = _cut(lines, matches)
            if inner is not None:
                return inner
    return None


_NUMBER = re.compile(r" {0,6}(?P<number>\d{1,5})(?:[:|] ?|  | ?\| ?|\t)")
_FEWEST_NUMBERED = 4


def _are_numbered(lines: list[str]) -> bool:
    """Test whether each line begins with its number, as an editor or `grep -n` prints it."""
    matches = [(at, match) for at, line in enumerate(lines) if (match := _NUMBER.match(line))]
    fewest = 2 if matches and matches[0][0] == 0 and matches[0][1]["number"] == "1" else _FEWEST_NUMBERED
    if len(matches) < fewest or len(matches) < sum(1 for line in lines if line.strip()):
        return False
    return len({int(match["number"]) - at for at, match in matches}) == 1


def _cut(lines: list[str], matches: list[re.Match[str] | None]) -> Plain | None:
    """Return the lines without their margins; None if what looks like hosts are names of single lines."""
    cut = [line if match is None else line[match.end() :] for line, match in zip(lines, matches, strict=True)]
    by_host: dict[str, list[str]] = {}
    services = False
    for line, match in zip(cut, matches, strict=True):
        if match is not None and match.groupdict().get("host"):
            by_host.setdefault(match["host"], []).append(line)
        elif match is not None and match.groupdict().get("service"):
            services = True
            by_host.setdefault(match["service"], []).append(line)
    if not services and any(len(listed) < 2 and not _LISTED.match(listed[0]) for listed in by_host.values()):
        return None
    if len(by_host) < 2:
        return Plain("\n".join(cut), tuple(by_host))
    return Plain("\n".join(f"{host}:\n" + "\n".join(by_host[host]) for host in by_host), tuple(by_host))


_LISTED = re.compile(r"GPU \d+: ")
"""A list may have one line a host."""
