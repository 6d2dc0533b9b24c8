"""Pictures as Chromium shows them: something is there, and all of it, in a light and in a dark browser."""

from __future__ import annotations

import re

import pytest

from tests.conftest import DATA, Run
from tests.support.browser import Browser, check, framed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MARGIN = 60
HIVES = DATA / "topologies" / "rocm8_two_xgmi_hives.txt"

PLANS = {
    "one device": ("--inventory", "8xH100-SXM", "--model", "llama-3.1-8b", "--pin", "dp=1"),
    "tensor parallel": ("--inventory", "8xH100-SXM", "--model", "llama-3.1-70b"),
    "two nodes": ("--inventory", "2x8xH100-SXM", "--model", "llama-3.1-405b"),
    "two hives": ("--inventory", HIVES, "--memory", "64GiB", "--model", "llama-3.1-70b"),
    "unlike devices": ("--inventory", "4xRTX-4090+2xRTX-3090", "--model", "qwen3-32b"),
    "many devices": ("--inventory", "16x8xH100-SXM", "--model", "llama-3.1-405b"),
}


def picture(run: Run, *arguments: object, form: str = "svg") -> str:
    ran = run("eval", *map(str, arguments), "--quantization", "bf16", "--format", form)
    assert ran.code == 0, ran.err
    return ran.out


def size(svg: str) -> tuple[int, int]:
    found = re.search(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)
    assert found is not None
    return round(float(found[1])), round(float(found[2]))


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_picture_is_neither_empty_nor_clipped(plan: str, dark: bool, run: Run) -> None:
    svg = picture(run, *PLANS[plan])
    width, height = size(svg)
    browser = Browser(framed(svg, MARGIN), width + 2 * MARGIN, height + 2 * MARGIN, dark=dark)
    check(browser.screenshot(), (MARGIN, MARGIN, MARGIN + width, MARGIN + height))


_LEAVES = """
const leaves = [];
for (const text of document.querySelectorAll('svg text')) {
  const own = text.getBoundingClientRect();
  for (const box of document.querySelectorAll('svg rect.box')) {
    const around = box.getBoundingClientRect();
    const middle = (own.top + own.bottom) / 2;
    const starts = own.left >= around.left && own.left < around.right;
    const within = starts && middle > around.top && middle < around.bottom;
    if (within && own.right > around.right + 0.5) leaves.push(text.textContent);
  }
}
return leaves;
"""


@pytest.mark.parametrize("plan", PLANS)
def test_no_text_leaves_its_box(plan: str, run: Run) -> None:
    svg = picture(run, *PLANS[plan])
    width, height = size(svg)
    assert Browser(framed(svg, 0), width, height).measure(_LEAVES) == []


def test_an_empty_and_a_clipped_picture_are_found(run: Run) -> None:
    """What these tests are for: a picture without its marks, and one whose frame is too small."""
    svg = picture(run, *PLANS["tensor parallel"])
    width, height = size(svg)
    half = width // 2
    empty = re.sub(r"<(rect|path|text)\b.*?(/>|</\1>)", "", svg, flags=re.DOTALL)
    narrow = svg.replace(f'width="{width}"', f'width="{half}"', 1).replace(f"0 0 {width} ", f"0 0 {half} ", 1)
    window = (width + 2 * MARGIN, height + 2 * MARGIN)
    shown = Browser(framed(empty, MARGIN), *window).screenshot()
    with pytest.raises(AssertionError, match="empty"):
        check(shown, (MARGIN, MARGIN, MARGIN + width, MARGIN + height))
    shown = Browser(framed(narrow, MARGIN), *window).screenshot()
    with pytest.raises(AssertionError, match="beyond the picture's edge"):
        check(shown, (MARGIN, MARGIN, MARGIN + half, MARGIN + height))


_PAGE = "return [document.documentElement.scrollWidth, innerWidth, document.body.innerText.length];"


@pytest.mark.parametrize("width", [640, 1200])
def test_a_page_is_as_wide_as_its_window(width: int, run: Run) -> None:
    page = picture(run, *PLANS["two nodes"], form="html")
    wide, window, letters = Browser(page, width, 900).measure(_PAGE)
    assert wide <= window
    assert letters > 100


def test_a_page_says_what_would_help(run: Run) -> None:
    ran = run(
        "eval",
        "--inventory",
        "2xRTX-4090",
        "--model",
        "qwen3-32b",
        "--quantization",
        "bf16",
        "--format",
        "html",
    )
    assert ran.code == 1
    said = Browser(ran.out, 900, 900).measure("return document.body.innerText;")
    assert "Any one of these would make it fit:" in said
    assert "fp8" in said


def test_a_dark_page_is_dark(run: Run) -> None:
    page = picture(run, *PLANS["tensor parallel"], form="html")
    light, dark = (Browser(page, 900, 700, dark=each).screenshot() for each in (False, True))
    for image, is_dark in ((light, False), (dark, True)):
        pixel = image.getpixel((2, 2))
        assert isinstance(pixel, tuple)
        assert (max(pixel) < 64) is is_dark
        assert len(image.getcolors(image.width * image.height) or []) > 8
