"""Sudoku: puzzles with one solution, by a solver that has nothing in common with the library's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from argmind.config import from_dict, part_config
from argmind.data.reasoning.base import held_out
from argmind.data.reasoning.boards import BOXES, Board
from argmind.data.reasoning.digging import make_puzzles
from argmind.data.reasoning.draws import Draws
from argmind.data.reasoning.solver import cells_of, masks_of, search, settled
from argmind.data.reasoning.sudoku import GIVENS
from argmind.errors import UserError
from argmind.registry import find

SIDES = tuple(BOXES)


def allowed(cells: list[int], side: int, cell: int) -> set[int]:
    """Values that no cell of the same row, column or box has, straight from the rules."""
    height, width = BOXES[side]
    row, column = divmod(cell, side)
    top, left = row // height * height, column // width * width
    seen = {cells[row * side + c] for c in range(side)}
    seen |= {cells[r * side + column] for r in range(side)}
    seen |= {
        cells[r * side + c] for r, c in product(range(top, top + height), range(left, left + width))
    }
    return set(range(1, side + 1)) - seen


def solutions(cells: list[int], side: int) -> Iterator[list[int]]:
    """All solutions, by trying."""
    empty = [cell for cell, value in enumerate(cells) if not value]
    if not empty:
        if follows_the_rules(cells, side):  # givens may contradict each other
            yield list(cells)
        return
    cell = min(empty, key=lambda one: len(allowed(cells, side, one)))
    for value in sorted(allowed(cells, side, cell)):
        cells[cell] = value
        yield from solutions(cells, side)
    cells[cell] = 0


def follows_the_rules(cells: list[int], side: int) -> bool:
    return all(
        cells[cell] in allowed([*cells[:cell], 0, *cells[cell + 1 :]], side, cell)
        for cell in range(side**2)
    )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("hard", [False, True])
def test_puzzles_have_exactly_one_solution(side: int, hard: bool) -> None:
    givens, count = GIVENS[side][hard], {4: 40, 6: 20, 9: 6}[side]
    puzzles = make_puzzles(Board(side), 0, "test", np.arange(count), givens)
    for given, solution in zip(puzzles.given, puzzles.solution, strict=True):
        assert givens[0] <= (given > 0).sum() <= givens[1]
        assert list(solutions(given.tolist(), side)) == [solution.tolist()]


def test_the_solver_counts_solutions_as_trying_does() -> None:
    board, draws = Board(4), Draws(0, "any", np.arange(150))
    full = make_puzzles(board, 0, "test", np.arange(150), GIVENS[4][0]).solution
    given = np.where(draws.uniform(16) < 0.3, full, 0)
    given[::3, 0] = 1 + given[::3, 0] % 4  # some without a solution
    found = search(board, masks_of(board, given), limit=1000)
    counts = [len(list(solutions(row.tolist(), 4))) for row in given]
    assert found.solutions.tolist() == counts
    assert 0 in counts
    assert max(counts) > 2
    one = cells_of(board, found.first)
    for row, count in zip(one, counts, strict=True):
        assert not count or follows_the_rules(row.tolist(), 4)


def test_difficulty_is_rounds_of_the_solver() -> None:
    board = Board(9)
    hard = make_puzzles(board, 0, "test", np.arange(40), (22, 28))
    settled_at, rounds = settled(board, masks_of(board, hard.given))
    singles_suffice = (cells_of(board, settled_at) > 0).all(1)
    assert np.array_equal(hard.difficulty[singles_suffice], rounds[singles_suffice])
    assert (hard.difficulty[~singles_suffice] > rounds[~singles_suffice]).all()
    assert 0 < singles_suffice.sum() < 40


def test_a_round_fills_in_all_that_can_be_seen() -> None:
    board = Board(4)
    full = make_puzzles(board, 0, "test", np.arange(1), GIVENS[4][0]).solution[0]
    corners, row = full.copy(), full.copy()
    corners[[0, 3, 12, 15]] = 0  # each the last of its box
    row[:4] = 0  # by its column, each
    boards = np.stack([full, corners, row])
    masks, rounds = settled(board, masks_of(board, boards))
    assert np.array_equal(cells_of(board, masks), np.stack([full] * 3))
    assert rounds.tolist() == [0, 1, 1]


@pytest.mark.parametrize("side", SIDES)
def test_the_checker_finds_any_wrong_cell(side: int) -> None:
    board = Board(side)
    solution = make_puzzles(board, 1, "test", np.arange(1), GIVENS[side][0]).solution
    wrong = np.repeat(solution, side**2 * (side - 1), axis=0)
    cell, more = np.divmod(np.arange(len(wrong)), side - 1)
    wrong[np.arange(len(wrong)), cell] = (wrong[0, cell] + more) % side + 1
    assert board.solved(solution).all()
    assert not board.solved(wrong).any()
    assert not board.solved(np.zeros_like(solution)).any()
    assert not board.solved(solution + 1).any()


@pytest.mark.parametrize("side", SIDES)
def test_symmetries_keep_puzzles_what_they_are(side: int) -> None:
    board, index = Board(side), np.arange(60)
    puzzle = make_puzzles(board, 1, "test", np.arange(1), GIVENS[side][0])
    given, solution = (np.repeat(cells, 60, axis=0) for cells in puzzle[:2])
    given, solution = board.shuffled(Draws(0, "turn", index), given, solution)
    assert board.solved(solution).all()
    assert ((given == 0) | (given == solution)).all()
    assert ((given > 0).sum(1) == (puzzle.given > 0).sum()).all()
    assert len(np.unique(solution, axis=0)) > 40
    patterns = {row.tobytes() for row in given > 0}
    assert len(patterns) > 10, "cells must move, not only digits"


@pytest.mark.parametrize("index", [[7], [3, 7, 9], [9, 7]])
def test_a_puzzle_does_not_depend_on_its_company(index: list[int]) -> None:
    board = Board(6)
    whole = make_puzzles(board, 5, "test", np.arange(12), (11, 14))
    some = make_puzzles(board, 5, "test", np.array(index), (11, 14))
    for got, want in zip(some, whole, strict=True):
        assert np.array_equal(got, want[index])
    other = make_puzzles(board, 6, "test", np.arange(12), (11, 14))
    assert not np.array_equal(other.given, whole.given)


def build(tmp_path, **options):
    config = part_config("problem", "sudoku", train_puzzles=60, eval_puzzles=20, **options)
    return config.build(tmp_path)


def test_training_never_shows_a_held_out_puzzle(tmp_path) -> None:
    problems = build(tmp_path, side=4)
    train = problems.sample("train", np.arange(3000), 0)["given"]
    easy = problems.sample("easy", np.arange(300), 0)["given"]
    shown = {row.tobytes() for row in train}
    assert not shown & {row.tobytes() for row in easy}
    assert not held_out(train).any()
    assert held_out(easy).all()


def test_hard_puzzles_have_fewer_givens_than_any_training_puzzle(tmp_path) -> None:
    problems = build(tmp_path, side=6)
    train = problems.sample("train", np.arange(200), 0)["known"].sum(1)
    hard = problems.sample("hard", np.arange(20), 0)["known"].sum(1)
    assert hard.max() < train.min()


def test_stored_puzzles_are_found_again_and_damage_is_noticed(tmp_path, caplog) -> None:
    first = build(tmp_path, side=4).sample("hard", np.arange(20), 0)
    files = sorted(tmp_path.glob("*.bin"))
    times = [file.stat().st_mtime_ns for file in files]
    again = build(tmp_path, side=4).sample("hard", np.arange(20), 0)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert [file.stat().st_mtime_ns for file in files] == times
    for file in files:
        file.write_bytes(file.read_bytes()[:-5] + b"wrong")
    repaired = build(tmp_path, side=4).sample("hard", np.arange(20), 0)
    assert all(np.array_equal(first[name], repaired[name]) for name in first)
    assert "damaged" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 5}, "side"),
        ({"train_puzzles": 0}, "train_puzzles must be at least 1"),
        ({"train_givens": [14, 11]}, "fewest and most"),
        ({"hard_givens": [11, 14]}, "fewer than train_givens"),
        ({"hard_givens": [3, 4]}, "several solutions"),
    ],
)
def test_impossible_settings_are_refused(options, message) -> None:
    with pytest.raises(UserError, match=message):
        from_dict(find("problem", "sudoku").Config, options)
