"""Files of real puzzles: read as they stand, refused with the line that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from argmind.config import part_config
from argmind.data.reasoning.boards import Board
from argmind.data.reasoning.digging import make_puzzles
from argmind.data.reasoning.files import read_puzzles
from argmind.errors import UserError

#: A puzzle that is known everywhere (Wikipedia's), and its solution.
PUZZLE = "530070000600195000098000060800060003400803001700020006060000280000419005000080079"
SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"


def written(tmp_path, text: str, name: str = "puzzles.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_of_cells(tmp_path) -> None:
    path = written(tmp_path, f"# one\n\n{PUZZLE}\n  {PUZZLE.replace('0', '.')}\r\n")
    puzzles = read_puzzles(path, Board(9))
    assert ["".join(map(str, row)) for row in puzzles.given] == [PUZZLE, PUZZLE]
    assert ["".join(map(str, row)) for row in puzzles.solution] == [SOLUTION, SOLUTION]
    assert (puzzles.difficulty > 0).all()


def test_the_layout_of_sudoku_extreme(tmp_path) -> None:
    text = f"source,question,answer,rating\nhere,{PUZZLE.replace('0', '.')},{SOLUTION},17\n"
    puzzles = read_puzzles(written(tmp_path, "\ufeff" + text, "test.CSV"), Board(9))
    assert "".join(map(str, puzzles.given[0])) == PUZZLE
    assert "".join(map(str, puzzles.solution[0])) == SOLUTION
    assert puzzles.difficulty.tolist() == [17]
    without = written(tmp_path, f"question\n{PUZZLE}\n", "bare.csv")
    assert np.array_equal(read_puzzles(without, Board(9)).solution, puzzles.solution)


CHANGED = SOLUTION.replace("9", "x").replace("8", "9").replace("x", "8")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "holds no puzzle"),
        ("a.txt", "# nothing\n\n", "holds no puzzle"),
        ("a.txt", PUZZLE + "\n" + PUZZLE[:-1], "a.txt:2: the puzzle has 80 characters"),
        ("a.txt", PUZZLE[:-1] + "x", "a.txt:1: 'x' at character 81"),
        ("a.txt", "55" + PUZZLE[2:], "a.txt:1: impossible givens: .* twice in row 1"),
        ("a.txt", "\n" + PUZZLE[:27] + "5" + PUZZLE[28:], "a.txt:2: impossible .* in column 1"),
        ("a.txt", PUZZLE[:11] + "3" + PUZZLE[12:], "a.txt:1: impossible givens: .* in box 1"),
        ("a.txt", "1" + "0" * 80, "a.txt:1: this puzzle has more than one solution"),
        ("a.txt", "12345678" + "0" * 9 + "9" + "0" * 63, "a.txt:1: this puzzle has no solution"),
        ("a.csv", "", "must name the columns"),
        ("a.csv", "source,puzzle\na,b\n", "no 'question' among source, puzzle"),
        ("a.csv", "source,question,answer,rating\n", "holds no puzzle"),
        ("a.csv", f"question,answer\n{PUZZLE},{PUZZLE}\n", "a.csv:2: the answer does not solve"),
        ("a.csv", f"question,answer\n{PUZZLE},{CHANGED}\n", "a.csv:2: the answer does not solve"),
        ("a.csv", f"question,answer\n{PUZZLE},12\n", "a.csv:2: the answer has 2 characters"),
        ("a.csv", f"question,answer,rating\n{PUZZLE},{SOLUTION},high\n", "rating 'high'"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, text, message) -> None:
    with pytest.raises(UserError, match=message):
        read_puzzles(written(tmp_path, text, name), Board(9))


def test_files_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_puzzles(tmp_path / "absent.txt", Board(9))
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe\x00" * 50)
    with pytest.raises(UserError, match="not a text file of puzzles"):
        read_puzzles(binary, Board(9))


def lines(count: int, seed: int) -> str:
    puzzles = make_puzzles(Board(4), seed, "file", np.arange(count), (6, 8))
    return "".join("".join(map(str, row)) + "\n" for row in puzzles.given)


def test_a_file_as_data(tmp_path) -> None:
    source = written(tmp_path, lines(80, 0))
    hard = written(tmp_path, lines(20, 1), "hard.txt")
    config = part_config(
        "problem", "sudoku_file", side=4, source=str(source), hard_source=str(hard)
    )
    problems = config.build(tmp_path)
    assert problems.splits == ("easy", "hard")
    held = sum(problems.available(split) or 0 for split in ("train", "easy"))
    assert held == 80
    as_read = problems.sample("hard", np.arange(20), 0)
    given = np.where(as_read["given"] < 4, as_read["given"] + 1, 0)
    text = "".join("".join(map(str, row)) + "\n" for row in given)
    assert text == hard.read_text(encoding="utf-8"), "held-out puzzles are judged as they stand"
    for split in ("train", *problems.splits):
        samples = problems.sample(split, np.arange(30), 3)
        assert problems.correct(samples["given"], samples["target"]).all()
    shown = {r.tobytes() for r in problems.sample("train", np.arange(2000), 0)["given"]}
    assert not shown & {r.tobytes() for r in problems.sample("easy", np.arange(8), 0)["given"]}
    copied = written(tmp_path, source.read_text(encoding="utf-8"), "copy.txt")
    copy = part_config("problem", "sudoku_file", side=4, source=str(copied), hard_source=str(hard))
    assert copy.build(tmp_path).fingerprint == problems.fingerprint
    limited = part_config("problem", "sudoku_file", side=4, source=str(source), limit_puzzles=40)
    assert limited.build(tmp_path).fingerprint != problems.fingerprint


def test_data_without_enough_puzzles(tmp_path) -> None:
    config = part_config("problem", "sudoku_file")
    with pytest.raises(UserError, match=r"data\.problem\.source=PATH"):
        config.build(tmp_path)
    one = written(tmp_path, PUZZLE)
    with pytest.raises(UserError, match="too few puzzles"):
        part_config("problem", "sudoku_file", source=str(one)).build(tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        part_config("problem", "sudoku_file", source=str(tmp_path / "no")).build(tmp_path)
