"""The report of robot policies, and what it says of its figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from html_check import check

from argmind.eval.results import Results
from argmind.eval.statistics import Interval
from argmind.report.pictures import Picture, PictureTable
from argmind.report.policy import policy_report
from argmind.report.policy_data import Paths, Plane, PolicyReport, PolicyRow, Strip, Trained
from argmind.report.policy_words import comparison, limits, ways
from argmind.report.rollouts import path_plot, strip_plot

EPISODES = 10


def row(model, way, nfe, successes, difference=None, *, left=0) -> PolicyRow:
    """Ten episodes: the first succeed, of these the first go left; failures crash on the right."""
    routes = ["left"] * left + ["right"] * (EPISODES - left)
    share = successes / EPISODES
    return PolicyRow(
        model=model,
        way=way,
        nfe=nfe,
        success=Interval(share, max(0.0, share - 0.1), min(1.0, share + 0.1)),
        succeeded=np.arange(EPISODES) < successes,
        routes=routes,
        ms_per_action=0.05 * nfe,
        difference=difference,
    )


@pytest.fixture(scope="module")
def report() -> PolicyReport:
    random = np.random.default_rng(6)
    pictures = list(random.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8))
    return PolicyReport(
        title="argmind quickstart: policy",
        results=Results(
            command="argmind quickstart --domain policy",
            commit="0123456789abcdef",
            machine={"cores": 2},
            seeds=(0,),
            figures={},
        ),
        data="A point that goes round.",
        episodes=EPISODES,
        thinker="EBT-Policy",
        generator="Diffusion Policy",
        average="Regression",
        demonstrated_left=0.5,
        training=[
            Trained(model="EBT-Policy", parameters=1234, seconds=60, steps=100, samples=6400),
            Trained(
                model="Diffusion Policy", parameters=1230, seconds=61, steps=900, samples=57600
            ),
        ],
        phases_s={"prepare": 1.0},
        rows=[
            row("EBT-Policy", "1 step", 1, 6, Interval(-0.3, -0.5, -0.1), left=3),
            row("EBT-Policy", "2 steps", 2, 9, Interval(0.0, -0.2, 0.2), left=4),
            row("Diffusion Policy", "DDPM, 100 steps", 100, 9, left=5),
            row("Diffusion Policy", "DDIM, 2 steps", 2, 3, Interval(-0.6, -0.8, -0.3), left=3),
            row("Regression", "one pass", 1, 0, Interval(-0.9, -1.0, -0.7)),
        ],
        compared=("2 steps", "DDPM, 100 steps"),
        failure_auroc=Interval(0.8, 0.6, 0.95),
        gauged_plans=3,
        moving=[
            PictureTable(
                header=["episode 1"],
                labels=["EBT-Policy"],
                rows=[[Picture(np.stack(pictures).transpose(0, 3, 1, 2), "a point that moves")]],
                caption="The first episodes, not chosen, moving.",
            )
        ],
        strips=[
            Strip(
                model="EBT-Policy",
                how="the first episode, which reaches the goal",
                pictures=pictures,
                pictured=[0, 8, 16, 24],
                planned=[0, 8, 16],
                before=[1.0, 0.9, 1.1],
                after=[0.2, 0.1, 0.3],
            )
        ],
        paths=[
            Paths(
                model=name,
                paths=list(random.random((3, 5, 2))),
                goals=list(random.random((3, 2))),
                succeeded=[True, False, True],
            )
            for name in ("EBT-Policy", "Regression")
        ],
        plane=Plane(low=(-1, -1), high=(1, 1), bar=(0.4, 0.06), goal_radius=0.12),
        notes=["A note."],
    )


def test_the_page_is_sound_and_has_every_section(report):
    page = policy_report(report)
    found = check(page)
    assert found.faults == []
    assert found.headings == [
        "argmind quickstart: policy",
        "Does it get there, and at what cost?",
        "Two ways round",
        "An episode and its energy",
        "Training",
        "What this does and does not show",
    ]
    assert found.tags["svg"] == 2 + 1 + 1
    assert page.count("data:image/png;base64,") == 4
    assert page.count("data:image/gif;base64,") == 1
    assert "4 / 5 / 1" in found.words
    assert policy_report(report) == page
    with pytest.raises(ValueError, match="measured"):
        policy_report(dataclasses.replace(report, rows=[]))


def test_sentences_say_what_the_figures_say(report):
    told = comparison(report)
    assert "Of 10 episodes, EBT-Policy (2 steps) succeeds in 90.0 % (80.0 … 100.0)" in told
    assert "0.0 (−20.0 … +20.0) points from Diffusion Policy, no difference beyond" in told
    assert "EBT-Policy is 50.0 times faster" in told
    told = ways(report)
    assert "left in 50.0 % of their episodes" in told
    assert "EBT-Policy (2 steps) goes left in 44.4 % (18.9 … 73.3): both ways kept" in told
    assert "Regression (one pass) has none" in told
    told = " ".join(limits(report))
    assert "60.0 % with 1 step, 90.0 % with 2 steps; most with 2 steps" in told
    assert "DDIM, 2 steps, succeeds in 30.0 % where DDPM, 100 steps succeeds in 90.0 %" in told
    assert "demonstrated, fails in all 10 episodes." in told
    assert "a chance of 0.80 (0.60 … 0.95), where 0.5 is guessing: it foretells failure" in told
    assert "A note." in told


def test_sentences_do_not_praise_what_is_not_there(report):
    def changed(**rows):
        named = {(one.model, one.way): one for one in report.rows}
        named |= {(one.model, one.way): one for one in rows.pop("rows", [])}
        return dataclasses.replace(report, rows=list(named.values()), **rows)

    worse = row("EBT-Policy", "2 steps", 2, 4, Interval(-0.5, -0.8, -0.2), left=4)
    slow = dataclasses.replace(worse, ms_per_action=20.0)
    good = row("Regression", "one pass", 1, 10, Interval(0.1, 0, 0.3), left=5)
    weak = changed(rows=[slow, good], failure_auroc=Interval(0.6, 0.4, 0.8))
    assert "−50.0 (−80.0 … −20.0) points from Diffusion Policy, worse" in comparison(weak)
    assert "Diffusion Policy is 4.0 times faster" in comparison(weak)
    assert "EBT-Policy (2 steps) goes left in 100.0 % (51.0 … 100.0): only left" in ways(weak)
    told = " ".join(limits(weak))
    assert "most with 1 step." in told
    assert "fails in none of 10 episodes: averaging did no harm here" in told
    assert "it does not foretell failure beyond the interval" in told
    some = changed(rows=[row("Regression", "one pass", 1, 4, left=3)])
    assert "fails in 6 of 10 episodes; of the others 3 go left and 1 right" in " ".join(
        limits(some)
    )
    never = changed(failure_auroc=Interval(float("nan")))
    assert "cannot be said" in " ".join(limits(never))
    vague = changed(failure_auroc=Interval(0.8))
    assert "too few of one kind to say how sure that is" in " ".join(limits(vague))
    lower = changed(failure_auroc=Interval(0.2, 0.1, 0.4))
    assert "it is lower where it fails" in " ".join(limits(lower))


def test_a_strip_shows_all_its_pictures_and_both_energies(report):
    strip = report.strips[0]
    above, below = strip_plot(strip).axes
    assert len(above.images) == 4
    for image, picture in zip(above.images, strip.pictures, strict=True):
        np.testing.assert_array_equal(image.get_array(), picture)
    heights = [list(line.get_ydata()) for line in below.get_lines()]
    assert heights == [strip.before, strip.after]
    middles = [sum(image.get_extent()[:2]) / 2 for image in above.images]
    assert middles == pytest.approx(strip.pictured)


def test_paths_are_coloured_by_how_they_ended(report):
    axes = path_plot(report.plane, report.paths).axes
    assert len(axes) == 2
    colours = [line.get_color() for line in axes[0].get_lines()]
    assert colours[0] == colours[2] != colours[1]
    assert len(axes[0].patches) == 3 + 1
