"""The report of denoisers, its pictures, and what it says of its figures."""

from __future__ import annotations

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from html_check import check
from PIL import Image

from argmind.eval.results import Results
from argmind.eval.statistics import Interval
from argmind.report.data import Curve
from argmind.report.image import image_report
from argmind.report.image_data import ImageReport, ImageRow, NoiseLevel, gain_verdict
from argmind.report.image_limits import comparison, limits
from argmind.report.pictures import Picture, PictureTable, gif, png
from argmind.report.plots import svg
from argmind.report.series import Mark, Series, series_plot


def around(value: float, half: float = 0.03) -> Interval:
    return Interval(value, value - half, value + half)


def row(model, steps, psnr, nfe, difference=0.0, candidates=1) -> ImageRow:
    own = (model, steps, candidates) == ("EBT", 3, 1)
    return ImageRow(
        model=model,
        steps=steps,
        candidates=candidates,
        psnr=around(psnr, 0.2),
        nfe=nfe,
        ms_per_image=0.5 * nfe,
        difference=None if own else around(difference, 0.1),
    )


def level(name: str, std: float, shift: float) -> NoiseLevel:
    return NoiseLevel(
        name=name,
        std=std,
        given=around(12 - shift),
        rows=[
            row("EBT", 0, 14 - shift, 0, -5.0),
            row("EBT", 3, 19 - shift, 3),
            row("EBT", 12, 19.1 - shift, 12, 0.05),
            row("EBT", 3, 19.2 - shift, 12, 0.2, candidates=4),
            row("DiT", 1, 17 - shift, 1, -2.0),
            row("DiT", 10, 17.5 - shift, 10, -1.5),
            row("Regression", None, 19.3 - shift, 1, 0.3),
        ],
    )


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def report(example_text_report) -> ImageReport:
    seen = np.arange(1.0, 9)
    table = PictureTable(
        header=["noisy", "EBT, <1>"],
        labels=["1"],
        rows=[[Picture(pixels(0, 1, 8, 8), "noisy", "12.0"), Picture(pixels(1, 3, 8, 8), "a<b")]],
        caption="The first held-out digits, not chosen.",
    )
    return ImageReport(
        title="argmind quickstart: images",
        results=Results(
            command="argmind quickstart --domain image",
            commit="0123456789abcdef",
            machine={"cores": 2},
            seeds=(0,),
            figures={},
        ),
        data="Digits.",
        thinker="EBT",
        rivals=["DiT", "Regression"],
        trained_steps=3,
        parameters={"EBT": 1234},
        phases_s={"prepare": 1.0},
        levels=[level("the trained noise", 0.5, 0), level("2× the trained noise", 1.0, 5)],
        longer=[Interval(0.0, -0.1, 0.1), Interval(0.4, 0.2, 0.6)],
        thinking=[Interval(4.6, 4.2, 5.0), Interval(5.0, 4.0, 6.0)],
        curves={
            "smooth L1 per pixel": [
                Curve(model="EBT", split="held-out", seen=seen, seconds=seen, losses=1 / seen)
            ]
        },
        scores=example_text_report.scores[:1],
        pictures=[table],
        notes=["A note."],
    )


def test_the_page_is_sound_and_has_every_section(report):
    page = image_report(report)
    found = check(page)
    assert found.faults == []
    assert found.headings == [
        "argmind quickstart: images",
        "What thinking bought",
        "Quality against network evaluations",
        "Pictures",
        "Does it know when it is wrong?",
        "Learning",
        "What this does and does not show",
    ]
    assert found.tags["svg"] == 2 + 1 + 2
    assert found.tags["img"] == 2
    assert "19.00" in found.words
    assert "nan" not in found.words.lower().split()
    assert image_report(report) == page


def test_the_page_without_extras(report):
    bare = dataclasses.replace(report, curves={}, scores=(), pictures=(), notes=())
    assert check(image_report(bare)).faults == []
    empty = dataclasses.replace(report.levels[0], rows=())
    with pytest.raises(ValueError, match="measured"):
        image_report(dataclasses.replace(report, levels=[empty]))


def test_pictures_are_enlarged_without_smoothing():
    for shape in ((1, 8, 8), (3, 8, 8), (1, 100, 100)):
        image = pixels(2, *shape)
        seen = np.asarray(Image.open(io.BytesIO(png(image))))
        times = max(1, 64 // shape[-1])
        small = seen[::times, ::times].reshape(*shape[1:], -1).transpose(2, 0, 1)
        assert seen.shape[0] == times * shape[1]
        np.testing.assert_array_equal(small, image)


def test_moving_pictures_keep_every_frame():
    frames = pixels(3, 5, 1, 8, 8)
    moving = Image.open(io.BytesIO(gif(frames, 80)))
    assert moving.n_frames == 5
    assert moving.info["duration"] == 80
    for index, frame in enumerate(frames):
        moving.seek(index)
        np.testing.assert_array_equal(np.asarray(moving.convert("L"))[::8, ::8], frame[0])
    shown = Picture(frames, "a").render()
    code = re.search(r'src="data:image/gif;base64,(.*?)"', shown)
    assert base64.b64decode(code[1]).startswith(b"GIF8")


def test_picture_tables_refuse_holes():
    one = Picture(pixels(0, 1, 8, 8), "a")
    with pytest.raises(ValueError, match="1 pictures under 2"):
        PictureTable(header=["a", "b"], labels=["1"], rows=[[one]], caption="c")
    with pytest.raises(ValueError, match="0 labels"):
        PictureTable(header=["a"], labels=[], rows=[[one]], caption="c")


def test_the_comparison_takes_every_rival_at_its_best(report):
    told = comparison(report, report.levels[0])
    assert "EBT after the 3 steps it was trained with reached 19.00 dB" in told
    assert "DiT at its best (10 steps) reached 17.50 dB" in told
    assert "EBT minus that is +1.50 (+1.40 … +1.60) dB: better." in told
    assert "Regression reached 19.30 dB (19.10 … 19.50); EBT minus that is −0.30" in told
    assert told.endswith("dB: worse.")


def test_limits_say_what_the_figures_say(report):
    told = " ".join(limits(report))
    assert "changed it by 0.00 (−0.10 … +0.10) dB more: no change beyond the interval" in told
    assert "changed it by +0.40 (+0.20 … +0.60) dB more: it rises" in told
    assert "4 starts +0.20 (+0.10 … +0.30) dB (better)" in told
    assert "EBT 3 (1.50 ms); DiT at its best 10 (5.00 ms)" in told
    assert "step count of DiT was picked" in told
    assert "energy of EBT 0.50" in told
    assert "A note." in told
    assert "finite" not in told
    lost = [dataclasses.replace(report.levels[0].rows[2], diverged=7)]
    rows = [*report.levels[0].rows[:2], *lost, *report.levels[0].rows[3:]]
    worse = dataclasses.replace(report.levels[0], rows=rows)
    told = " ".join(limits(dataclasses.replace(report, levels=[worse, report.levels[1]])))
    assert "at most 7 with EBT, 12 steps" in told


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Interval(1, 0.5, 1.5), "better"),
        (Interval(-1, -1.5, -0.5), "worse"),
        (Interval(0.1, -0.5, 0.5), "no difference beyond the interval"),
        (Interval(1), "not decided (no interval)"),
    ],
)
def test_more_is_better(gain, words):
    assert gain_verdict(gain) == words


def test_series_show_what_they_were_given():
    series = [
        Series(label="EBT", x=[0, 1, 100], values=[around(1), Interval(2), around(3)]),
        Series(label="DiT", x=[1], values=[around(4)]),
    ]
    mark = Mark(label="trained", at=3, along="x")
    figure = series_plot(series, "t", "NFE", "PSNR / dB", scale="log", marks=[mark])
    drawn = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].get_lines()}
    assert drawn["EBT"] == [[0, 1], [1, 2], [100, 3]]
    assert drawn["DiT"] == [[1, 4]]
    assert {x for x, _ in drawn["trained"]} == {3}
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert (ticks[0], ticks[1], ticks[-1]) == ("0", "1", "100")
    assert check(svg(figure, "t", "k")).faults == []
    with pytest.raises(ValueError, match="number"):
        Series(label="a", x=[1], values=[])
