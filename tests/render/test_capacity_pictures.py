"""Charts as Chromium shows them: nothing is empty or clipped, and no label covers another."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Run
from tests.support.browser import Browser, check, framed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MARGIN = 60
DENSE = ("--model", "llama-3.1-70b", "--quantization", "fp8")
EXPERTS = ("--model", "deepseek-v3", "--quantization", "fp8")
GOALS = ("--slo", "ttft=1s,tpot=40ms")
PICTURES = {
    "size": ("size", *DENSE, *GOALS, "--rate", "20/s", "--on", "8xH100-SXM,4xL40S,8xMI300X"),
    "frontier": ("frontier", *DENSE, *GOALS, "--inventory", "8xH100-SXM"),
    "frontier of experts": ("frontier", *EXPERTS, "--inventory", "8xB200-SXM"),
    "map": (
        "map",
        *DENSE,
        "--inventory",
        "4xH100-SXM",
        "--x",
        "context=2k..64k",
        "--y",
        "concurrency=1..256",
    ),
}
_COVERED = """
const marks = [...document.querySelectorAll('svg text')];
const texts = marks.map(text => [text.textContent, text.getBoundingClientRect()]);
const covered = [];
texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
  const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
  const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
  if (wide > 1 && high > 4) covered.push([a, b]);
}));
return covered;
"""


def drawn(run: Run, picture: str) -> tuple[str, int, int]:
    svg = run(*PICTURES[picture], "--format", "svg").ok().out
    found = re.search(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)
    assert found is not None
    return svg, round(float(found[1])), round(float(found[2]))


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_chart_is_neither_empty_nor_clipped(picture: str, dark: bool, run: Run) -> None:
    svg, width, height = drawn(run, picture)
    browser = Browser(framed(svg, MARGIN), width + 2 * MARGIN, height + 2 * MARGIN, dark=dark)
    check(browser.screenshot(), (MARGIN, MARGIN, MARGIN + width, MARGIN + height))


@pytest.mark.parametrize("picture", PICTURES)
def test_labels_do_not_cover_each_other(picture: str, run: Run) -> None:
    svg, width, height = drawn(run, picture)
    browser = Browser(framed(svg, MARGIN), width + 2 * MARGIN, height + 2 * MARGIN)
    assert browser.measure(_COVERED) == []
