"""``solve`` on problems that are no boards: written forms, checks, thresholds of energy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argmind
from argmind.config import part_config
from argmind.reasoning.forms.base import Unreadable
from argmind.reasoning.threshold import best_threshold
from argmind.reasoning.written import FORMS, form_of

from .conftest import cli, ok

SETTINGS = {
    "addition": {"digits": 2, "hard_digits": 3},
    "multiplication": {"digits": 2, "hard_digits": 3},
    "dyck": {},
    "sorting": {"length": 3},
    "connectivity": {},
    "shortest_path": {},
    "inverse": {"side": 2},
    "completion": {"side": 2},
    "vector_sum": {"side": 2},
}
#: Problem, the right answer in numbers, the answer in writing.
RIGHT = {
    # Columns of a sum of three digits: four, least significant first.
    "addition": ("12+345", [2, 1, 0, 0, 5, 4, 3, 0, 7, 5, 3, 0], "12+345=357"),
    "sorting": ("0.3 0.1 0.7", [1, 0, 2], "0.1 0.3 0.7"),
    "connectivity": ("3; 0-1", [1, 1, 0, 1, 1, 0, 0, 0, 1], "{0 1} {2}"),
    "shortest_path": ("3; 0-1 1-2; 0>2", [1, 1, 0, 1, 1, 1, 0, 1, 1], "0-1-2"),
    "inverse": ("2 0; 0 4", [[0.5, 0], [0, 0.25]], "0.5 0; 0 0.25"),
    "vector_sum": ("1 2; 3 4 + 5 6; 7 8", [[6, 8], [10, 12]], "6 8; 10 12"),
}


def written(kind: str) -> Any:
    return form_of(part_config("problem", kind, **SETTINGS[kind]))


@pytest.mark.parametrize("kind", FORMS)
def test_a_held_out_problem_is_read_back_from_its_line(kind: str) -> None:
    """Reading what a form wrote of a generated problem gives the problem itself."""
    form = written(kind).form
    problems = form.problems
    samples = problems.sample("hard", np.arange(1), seed=0)
    given, target = samples["given"][0], samples["target"][0]
    line = _line(kind, problems, given)
    read = form.read(line)
    assert np.allclose(read["given"][0], given, atol=1e-4)
    assert np.array_equal(read["known"][0], samples["known"][0])
    assert read["places"].shape == samples["places"].shape
    assert problems.correct(read["given"], target[None])[0] == problems.correct(
        samples["given"], samples["target"]
    )
    assert form.write(read["given"][0], target)


def _line(kind: str, problems: Any, given: Any) -> str:
    """By hand, and not by the form under test."""
    if kind in ("addition", "multiplication"):
        rows = given.reshape(3, -1)[:2, ::-1]
        return problems.sign.join(str(int("".join(map(str, row)))) for row in rows)
    if kind == "dyck":
        return "".join("()[]{}<>"[symbol] for symbol in given if symbol < 6)
    if kind == "sorting":
        return " ".join(f"{value:.9g}" for value in given[:, 0])
    if kind in ("connectivity", "shortest_path"):
        nodes = int(len(given) ** 0.5)
        square = given.reshape(nodes, nodes)
        edges = " ".join(f"{a}-{b}" for a, b in np.argwhere(np.triu(square == 1)))
        ends = [int((np.diagonal(square) == mark).argmax()) for mark in (3, 4)]
        way = "" if kind == "connectivity" else f"; {ends[0]}>{ends[1]}"
        return f"{nodes}; {edges}{way}"
    first, *rest = problems.matrices(given[None])
    words = [[f"{value:.9g}" for value in row] for row in first[0]]
    if kind == "completion":
        for row, column in np.argwhere(rest[0][0] == 0):
            words[row][column] = "?"
        rest = []
    lines = ["; ".join(" ".join(row) for row in words)]
    lines += ["; ".join(" ".join(f"{v:.9g}" for v in row) for row in one[0]) for one in rest]
    return " + ".join(lines)


@pytest.mark.parametrize("kind", RIGHT)
def test_answers_are_written_and_checked(kind: str) -> None:
    line, answer, expected = RIGHT[kind]
    form = written(kind).form
    given = form.read(line)["given"]
    right = np.array(answer)[None]
    assert form.problems.correct(given, right)[0]
    assert form.write(given[0], right[0]) == expected


@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        ("addition", "12-3", "not of the form"),
        ("addition", "1234+1", "4 digits: this run takes up to 3"),
        ("dyck", "(]", "closes nothing that is open"),
        ("dyck", "()", "nothing is left open"),
        ("dyck", "(<", "is none of"),
        ("dyck", "(" * 30, "60 symbols: this run takes up to 40"),
        ("sorting", "0.1 0.2", "2 numbers: this run sorts 3"),
        ("sorting", "0.1 0.2 1.5", "between 0 and 1"),
        ("sorting", "0.1 0.1 0.5", "equal"),
        ("sorting", "0.1 x 0.5", "'x' is no number"),
        ("connectivity", "0-1", "not of the form"),
        ("connectivity", "99; 0-1", "99 nodes: this run takes 2 to 20"),
        ("connectivity", "3; 0-3", "does not name two of the nodes 0 to 2"),
        ("shortest_path", "3; 0-1", "not of the form"),
        ("shortest_path", "3; 0-1; 0-1", "not two nodes with > between"),
        ("inverse", "1 2", "1 rows of 2 numbers: this run takes matrices of 2 rows"),
        ("inverse", "1 nan; 2 3", "not finite"),
        ("inverse", "1 ?; 2 3", "'?' is no number"),
        ("completion", "? ?; ? ?", "no entry is given"),
        ("vector_sum", "1 2; 3 4", "two matrices"),
    ],
)
def test_lines_that_are_no_problem(kind: str, line: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said.replace("?", r"\?")):
        written(kind).form.read(line)


def test_wrong_answers_are_written_too() -> None:
    path = written("shortest_path").form
    given = path.read("3; 0-1 1-2; 0>2")["given"][0]
    assert path.write(given, np.zeros(9, dtype=int)) == "no edges"
    assert path.write(given, np.array([0, 0, 0, 0, 0, 1, 0, 1, 0])) == "1-2"
    groups = written("connectivity").form
    broken = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1])
    assert "contradict" in groups.write(given, broken)
    assert written("sorting").form.write(np.zeros((3, 1)), np.array([0, 0, 2])) == "ranks 0 0 2"


# The command line -----------------------------------------------------------


@pytest.fixture(scope="session")
def run(runs: Path) -> Path:
    """A run on additions that has learnt next to nothing."""
    path = runs / "reasoning-addition"
    trunk = "predictor.body.transformer"
    sizes = [f"{trunk}.{size}" for size in ("num_layers=1", "num_heads=2", "hidden_dim=16")]
    problem = ["data.problem.kind=addition", "data.problem.digits=1", "data.problem.hard_digits=2"]
    settings = [*problem, *sizes, "training.batch_size=16", "optimizer.lr=0.01"]
    words = ["--steps", 40, "--device", "cpu", "--out", path, "--set", *settings]
    done = cli("train", "reasoning_sudoku_ebt", *words)
    assert done.code == 0, done.err
    return path


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "problems.txt"
    path.write_text("# a comment\n1+2\n\n34+5\n6+7\n")
    return path


def test_additions(run: Path, problems: Path) -> None:
    found = ok("solve", run, problems, "--trace")
    assert [one["puzzle"] for one in found["puzzles"]] == ["1+2", "34+5", "6+7"]
    for one in found["puzzles"]:
        sum_, result = one["solution"].split("=")
        assert sum_ == one["puzzle"]
        right = int(result) == sum(map(int, one["puzzle"].split("+")))
        assert one["solved"] == right == (not one["wrong"])
        assert len(one["trace"]) == 5
        assert one["trace"][-1]["solution"] == one["solution"]
    alone = ok("solve", run, problems, "--batch-size", 1)["puzzles"]
    assert [one["solution"] for one in alone] == [one["solution"] for one in found["puzzles"]]


def test_energies_judge(run: Path, problems: Path) -> None:
    energies = [one["energy"] for one in ok("solve", run, problems)["puzzles"]]
    between = sorted(energies)[1]
    strict = ok("solve", run, problems, "--threshold", between)["puzzles"]
    for one, energy in zip(strict, energies, strict=True):
        if energy > between:
            assert not one["solved"]
        assert ("lies above" in one["wrong"]) <= (energy > between)
    never = ok("solve", run, problems, "--threshold", min(energies) - 1)
    assert never["solved"] == 0


def test_a_calibrated_threshold_is_kept_beside_the_run(run: Path, problems: Path) -> None:
    done = cli("solve", run, "--steps", 2, "--calibrate", 100)
    if "nothing that an energy could tell apart" in done.err:
        pytest.skip("this run has learnt too little")
    assert done.code == 0, done.err
    assert "held-out problems it keeps" in done.err
    (kept,) = json.loads((run / "thresholds.json").read_text())
    assert (kept["steps"], kept["candidates"], kept["problems"]) == (2, 1, 200)
    assert ok("solve", run, problems, "--steps", 2)["threshold"] == kept
    assert ok("solve", run, problems, "--steps", 3)["threshold"] is None
    (run / "thresholds.json").write_text("{")
    assert "thresholds.json is damaged" in cli("solve", run, problems, "--steps", 2).err
    (run / "thresholds.json").unlink()


def test_thresholds() -> None:
    energies = np.array([0.0, 1.0, 2.0, 3.0, np.nan])
    right = np.array([True, True, False, False, False])
    assert best_threshold(energies, right) == (1.5, 1.0, 1.0)
    # Equal energies are on one side.
    energy, kept, refused = best_threshold(np.array([1.0, 1.0, 2.0]), np.array([True, False, True]))
    assert (energy, kept, refused) in [(1.5, 0.5, 0.0), (2.0, 1.0, 0.0)]


def test_refusals(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("1+2\n1-2\n")
    assert (
        "bad.txt:2: '1-2' is not of the form 12+345" in cli("solve", run, tmp_path / "bad.txt").err
    )
    (tmp_path / "none.txt").write_text("\n")
    assert (
        "holds no problem: write one a line, as 12+345"
        in cli("solve", run, tmp_path / "none.txt").err
    )
    assert "name a file of problems" in cli("solve", run).err
    with pytest.raises(argmind.UserError, match="has no boards"):
        _ = argmind.load(run, device="cpu").board


def test_the_help_tells_all_forms() -> None:
    told = cli("solve", "--help").out
    for kind, form in FORMS.items():
        assert re.search(rf"^  {kind} +{re.escape(form.example)}", told, re.MULTILINE)


def test_in_python(run: Path) -> None:
    answer = argmind.load(run, device="cpu").solve("7+8", steps=3)
    assert answer.problem == "7+8"
    assert answer.steps == 3
    assert answer.solved == (answer.answer == "7+8=15")
