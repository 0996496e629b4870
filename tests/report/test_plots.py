"""Plots show the numbers they were given and leave matplotlib as they found it."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
import warnings
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from html_check import check

from argmind.errors import UserError
from argmind.eval.statistics import Interval, spearman
from argmind.report import plots
from argmind.report.data import Scores


def lines(figure) -> dict[str, np.ndarray]:
    return {str(line.get_label()): line.get_xydata() for line in figure.axes[0].get_lines()}


def all_figures(report) -> dict:
    return {
        "tokens": plots.learning_curves(report.curves, "seen"),
        "seconds": plots.learning_curves(report.curves, "seconds"),
        "loss": plots.against_steps(report.budgets, "nats", report.rival),
        "energy": plots.against_steps(report.budgets, "energy"),
        "doubt": plots.signal_against_loss(report.scores[0]),
        "map": plots.budget_map(report.budgets),
    }


def test_axes_are_labelled_with_units(example_text_report):
    units = {
        "tokens": ("tokens", "nats"),
        "seconds": ("/ s", "nats"),
        "loss": ("steps", "nats"),
        "energy": ("steps", "no unit"),
        "doubt": ("no unit", "nats"),
        "map": ("steps", "candidates"),
    }
    for name, figure in all_figures(example_text_report).items():
        axes = figure.axes[0]
        assert units[name][0] in axes.get_xlabel()
        assert units[name][1] in axes.get_ylabel()
        assert axes.get_title(loc="left")


def test_svg_is_whole_and_its_names_are_its_own(example_text_report):
    pictures = {
        name: plots.svg(figure, f"<{name}>", name)
        for name, figure in all_figures(example_text_report).items()
    }
    assert check("".join(pictures.values())).faults == []
    for name, picture in pictures.items():
        root = ElementTree.fromstring(picture)
        assert root.tag == "svg"
        assert root.get("aria-label") == f"<{name}>"
        assert root.get("viewBox")
        assert root.get("width") is None
        assert root.get("height") is None
        names = {node.get("id") for node in root.iter()}
        links = [node.get("href") for node in root.iter() if node.get("href")]
        marks = [link[1:] for link in links if link.startswith("#")]
        assert names.issuperset(marks + re.findall(r"url\(#(.*?)\)", picture))
        assert "currentColor" in picture
        assert "mathdefault" not in picture


def test_learning_curves_show_the_runs(example_text_report):
    shown = lines(plots.learning_curves(example_text_report.curves, "seconds"))
    assert len(shown) == 4
    curve = example_text_report.curves[1]
    expected = np.stack([curve.seconds, curve.losses], 1)
    np.testing.assert_array_equal(shown["EBT, held-out"], expected)


def test_a_line_for_each_candidates_count_and_a_level_for_the_rival(example_text_report):
    rows = example_text_report.budgets
    figure = plots.against_steps(rows[::-1], "nats", example_text_report.rival)
    shown = lines(figure)
    assert set(shown) == {"1 candidate", "4 candidates", "16 candidates", "Transformer++"}
    for candidates in (1, 4, 16):
        label = f"{candidates} candidate{'s' if candidates > 1 else ''}"
        points = [(r.steps, r.nats.value) for r in rows if r.candidates == candidates]
        np.testing.assert_array_equal(shown[label], points)
    assert set(shown["Transformer++"][:, 1]) == {3.19}
    assert len(figure.axes[0].collections) == 3  # the bands


def test_rows_without_the_quantity_or_a_range_are_drawn_as_far_as_known(example_text_report):
    first, second, *_ = [r for r in example_text_report.budgets if r.candidates == 1]
    bare = dataclasses.replace(second, nats=Interval(3.0), energy=None)
    assert len(lines(plots.against_steps([first, bare], "energy"))["1 candidate"]) == 1
    shown = lines(plots.against_steps([first, bare], "nats"))
    assert shown["1 candidate"][1].tolist() == [1, 3.0]


def test_density_counts_every_finite_token_and_titles_the_correlation(example_text_report):
    scores = example_text_report.scores[0]
    values = scores.values.copy()
    values[0, :5] = [math.nan, math.inf, -math.inf, math.nan, math.nan]
    scores = dataclasses.replace(scores, values=values)
    figure = plots.signal_against_loss(scores)
    cells = figure.axes[0].collections[0]
    assert int(cells.get_array().sum()) == values.size - 5
    finite = np.isfinite(values)
    expected = spearman(values[finite], scores.losses[finite])
    assert f"{expected:.2f}" in figure.axes[0].get_title(loc="left")
    groups = lines(figure)["mean loss of a tenth of the tokens"]
    assert len(groups) == 10
    assert groups[:, 1].mean() == pytest.approx(scores.losses[finite].mean(), abs=0.01)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0], [math.nan]])
def test_density_of_next_to_nothing(values):
    array = np.array(values)
    scores = Scores(model="a", signal="energy", unit="1", values=array, losses=array)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "<svg" in plots.svg(plots.signal_against_loss(scores), "a", "a")


def test_the_map_puts_each_loss_in_its_cell(example_text_report):
    figure = plots.budget_map(example_text_report.budgets[:-1])  # one cell is not measured
    grid = figure.axes[0].images[0].get_array()
    assert grid.shape == (3, 5)
    for row in example_text_report.budgets[:-1]:
        i, j = (1, 4, 16).index(row.candidates), (0, 1, 2, 4, 8).index(row.steps)
        assert grid[i, j] == row.nats.value
    assert len(figure.axes[0].texts) == 14


def test_names_are_not_mathematics_and_strange_letters_do_not_warn(example_text_report):
    curve = dataclasses.replace(example_text_report.curves[0], model="$x_1 漢 <b>\0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = plots.svg(plots.learning_curves([curve]), "t", "k")
    assert "$x_1 漢 &lt;b&gt;␀" in picture


def test_global_state_is_left_alone(example_text_report):
    """In a fresh process: pyplot stays out, and the settings are what they were."""
    before = dict(matplotlib.rcParams)
    plots.svg(plots.budget_map(example_text_report.budgets), "t", "k")
    assert dict(matplotlib.rcParams) == before
    program = (
        "import sys, argmind.report.text, argmind.report.plots as p\n"
        "assert 'matplotlib' not in sys.modules\n"
        "p.svg(p.learning_curves([]), 't', 'k')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch, example_text_report):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'argmind\[report\]'"):
        plots.learning_curves(example_text_report.curves)
