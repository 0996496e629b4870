"""``solve``, ``eval`` and ``eval --thinking`` on reasoning runs, and the study of any other run."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path

import pytest

import argmind

from .conftest import cli, ok, process, refused

SMALL = [
    "data.problem.side=4",
    "data.problem.train_puzzles=40",
    "data.problem.eval_puzzles=30",
    "training.batch_size=4",
    "training.eval_every=5",
    "training.eval_limit=8",
    "optimizer.warmup_steps=2",
]
SIZES = ("num_layers=1", "num_heads=2", "hidden_dim=16")
TRUNKS = {"ebt": "predictor.body.transformer"}

FULL = "1234341221434321"
OPEN = "12.434.22.434321"
BLANK = "." * 16


@pytest.fixture(scope="session")
def run(runs):
    """The folder of a reasoning run, trained when first asked for."""

    def folder(name: str) -> Path:
        path = runs / f"reasoning-{name}"
        if not path.exists():
            trunk = TRUNKS.get(name, "predictor.transformer")
            settings = [*SMALL, *(f"{trunk}.{size}" for size in SIZES)]
            words = ["--steps", 5, "--device", "cpu", "--out", path, "--set", *settings]
            done = cli("train", f"reasoning_sudoku_{name}", *words)
            assert done.code == 0, done.err
        return path

    return folder


@pytest.fixture
def puzzles(tmp_path):
    def write(*lines: str) -> Path:
        path = tmp_path / "puzzles.txt"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


# Solve ----------------------------------------------------------------------


def valid(line: str) -> bool:
    """By hand, and not by the checker under test."""
    rows = [line[i : i + 4] for i in range(0, 16, 4)]
    columns = ["".join(row[i] for row in rows) for i in range(4)]
    boxes = [
        "".join(rows[r + i][c + j] for i in (0, 1) for j in (0, 1)) for r in (0, 2) for c in (0, 2)
    ]
    return all(sorted(unit) == list("1234") for unit in (*rows, *columns, *boxes))


def test_one_puzzle(run, puzzles):
    done = cli("solve", run("ebt"), puzzles("# a comment", "", FULL))
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[:5] == ["1 2 │ 3 4", "3 4 │ 1 2", "────┼────", "2 1 │ 4 3", "4 3 │ 2 1"]
    assert lines[5].startswith("solved; energy ")
    assert "4 steps, 4 evaluations" in lines[5]


def test_several_puzzles(run, puzzles):
    path = puzzles(FULL, OPEN.replace(".", "0"), BLANK)
    found = ok("solve", run("ebt"), path, "--steps", 2)
    first, second, third = found["puzzles"]
    assert first["solution"] == FULL
    assert first["solved"]
    assert second["puzzle"] == OPEN  # zeros and points are one
    for one in (first, second, third):
        assert one["solved"] == valid(one["solution"]) == (not one["wrong"])
        assert one["steps"] == one["nfe"] == 2
        assert all(g in (".", a) for g, a in zip(one["puzzle"], one["solution"], strict=True))
    assert not third["solved"]  # of a model that has learnt nothing
    assert " stands twice in one " in third["wrong"]
    assert found["solved"] == sum(one["solved"] for one in found["puzzles"])
    done = cli("solve", run("ebt"), path, "--steps", 2)
    assert f"{found['solved']} of 3 solved" in done.out
    assert "not solved: " in done.out
    assert third["solution"] in done.out


def test_batches_change_nothing(run, puzzles):
    path = puzzles(OPEN, BLANK, FULL)
    words = ["solve", run("ebt"), path, "--candidates", 3, "--seed", 4]
    together, alone = (ok(*words, "--batch-size", size)["puzzles"] for size in (3, 1))
    for one, other in zip(together, alone, strict=True):
        assert one["solution"] == other["solution"]
        assert one["energy"] == pytest.approx(other["energy"], abs=1e-5)


def test_candidates_find_lower_energies(run, puzzles):
    path = puzzles(BLANK, OPEN)
    one, several = (ok("solve", run("ebt"), path, "--candidates", n)["puzzles"] for n in (1, 8))
    assert all(b["energy"] <= a["energy"] + 1e-6 for a, b in zip(one, several, strict=True))
    assert any(b["energy"] < a["energy"] - 1e-6 for a, b in zip(one, several, strict=True))
    assert several[0]["nfe"] == 8 * one[0]["nfe"]


def test_the_way(run, puzzles):
    path = puzzles(OPEN)
    (one,) = ok("solve", run("ebt"), path, "--steps", 3, "--trace")["puzzles"]
    grids = [step["grid"] for step in one["trace"]]
    assert grids[0] == OPEN  # nothing is known before the first step
    assert grids[-1] == one["solution"]
    assert len(grids) == 4
    done = cli("solve", run("ebt"), path, "--steps", 3, "--trace")
    assert [f"step {n}, energy" in done.out for n in range(5)] == [True] * 4 + [False]
    assert "1 2 │ · 4" in done.out


@pytest.mark.parametrize("name", ["one_pass", "looped"])
def test_models_without_an_energy(name, run, puzzles):
    (one,) = ok("solve", run(name), puzzles(OPEN), "--trace")["puzzles"]
    assert one["solved"] == valid(one["solution"])
    assert one["trace"][0]["grid"] == OPEN


def test_from_standard_input(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{FULL}\n{OPEN}\n"))
    assert len(ok("solve", run("ebt"), "-")["puzzles"]) == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "stdin holds no puzzle" in refused("solve", run("ebt"), "-")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([""], "puzzles.txt holds no puzzle: write one a line, 0 or . for an unknown cell"),
        (["# nothing"], "holds no puzzle"),
        ([FULL, "123"], "puzzles.txt:2: 3 characters; this run solves boards of side 4, 16 cells"),
        (["." * 36], "puzzles.txt:1: a puzzle of side 6; this run solves boards of side 4"),
        (["." * 81], "a puzzle of side 9; this run solves boards of side 4"),
        (["12x4" + "." * 12], "puzzles.txt:1: 'x' in row 1 column 3 is no cell: write 1 to 4"),
        (["...." * 3 + "..5."], "puzzles.txt:1: 5 in row 4 column 3 is no cell"),
        (
            ["12.1" + "." * 12],
            "1 stands in row 1 column 1 and in row 1 column 4, which are of one row",
        ),
        (
            [FULL, ".3......" + ".3......"],
            "puzzles.txt:2: contradictory givens: 3 stands in row 1 column 2 and in row 3 column 2",
        ),
        (["2....2.." + "." * 8], "2 stands in row 1 column 1 and in row 2 column 2, which are of"),
    ],
)
def test_puzzles_that_cannot_be_used(lines, said, run, puzzles):
    assert said in refused("solve", run("ebt"), puzzles(*lines))


def test_other_refusals(run, puzzles, ebt, tmp_path):
    assert "cannot read absent.txt: No such file" in refused("solve", run("ebt"), "absent.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "is not a text file of puzzles" in refused("solve", run("ebt"), "binary")
    assert "is a run on text, which solves no puzzles" in refused("solve", ebt, puzzles(FULL))
    assert "0 thinking steps" in refused("solve", run("ebt"), puzzles(FULL), "--steps", 0)
    assert "is a run on reasoning, and this is for text, images and clips" in refused(
        "compare", run("ebt"), run("one_pass")
    )


def test_as_a_process(run, puzzles):
    done = process("solve", run("ebt"), puzzles(FULL), cwd=puzzles(FULL).parent)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].startswith("solved")


def test_in_python(run):
    loaded = argmind.load(run("ebt"), device="cpu")
    solution = loaded.solve(FULL, steps=3)
    assert solution.solved
    assert solution.steps == 3
    assert [one.solved for one in loaded.solve([FULL, FULL])] == [True, True]
    with pytest.raises(argmind.UserError, match="budget: "):
        loaded.solve(FULL, stepz=3)
    with pytest.raises(argmind.UserError, match="of side 9"):
        loaded.solve("." * 81)


def test_a_run_on_other_problems(runs, puzzles):
    path = runs / "reasoning-sorting"
    settings = ["data.problem=sorting", "data.problem.length=4", "training.batch_size=4"]
    settings += [f"predictor.transformer.{size}" for size in SIZES]
    words = ["--steps", 2, "--device", "cpu", "--out", path, "--set", *settings]
    done = cli("train", "reasoning_sudoku_one_pass", *words)
    assert done.code == 0, done.err
    assert "puzzles.txt:1: 1 numbers: this run sorts 4" in refused("solve", path, puzzles(FULL))
    rows = ok("eval", path, "--limit", 20)["rows"]
    assert {row["problems"] for row in rows} == {20}


# Eval -----------------------------------------------------------------------


def test_eval(run):
    found = ok("eval", run("ebt"), "--steps", 1, 2, "--candidates", 1, 2, "--limit", 20)
    rows = found["rows"]
    assert [row["split"] for row in rows] == ["easy"] * 4 + ["hard"] * 4
    assert [(row["steps"], row["candidates"]) for row in rows[:4]] == [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
    ]
    assert all(0 <= row["solved"]["value"] <= 1 for row in rows)
    done = cli("eval", run("one_pass"), "--limit", 10)
    assert done.code == 0, done.err
    assert "solved / %" in done.out
    assert "--data means nothing to a run on reasoning" in refused(
        "eval", run("ebt"), "--data", "x"
    )
    assert "--html is the page of --thinking" in refused("eval", run("ebt"), "--html", "x.html")


# Eval --thinking ------------------------------------------------------------


@pytest.fixture(scope="session")
def checked():
    """The checker of pages that the tests of reports have."""
    path = Path(__file__).parents[1] / "report" / "html_check.py"
    spec = importlib.util.spec_from_file_location("html_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("html_check", module)
    spec.loader.exec_module(module)
    return module.check


HEADINGS = [
    "What thinking does",
    "What was found",
    "Steps and candidates",
    "Stopping when settled, against fixed budgets",
    "Calibration of the energy",
    "The way down",
]


def test_the_study_of_a_reasoning_run(run, checked):
    words = ["--thinking", "--html", "page.html", "--steps", 1, 4, "--limit", 12]
    found = ok("eval", run("ebt"), *words, "--candidates", 1, 2)
    assert found["quality"] == "share solved"
    budgets = [(row["split"], row["steps"], row["candidates"]) for row in found["rows"]]
    assert budgets == [
        *(("easy", steps, count) for steps in (1, 4) for count in (1, 2)),
        *(("hard", steps, 1) for steps in (1, 4)),
    ]
    assert len(found["share_of_steps_lowering_energy"]) == 4
    assert [row["steps"] for row in found["curvature"]] == [0, 4]
    assert [gain["split"] for gain in found["gains"]] == ["easy", "hard"]
    assert found["diversity"][0]["candidates"] == 2
    page = checked(Path("page.html").read_text())
    assert page.faults == []
    assert page.headings[:3] == HEADINGS[:3]
    assert page.headings[-2:] == HEADINGS[-2:]
    for sentence in found["findings"]:
        assert sentence in page.words


def test_the_study_of_text_and_of_a_model_that_does_not_think(ebt, rival, run, checked):
    found = ok("eval", ebt, "--thinking", "--steps", 0, 1, 2, "--limit", 4, "--html", "text.html")
    assert found["quality"] == "nats per token"
    assert [row["steps"] for row in found["rows"] if row["candidates"] == 1] == [0, 1, 2]
    assert found["curvature"]
    assert checked(Path("text.html").read_text()).faults == []
    for name in (rival, run("one_pass")):
        found = ok("eval", name, "--thinking", "--limit", 4, "--html", "plain.html")
        assert not found["thinks"]
        assert not found["adaptive"]
        assert found["calibration"]["tenths"]
        assert "does not think" in found["findings"][0]
        assert checked(Path("plain.html").read_text()).faults == []


def test_the_study_in_words(run):
    done = cli("eval", run("looped"), "--thinking", "--steps", 1, 2, "--limit", 8)
    assert done.code == 0, done.err
    assert "• On 'easy', share solved is " in done.out
    assert "measuring: easy: 1 steps, 1 candidates" in done.err
    json.loads(cli("eval", run("looped"), "--thinking", "--limit", 4, "--json").out)
    said = refused("eval", run("ebt"), "--thinking", "--stop", "plateau")
    assert "--thinking tries stops of its own" in said
    assert "0 thinking steps" in refused("eval", run("ebt"), "--thinking", "--steps", 0)
