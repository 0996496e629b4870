"""The page on thinking says what the results files say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from argmind.eval.results import Figure, Results, write_results

from .conftest import FOLDER

ROOT = Path(FOLDER).parent
PAGE = """\
Boards: <!--reasoning sudoku_hard_ebt_T %-->old<!---->, <!--reasoning none 2-->old<!---->.

<!--table hard-->
old
<!--/table-->
"""


def results(folder: Path) -> None:
    figures = {
        "sudoku_hard_ebt": Figure(value=0.7, low=0.65, high=0.75, unit="1"),
        "sudoku_hard_ebt_T": Figure(value=0.5, unit="1"),
        "inverse_hard_ebt": Figure(value=0.01234, unit="1"),
        "inverse_hard_loop": Figure(value=0.5, low=0.5, high=0.5, unit="1"),
    }
    write_results(
        folder / "reasoning.json",
        Results(command="c", commit="c", machine={"cpu": 1}, seeds=(0,), figures=figures),
    )


def test_figures_are_filled_in(tmp_path: Path) -> None:
    from thinking_doc import Filled

    assert "not measured" in Filled(tmp_path).page(PAGE)
    results(tmp_path)
    filled = Filled(tmp_path).page(PAGE)
    assert "Boards: <!--reasoning sudoku_hard_ebt_T %-->50.0 %<!---->" in filled
    assert "<!--reasoning none 2-->not measured<!---->" in filled
    assert "| Sudoku 6 × 6 | 70.0 % (65.0 % – 75.0 %) |  |" in filled
    assert "| matrix inverse | 0.0123 | 0.5000 |" in filled
    assert "old" not in filled
    assert Filled(tmp_path).page(filled) == filled


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    results(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    script = [sys.executable, f"{FOLDER}/thinking_doc.py", "--page", page, "--results", tmp_path]
    assert subprocess.run([*script, "--check"], capture_output=True, check=False).returncode == 1
    subprocess.run(script, check=True)
    assert subprocess.run([*script, "--check"], capture_output=True, check=False).returncode == 0


def test_the_page_is_as_its_results_are() -> None:
    from thinking_doc import PAGE as THE_PAGE
    from thinking_doc import RESULTS, Filled

    text = (ROOT / THE_PAGE).read_text(encoding="utf-8")
    assert Filled(ROOT / RESULTS).page(text) == text, "run python benchmarks/thinking_doc.py"
