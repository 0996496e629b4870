"""The quickstart of reasoning from end to end, in seconds."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from quickstart_tiny import TINY_PUZZLES, run_tiny

from argmind.cli._parser import parse
from argmind.data.reasoning.boards import Board
from argmind.eval.problems import solve
from argmind.eval.results import read_results
from argmind.eval.statistics import Interval
from argmind.quickstart.pace import Pace
from argmind.quickstart.parameters import count_parameters, matched
from argmind.quickstart.reasoning import ReasoningDomain, ReasoningSizes
from argmind.quickstart.tour import _Course, _paced
from argmind.reasoning.run import load_reasoning_run
from argmind.report.grids import Frame, Way, board_svg, way_html, wrong_cells
from argmind.report.reasoning_data import ReasoningReport, SolvedRow, Stopping
from argmind.report.reasoning_words import comparison, limits
from argmind.thinking.budget import Budget

RUNS = ("", "looped", "one_pass")
STEPS = [2, 4, 8, 16, 32]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> subprocess.CompletedProcess[str]:
    return run_tiny("reasoning", tmp_path_factory.mktemp("reasoning"))


@pytest.fixture(scope="module")
def folder(done) -> Path:
    return Path(done.args[-1])


@pytest.fixture(scope="module")
def results(folder):
    return read_results(folder / "results.json")


def test_it_ends_well_and_leaves_three_runs(done, folder):
    assert done.returncode == 0, done.stderr
    for name in RUNS:
        solution = load_reasoning_run(folder / name, which="last").solve("1234341221434321")
        assert solution.solved
    assert not [*folder.rglob("*.part"), *folder.rglob("*.tmp*")]


def test_all_have_equally_many_parameters(folder, results):
    counts = [load_reasoning_run(folder / name).run.parameters for name in RUNS]
    assert max(abs(count - counts[0]) for count in counts) <= 0.02 * counts[0]
    told = [results.figures[f"{key}_parameters"].value for key in ("ebt", "loop", "onepass")]
    assert told == counts


def test_figures_are_complete_and_consistent(results):
    figures, extra = results.figures, results.extra
    rows = {
        (row["split"], row["model"], row["steps"], row["candidates"]): row
        for row in extra["budgets"]
    }
    for split in ("easy", "hard"):
        for model, short in (("EBT", "ebt"), ("Loop", "loop")):
            for name, steps in zip(("half_T", "T", "2T", "4T", "8T"), STEPS, strict=True):
                figure = figures[f"sudoku_{split}_{short}_{name}"]
                assert figure.value == rows[split, model, steps, 1]["solved"]["value"]
            gain = figures[f"sudoku_{split}_{short}_4T_minus_T"].value
            four, one = (rows[split, model, s, 1]["solved"]["value"] for s in (16, 4))
            assert gain == pytest.approx(four - one)
        one_pass = rows[split, "One pass", None, 1]
        assert figures[f"sudoku_{split}_onepass"].value == one_pass["solved"]["value"]
        assert one_pass["nfe"] == 1
        several = figures[f"sudoku_{split}_ebt_T_best_of_8"].value
        assert several == rows[split, "EBT", 4, 8]["solved"]["value"]
        assert rows[split, "EBT", 4, 8]["nfe"] == 32
        assert rows[split, "EBT", 4, 1]["difference"] is None
    assert 0 < figures["adaptive_nfe_ratio"].value <= 1
    for name in ("steps_difficulty_rank", "verifier_auroc_ebt", "verifier_auroc_loop"):
        assert figures[name].value is not None or figures[name].reason
    assert extra["trained_steps"] == 4
    rounds = [row["rounds"] for row in extra["steps_by_rounds"]]
    assert rounds == sorted(set(rounds))
    assert min(rounds) >= 1


def test_figures_agree_with_a_direct_measurement(folder, results, monkeypatch):
    monkeypatch.setenv("ARGMIND_CACHE", str(folder.parent / "cache"))
    run = load_reasoning_run(folder, which="last")
    count = results.extra["held_out_puzzles"]
    found = solve(run.predictor, run.data(), "hard", Budget(steps=16), limit=count, batch_size=50)
    assert results.figures["sudoku_hard_ebt_4T"].value == found.solved.mean()


def test_the_report_is_sound_and_has_boards(folder, checked):
    found = checked((folder / "report.html").read_text())
    assert found.faults == []
    # EBT and loop: the start, a step and five budgets (one of them twice); one pass: two.
    boards = 6 + 6 + 2 + 2 - 2
    assert found.tags["svg"] >= boards + 2 + 1 + 2
    for words in ("On the hard puzzles, EBT solves", "one seed", "A board filling in"):
        assert words in found.words


def test_the_terminal_tells_the_table_and_what_to_do_next(done):
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for model in ("EBT", "Loop"):
        for steps in STEPS:
            assert any(line.startswith(f"{model} {steps} × 1 ") for line in lines)
    assert any(line.startswith("EBT 4 × 8 ") for line in lines)
    assert any(line.startswith("One pass one pass ") for line in lines)
    echo, *commands = lines[-3:]
    puzzle, solve_words = re.fullmatch(r"echo (\S+) \| argmind (.*)", echo).groups()
    assert len(puzzle) == 16
    assert parse(shlex.split(solve_words)) is not None
    for command in commands:
        assert parse(shlex.split(command)[1:]) is not None
    assert "puzzles/s" in done.stderr


# ------------------------------------------------------------------ equal terms


@pytest.mark.parametrize("sizes", [ReasoningSizes(), TINY_PUZZLES])
def test_rivals_are_matched_and_share_what_is_no_part_of_the_model(sizes):
    domain = ReasoningDomain(sizes)
    thinker, *rivals = domain.recipes()
    side = sizes.side
    inputs = {"tokens": side**2, "places": (side,) * 3, "symbols": side, "given_symbols": side + 1}
    target = count_parameters(thinker, inputs)
    for entrant, rival in zip(domain.entrants[1:], rivals, strict=True):
        wide = matched(rival, entrant.width, target, inputs)
        assert abs(count_parameters(wide, inputs) - target) <= 0.02 * target
        assert (wide.data, wide.optimizer, wide.training) == (
            thinker.data,
            thinker.optimizer,
            thinker.training,
        )


def test_rivals_train_as_long_as_the_thinker_would_now(monkeypatch):
    """Steps follow from how fast both are just then, and a slow machine cuts the rival off."""
    from argmind.quickstart import tour

    first, second, _ = ReasoningDomain().recipes()
    paces = {first.name: Pace(1.0, 2.0), second.name: Pace(0.25, 1.0)}
    monkeypatch.setattr(
        tour, "Trial", lambda recipe, _: SimpleNamespace(pace=lambda _: paces[recipe.name])
    )
    course: Any = object.__new__(_Course)
    course.domain, course.clock = ReasoningDomain(), SimpleNamespace(total_s=360.0)
    thinker: Any = SimpleNamespace(recipe=first, outcome=SimpleNamespace(steps=80))
    beside = course._beside(thinker, second, None)
    assert beside.training.steps == 320
    assert beside == _paced(second, 320, Pace(0.25, 1.0))
    assert 80 < 60 * beside.training.stop_after_minutes < 130


# ------------------------------------------------------------------ words and boards


def share(value: float, half: float = 0.02) -> Interval:
    return Interval(value, value - half, value + half)


def row(split, model, steps, solved, difference=None, candidates=1) -> SolvedRow:
    return SolvedRow(
        split=split,
        model=model,
        steps=steps,
        candidates=candidates,
        solved=share(solved),
        nfe=(steps or 1) * candidates,
        ms_per_problem=1.0,
        difference=None if difference is None else share(difference),
    )


@pytest.fixture
def report(results) -> ReasoningReport:
    rows = [
        row(split, *rest)
        for split in ("easy", "hard")
        for rest in (
            ("EBT", 4, 0.4),
            ("EBT", 16, 0.7, 0.3),
            ("EBT", 4, 0.45, 0.05, 8),
            ("Loop", 4, 0.6, 0.2),
            ("Loop", 16, 0.5, 0.1),
            ("One pass", None, 0.04, -0.36),
        )
    ]
    return ReasoningReport(
        title="t",
        results=results,
        data="Puzzles.",
        thinker="EBT",
        rivals=["Loop", "One pass"],
        trained_steps=4,
        splits=["easy", "hard"],
        parameters={"EBT": 10},
        training_s={"EBT": 60.0, "Loop": 61.0, "One pass": 59.0},
        training_steps={"EBT": 300, "Loop": 1500, "One pass": 4000},
        phases_s={},
        rows=rows,
        longer={
            ("hard", "EBT"): share(0.3),
            ("hard", "Loop"): share(-0.1),
            ("easy", "EBT"): share(0.01),
            ("easy", "Loop"): share(0.0),
        },
        auroc={"EBT": share(0.9), "Loop": Interval(float("nan"))},
        stopping=Stopping(
            most_steps=32,
            solved=share(0.5),
            minus_longest=share(-0.1),
            mean_nfe=9.0,
            nfe_ratio=0.28,
            steps_by_rounds=[(8, share(3.0)), (12, share(5.0))],
            rank=share(0.6),
        ),
    )


def test_sentences_follow_the_figures(report):
    said = comparison(report, "hard")
    assert "EBT solves 40.0 % (38.0 … 42.0) in its own 4 steps and 70.0 %" in said
    assert "Loop at its best (4 steps) solves 60.0 %" in said
    assert "+20.0 (+18.0 … +22.0) points against EBT as trained: better" in said
    assert "One pass solves 4.0 %" in said
    text = " ".join(limits(report))
    assert "EBT by +30.0 (+28.0 … +32.0) points (it rises)" in text
    assert "Loop by −10.0 (−12.0 … −8.0) points (it falls)" in text
    assert "EBT by +1.0 (−1.0 … +3.0) points (no change beyond the interval)" in text
    assert "solves 50.0 % (48.0 … 52.0), −10.0 (−12.0 … −8.0) points against taking all" in text
    assert "it thinks longer about harder puzzles" in text
    assert "energy of EBT 0.90" in text
    assert "entropy of Loop" not in text
    assert "One pass hardly learnt the rules" in text
    assert "EBT hardly learnt" not in text


def test_sentences_admit_what_was_not_found(report):
    stopping = replace(report.stopping, rank=Interval(0.05, -0.1, 0.2))
    text = " ".join(limits(replace(report, stopping=stopping, auroc={})))
    assert "it does not think longer about harder puzzles" in text
    assert "No verifier can be judged" in text
    alike = replace(report.stopping, rank=Interval(float("nan")))
    assert "Every puzzle took equally many steps" in " ".join(
        limits(replace(report, stopping=alike))
    )


def way(*frames: Frame) -> Way:
    solution = np.array([int(c) for c in "1234341221434321"])
    given = np.where(np.arange(16) < 12, solution, 0)
    return Way(model="A<B", how="", board=Board(4), given=given, solution=solution, frames=frames)


def frame(cells: str, sure: float = 0.9) -> Frame:
    chances = np.full((16, 4), (1 - sure) / 3)
    for place, value in enumerate(cells):
        if value == ".":
            chances[place] = 0.25
        else:
            chances[place, int(value) - 1] = sure
    return Frame(step=3, chances=chances, energy=-1.5)


@pytest.mark.parametrize(
    ("cells", "wrong", "shown"),
    [
        ("1234341221434321", 0, 16),
        ("123434122143.321", 1, 15),
        ("1234341221434312", 2, 16),
        ("4321432143214321", 0, 16),  # what is given stands, whatever the model says there
        ("................", 4, 12),
    ],
)
def test_boards(cells, wrong, shown):
    one = frame(cells)
    picture = board_svg(way(one), one)
    assert wrong_cells(way(one), one) == wrong
    assert picture.count("<text") == shown
    assert picture.count("line-through") == wrong - (16 - shown)
    assert picture.count("<line") == 10
    page = way_html(way(one))
    assert "A&lt;B" in page
    assert ("solved" if not wrong else f"{wrong} to go") in page
