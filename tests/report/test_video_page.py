"""The report of next-frame models, and what it says of its figures."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from html_check import check

from argmind.eval.results import Results
from argmind.eval.statistics import Interval
from argmind.report.heat import heat_map
from argmind.report.pictures import Picture, PictureTable
from argmind.report.video import video_report
from argmind.report.video_data import Doubt, VideoReport, VideoRow
from argmind.report.video_limits import comparison, limits, rolled, uncertain


def around(value: float, half: float = 0.001) -> Interval:
    return Interval(value, value - half, value + half)


def row(model, steps, error, difference=None, **more) -> VideoRow:
    return VideoRow(
        model=model,
        steps=steps,
        error=around(error),
        nfe=steps,
        ms_per_frame=0.25 * (1 + (steps or 0)),
        difference=None if difference is None else around(difference),
        **more,
    )


@pytest.fixture(scope="module")
def report(example_text_report) -> VideoReport:
    random = np.random.default_rng(5)
    energies, losses = random.gamma(2, 0.01, (2, 12, 9))
    energies[:, 4] += 0.05
    frames = random.integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    return VideoReport(
        title="argmind quickstart: video",
        results=Results(
            command="argmind quickstart --domain video",
            commit="0123456789abcdef",
            machine={"cores": 2},
            seeds=(0,),
            figures={},
        ),
        data="Digits that fly.",
        thinker="EBT",
        rival="Transformer++",
        trained_steps=2,
        parameters={"EBT": 1234, "Transformer++": 1230},
        phases_s={"prepare": 1.0},
        still=row("nothing changes", None, 0.05),
        plain=row("Transformer++", None, 0.02),
        rows=[row("EBT", 0, 0.021, 0.001), row("EBT", 2, 0.017, -0.003), row("EBT", 8, 0.018, 0)],
        given=6,
        horizons={
            "EBT": [around(0.02), around(0.03)],
            "Transformer++": [around(0.02), around(0.04)],
            "nothing changes": [around(0.05), around(0.1)],
        },
        doubt=Doubt(
            energies=energies,
            losses=losses,
            random=np.arange(9) == random.integers(1, 9, (12, 1)),
            auroc=Interval(0.9, 0.85, 0.95),
            auroc_same_frame=Interval(0.8, 0.75, 0.85),
            at_turn=around(0.06),
            elsewhere=around(0.02),
        ),
        curves=example_text_report.curves,
        scores=example_text_report.scores,
        moving=[
            PictureTable(
                header=["1"],
                labels=["truth"],
                rows=[[Picture(frames, "truth, clip 1")]],
                caption="The first held-out clips, not chosen, moving.",
            )
        ],
        notes=["A note."],
    )


def test_the_page_is_sound_and_has_every_section(report):
    page = video_report(report)
    found = check(page)
    assert found.faults == []
    assert found.headings == [
        "argmind quickstart: video",
        "What comes next",
        "Rolled out",
        "Does it know what it cannot know?",
        "Learning",
        "What this does and does not show",
    ]
    assert found.tags["svg"] == 1 + 3 + 2 + 2
    assert found.tags["img"] == 1
    assert page.count("data:image/gif") == 1
    assert "nan" not in found.words.lower().split()
    assert video_report(report) == page


def test_sentences_say_what_the_figures_say(report):
    told = comparison(report)
    assert "0.0170 (0.0160 … 0.0180): better." in told
    assert "nothing changes has 0.0500" in told
    assert rolled(report).endswith("At the end, EBT is better than Transformer++.")
    assert "a chance of 0.90 (0.85 … 0.95), and of 0.80 (0.75 … 0.85) among" in uncertain(report)
    assert uncertain(report).endswith("where 0.5 is guessing: it says so.")
    told = " ".join(limits(report))
    assert "first guess, 0.0210, to 0.0170 after 2 steps and 0.0180 after 8" in told
    assert "A note." in told
    assert "finite" not in told


def test_sentences_do_not_praise_what_is_not_there(report):
    horizons = {**report.horizons, "EBT": [around(0.02), around(0.0405)]}
    doubt = dataclasses.replace(report.doubt, auroc_same_frame=Interval(0.6, 0.45, 0.7))
    rows = [report.rows[0], row("EBT", 2, 0.03, 0.01, diverged=3)]
    weak = dataclasses.replace(report, horizons=horizons, doubt=doubt, rows=rows)
    assert comparison(weak).count(": worse.") == 1
    assert "not told apart (overlapping intervals) from" in rolled(weak)
    assert uncertain(weak).endswith("it does not say so beyond the interval.")
    assert "at most 3 with 2 steps" in " ".join(limits(weak))
    horizons["EBT"] = [around(0.02), around(0.05)]
    assert "EBT is worse than" in rolled(dataclasses.replace(weak, horizons=horizons))
    horizons["EBT"] = [Interval(0.02), Interval(0.05)]
    assert "EBT is not told apart from" in rolled(dataclasses.replace(weak, horizons=horizons))


def test_a_heat_map_shows_the_numbers_and_frames_a_column():
    values = np.arange(12.0).reshape(3, 4)
    values[0, 0] = math.nan
    axes = heat_map(values, "t", "frame", "clip", mark=2).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array().filled(math.nan), values)
    frame = axes.get_lines()[0].get_xydata()
    assert (frame[:, 0].min(), frame[:, 0].max()) == (1.5, 2.5)
    assert not heat_map(np.full((2, 2), math.nan), "t", "x", "y").axes[0].get_lines()
