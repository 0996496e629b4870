"""The pages in a real browser: what it renders, at the width of a desk and of a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import pytest

from argmind.report.text import text_report
from argmind.report.thinking import thinking_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH to render pages with")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=3000",
)

# A frame inside the page has exactly the width asked for; a window has a least width.
MEASURE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;height:900px" srcdoc="{source}"></iframe><pre id="told"></pre><script>
const frame = document.querySelector("iframe"), told = {{}};
frame.onload = () => {{
  for (const width of {widths}) {{
    frame.style.width = width + "px";
    const page = frame.contentDocument, root = page.documentElement;
    const small = [...page.querySelectorAll(".plot svg")].filter((e) => e.clientWidth < 250);
    told[width] = {{
      content: root.scrollWidth, small: small.length, height: root.scrollHeight,
      scripts: page.scripts.length, tokens: page.querySelectorAll(".token").length,
      captions: page.querySelectorAll("figcaption").length,
      words: page.body.innerText.length,
      requests: frame.contentWindow.performance.getEntriesByType("resource").length,
    }};
  }}
  document.getElementById("told").textContent = JSON.stringify(told);
}};
</script>"""


def browse(folder: Path, *words: str) -> str:
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def measure(page: str, folder: Path, widths: tuple[int, ...]) -> dict:
    source = html.escape(page, quote=True)
    wrapper = folder / "measure.html"
    wrapper.write_text(MEASURE.format(source=source, widths=list(widths)), encoding="utf-8")
    shown = browse(folder, "--dump-dom", wrapper.as_uri())
    told = re.search(r'<pre id="told">(\{.*?\})</pre>', shown)
    assert told, "the page did not load"
    return json.loads(told.group(1))


def test_the_report_fits_desks_and_phones(example_text_report, tmp_path):
    told = measure(text_report(example_text_report), tmp_path, (1200, 390))
    for width, found in told.items():
        assert found["content"] <= int(width)
        assert found["small"] == 0
        assert found["scripts"] == 0
        assert found["requests"] == 0
        assert found["captions"] == 13
        assert found["tokens"] == 3 * len(example_text_report.passage)
    assert told["390"]["height"] > told["1200"]["height"]


def test_the_thinking_page_fits_desks_and_phones(thoughts, tmp_path):
    told = measure(thinking_page(thoughts), tmp_path, (1200, 390))
    assert all(found["content"] <= int(width) for width, found in told.items())
    assert told["390"]["words"] > 500


def test_a_page_too_wide_is_noticed(tmp_path):
    told = measure("<!doctype html><p style='width:900px'>x</p>", tmp_path, (390,))
    assert told["390"]["content"] > 390


def test_the_screenshot_is_not_blank(example_text_report, tmp_path):
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(text_report(example_text_report), encoding="utf-8")
    browse(tmp_path, "--window-size=1200,4000", f"--screenshot={picture}", page.as_uri())
    pixels = matplotlib.image.imread(picture)[..., :3]
    assert pixels.shape[:2] == (4000, 1200)
    dark = pixels.max(-1) < 0.4
    orange = (pixels[..., 0] > 0.7) & (pixels[..., 2] < 0.4)
    assert 0.005 < dark.mean() < 0.3  # letters on white paper
    assert orange.sum() > 1000  # lines of the plots, tokens of high energy
    assert all(dark[start : start + 400].any() for start in range(0, 4000, 400))
