"""Pages in headless Chromium: how they look, and what a script finds out about them."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--force-device-scale-factor=1", "--virtual-time-budget=2000"),
)
_MARK = "data-measured"

Box = tuple[int, int, int, int]


def chromium() -> str:
    """Chromium's path. Where it isn't installed these tests are left out, but never by .ci/run."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None and os.environ.get("ENGINE_TEST_BROWSER") == "required":
        pytest.fail("the tests of pictures need Chromium")
    if found is None:
        pytest.skip("Chromium is not installed")
    return found


class Browser:
    """One page, in a window of a size; dark where somebody prefers it so."""

    def __init__(self, page: str, width: int, height: int, *, dark: bool = False) -> None:
        self.page = page
        self.options = (
            *_OPTIONS,
            f"--window-size={width},{height}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        )

    def screenshot(self) -> Image.Image:
        """What is seen."""
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "page.png"
            self._run(folder, self.page, f"--screenshot={picture}")
            with Image.open(picture) as image:
                return image.convert("RGB")

    def measure(self, script: str) -> Any:
        """What a script returns, once the page is laid out."""
        marked = f"document.documentElement.setAttribute('{_MARK}', JSON.stringify((() => {{{script}}})()));"
        with tempfile.TemporaryDirectory() as folder:
            printed = self._run(folder, f"{self.page}<script>{marked}</script>", "--dump-dom")
        found = re.search(f'{_MARK}="([^"]*)"', printed)
        assert found is not None, printed[:500]
        return json.loads(html.unescape(found[1]))

    def _run(self, folder: str, page: str, what: str) -> str:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        command = [chromium(), *self.options, f"--user-data-dir={folder}/profile", what, file.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


def framed(svg: str, margin: int) -> str:
    """A picture in a page with a margin, into which shows whatever leaves the picture."""
    style = f"body {{ margin: {margin}px; }} svg {{ overflow: visible; display: block; }}"
    return f"<!doctype html><meta charset=utf-8><style>{style}</style>{svg}"


def check(image: Image.Image, inside: Box) -> None:
    """A picture with something in it, and with nothing beyond its frame.

    Args:
        image: a screenshot.
        inside: the picture's frame in it: left, top, right, bottom.

    Raises:
        AssertionError: it is empty, or clipped.
    """
    background = image.getpixel((0, 0))
    drawn = image.crop(inside)
    colours = drawn.getcolors(drawn.width * drawn.height) or []
    foreground = sum(count for count, colour in colours if colour != background)
    assert len(colours) > 8, "the picture is empty"
    assert foreground > 0.05 * drawn.width * drawn.height, "the picture is almost empty"
    outside = image.copy()
    outside.paste(background, inside)
    seen = outside.getcolors(outside.width * outside.height) or []
    assert {colour for _, colour in seen} == {background}, "something is drawn beyond the picture's edge"
