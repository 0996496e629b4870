"""What must hold of every kind of reasoning problem, and of their generators in particular."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from argmind.config import part_config
from argmind.data.base import TrainingData
from argmind.data.reasoning.base import Problems, held_out
from argmind.data.reasoning.draws import Draws
from argmind.data.reasoning.graphs import EDGE, GOAL, START, distances
from argmind.data.sources import open_source
from argmind.errors import UserError
from argmind.registry import names

OPTIONS = {
    "sudoku": {"side": 4, "train_puzzles": 40, "eval_puzzles": 40},
    "inverse": {"side": 6},
    "completion": {"side": 8},
    "vector_sum": {"side": 3, "tokens": "elements"},
}
KINDS = [name for name in names("problem") if name != "sudoku_file"]
every = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def problems(name: str, folder: Path) -> Problems:
    return part_config("problem", name, **OPTIONS.get(name, {})).build(folder)


def dataset(name: str, folder: Path, seed: int = 0):
    problem = part_config("problem", name, **OPTIONS.get(name, {}))
    config = part_config("dataset", "reasoning", problem=problem, eval_samples=30)
    return config.build(seed=seed, cache_dir=folder)


@every
def test_problems_are_what_they_say(name: str, folder: Path) -> None:
    kind = problems(name, folder)
    inputs = kind.inputs
    assert kind.splits[:1] == ("easy",)
    assert len(kind.splits) >= 2
    for split in ("train", *kind.splits):
        got = kind.sample(split, np.arange(50), 0)
        tokens = got["known"].shape[1]
        assert tokens == inputs["tokens"] or split not in ("train", "easy")
        assert got["known"].shape == (50, tokens)
        assert got["places"].shape == (50, tokens, len(inputs["places"]))
        assert got["difficulty"].shape == (50,)
        assert (got["places"] < inputs["places"]).all()
        assert (got["places"] >= 0).all()
        if "symbols" in inputs:
            assert got["target"].shape == (50, tokens)
            assert got["target"].min() >= 0
            assert got["target"].max() < inputs["symbols"]
            known = got["known"]
            assert (got["given"][known] == got["target"][known]).all() or not known.any()
        else:
            assert got["target"].shape == (50, tokens, inputs["numbers"])
        if "given_symbols" in inputs:
            assert got["given"].max() < inputs["given_symbols"]
        else:
            assert got["given"].shape == (50, tokens, inputs["given_numbers"])


@every
def test_targets_are_correct_and_a_single_wrong_token_is_not(name: str, folder: Path) -> None:
    kind = problems(name, folder)
    for split in kind.splits:
        got = kind.sample(split, np.arange(40), 0)
        assert kind.correct(got["given"], got["target"]).all()
        wrong, each = got["target"].copy(), np.arange(40)
        token = (~got["known"]).argmax(1)
        if "symbols" in kind.inputs:
            wrong[each, token] = (wrong[each, token] + 1) % kind.inputs["symbols"]
        else:
            wrong[each, token, 0] += 3.0
        caught = ~kind.correct(got["given"], wrong)
        # A hidden entry of a matrix that is to be completed may be anything, near enough.
        assert caught.all() or name == "completion"
        assert caught.any()


@every
def test_a_problem_is_a_function_of_its_number(name: str, folder: Path) -> None:
    kind = problems(name, folder)
    whole = kind.sample("easy", np.arange(20), 0)
    for index in ([13], [4, 13, 2]):
        some = kind.sample("easy", np.array(index), 0)
        for field, rows in some.items():
            # The last digits of a matrix product depend on how many are made at once.
            np.testing.assert_allclose(rows, whole[field][index], rtol=1e-5, atol=1e-6)
    other = kind.sample("easy", np.arange(20), 1)
    assert not np.array_equal(other["given"], whole["given"])


@every
def test_training_and_held_out_problems_are_apart(name: str, folder: Path) -> None:
    kind = problems(name, folder)
    train = kind.sample("train", np.arange(600), 0)["given"]
    easy = kind.sample("easy", np.arange(100), 0)["given"]
    shown = {row.tobytes() for row in train}
    assert not shown & {row.tobytes() for row in easy}
    assert len(shown) > 300
    if kind.repeats:
        assert not held_out(train).any()
        assert held_out(easy).all()


@every
def test_harder_splits_are_harder(name: str, folder: Path) -> None:
    kind = problems(name, folder)
    easy, hard = (kind.sample(split, np.arange(400), 0) for split in kind.splits[:2])
    if name == "sudoku":
        assert hard["known"].sum(1).max() < easy["known"].sum(1).min()
    if name == "completion":
        assert np.abs(hard["target"]).mean() > 2 * np.abs(easy["target"]).mean()
    else:
        assert hard["difficulty"].mean() > 1.05 * easy["difficulty"].mean()


@every
def test_as_training_data(name: str, folder: Path) -> None:
    data = dataset(name, folder)
    assert isinstance(data, TrainingData)
    whole = data.batch(0, 12)
    parts = [data.batch(first, 4) for first in (0, 4, 8)]
    for field, rows in whole.items():
        joined = torch.cat([part[field] for part in parts])
        torch.testing.assert_close(joined, rows, rtol=1e-5, atol=1e-6)
    other = dataset(name, folder, seed=1)
    assert not torch.equal(other.batch(0, 12)["given"], whole["given"])
    assert other.fingerprint == data.fingerprint
    for split in data.splits:
        held = list(data.evaluation(8, split=split))
        again = list(other.evaluation(30, split=split))
        assert [len(batch["given"]) for batch in held] == [8, 8, 8, 6]
        torch.testing.assert_close(torch.cat([b["given"] for b in held]), again[0]["given"])
    assert sum(len(batch["given"]) for batch in data.evaluation(4, limit=6)) == 6
    with pytest.raises(UserError, match=r"unknown split 'esay'\. Did you mean 'easy'"):
        data.evaluation(4, split="esay")


@every
def test_the_next_epoch_is_not_the_same(name: str, folder: Path) -> None:
    data = dataset(name, folder)
    size = data.samples_per_epoch
    first = {row.numpy().tobytes() for row in data.batch(0, 30)["given"]}
    later = {row.numpy().tobytes() for row in data.batch(size, 30)["given"]}
    assert len(first & later) < 15


def test_draws_are_uniform_and_normal() -> None:
    draws = Draws(0, "any", np.arange(400))
    uniform, normal = draws.uniform(100), draws.normal(100)
    assert abs(uniform.mean() - 0.5) < 0.01
    assert abs(uniform.var() - 1 / 12) < 0.003
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    assert np.isfinite(normal).all()
    assert abs(np.corrcoef(uniform[:, 0], uniform[:, 1])[0, 1]) < 0.2
    order = draws.permutation(5)
    assert (np.sort(order, axis=1) == np.arange(5)).all()
    assert len(np.unique(order, axis=0)) > 100
    assert set(draws.below(3, 50).ravel().tolist()) == {0, 1, 2}
    assert not np.array_equal(Draws(0, "other", np.arange(400)).uniform(100), uniform)


def test_inverse_has_the_published_distribution() -> None:
    kind = part_config("problem", "inverse").build()
    for split, ridge in (("easy", 0.5), ("hard", 0.1)):
        got = kind.sample(split, np.arange(300), 0)
        matrix = got["given"].astype(np.float64)
        assert np.allclose(matrix, matrix.transpose(0, 2, 1), atol=1e-5)
        least = np.linalg.eigvalsh(matrix)[:, 0]
        assert (least >= ridge - 1e-3).all()
        assert least.min() < ridge + 0.02
        # E[2 M Mᵀ] = 2 · 20 / 3 on the diagonal, for M uniform in [−1, 1].
        diagonal = np.diagonal(matrix, axis1=1, axis2=2).mean()
        assert abs(diagonal - 40 / 3 - ridge) < 0.2


def test_rows_and_elements_hold_the_same_matrices() -> None:
    samples = {}
    for tokens in ("rows", "elements"):
        kind = part_config("problem", "vector_sum", side=4, tokens=tokens).build()
        got = kind.sample("easy", np.arange(5), 0)
        samples[tokens] = (*kind.matrices(got["given"]), *kind.matrices(got["target"]))
    for row, element in zip(samples["rows"], samples["elements"], strict=True):
        assert np.array_equal(row, element)


def test_distances_and_ways_of_a_known_graph() -> None:
    edges = np.zeros((1, 5, 5), dtype=bool)
    for a, b in ((0, 1), (1, 2), (2, 3)):
        edges[0, a, b] = edges[0, b, a] = True
    far = distances(edges)[0]
    assert far[0].tolist() == [0, 1, 2, 3, 5]
    assert far[4].tolist() == [5, 5, 5, 5, 0]


def test_a_longer_way_is_not_the_shortest() -> None:
    kind = part_config("problem", "shortest_path").build()
    got = kind.sample("easy", np.arange(200), 0)
    nodes = 12
    given = got["given"].reshape(-1, nodes, nodes)
    detours = 0
    for graph, answer in zip(given, got["target"].reshape(-1, nodes, nodes), strict=True):
        edges = graph == EDGE
        start, goal = (int((graph.diagonal() == mark).argmax()) for mark in (START, GOAL))
        # Replace an edge of the way by two that lead around it, where there are such.
        for a, b in np.argwhere(answer.astype(bool) & edges):
            around = np.flatnonzero(edges[a] & edges[b] & ~answer.diagonal().astype(bool))
            if len(around):
                longer = answer.copy()
                longer[a, b] = longer[b, a] = 0
                for one, two in ((a, around[0]), (around[0], b)):
                    longer[one, two] = longer[two, one] = 1
                longer[around[0], around[0]] = 1
                assert not kind.correct(graph.reshape(1, -1), longer.reshape(1, -1))[0]
                detours += 1
        assert answer[start, start]
        assert answer[goal, goal]
    assert detours > 3


def test_arithmetic_is_right() -> None:
    for name, operation in (("addition", np.add), ("multiplication", np.multiply)):
        kind = part_config("problem", name).build()
        for split in kind.splits:
            got = kind.sample(split, np.arange(100), 0)
            rows = got["target"].reshape(100, 3, -1)
            a, b, result = (rows * 10 ** np.arange(rows.shape[2])).sum(-1).T
            assert np.array_equal(operation(a, b), result)
            digits = np.char.str_len(np.stack([a, b]).astype(str))
            if split == "hard":
                assert (digits == kind.config.hard_digits).all()
            else:
                assert digits.max() == kind.config.digits


def test_dyck_words_are_as_deep_as_they_say() -> None:
    kind = part_config("problem", "dyck").build()
    for split, deepest in (("easy", 4), ("hard", 8), ("harder", 8)):
        got = kind.sample(split, np.arange(300), 0)
        height = np.where(got["target"] % 2 == 0, 1, -1).cumsum(1)
        assert height.min() == 0
        assert (height[:, -1] == 0).all()
        assert height.max() == deepest
        assert ((~got["known"]).sum(1) == got["difficulty"]).all()
    assert got["known"].shape[1] == 40


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("inverse", {"side": 1}, "side must be at least 2"),
        ("connectivity", {"nodes": 20}, "fewer than harder_nodes"),
        ("sorting", {"length": 1}, "length must be at least 2"),
        ("addition", {"digits": 9}, "fewer than hard_digits"),
        ("dyck", {"length": 7}, "even length"),
        ("dyck", {"depth": 8}, "depth must be less than hard_depth"),
    ],
)
def test_impossible_settings_are_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        part_config("problem", name, **options)


# ---------------------------------------------------------------------- as text


@pytest.mark.parametrize(("name", "sign"), [("addition", "+"), ("multiplication", "*")])
def test_arithmetic_as_text(name: str, sign: str) -> None:
    source = open_source(f"problems:{name}/train/1500")
    documents = list(source.documents())
    assert [document.count("\n") for document in documents] == [1000, 500]
    for line in "".join(documents).split():
        problem, _, result = line.partition("=")
        a, b = map(int, problem.split(sign))
        assert int(result) == (a + b if sign == "+" else a * b)
    shown = set("".join(documents).split())
    hard = "".join(open_source(f"problems:{name}/hard/100").documents()).split()
    assert min(map(len, hard)) > max(map(len, shown))
    assert not shown & set("".join(open_source(f"problems:{name}/easy/300").documents()).split())


def test_dyck_words_as_text() -> None:
    for word in "".join(open_source("problems:dyck/harder/200").documents()).split():
        assert len(word) == 40
        while word:
            shorter = word.replace("()", "").replace("[]", "").replace("{}", "")
            assert len(shorter) < len(word), word
            word = shorter


def test_text_of_problems_is_the_same_again() -> None:
    first, second = (open_source("problems:dyck//300") for _ in range(2))
    assert list(first.documents()) == list(second.documents())
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != open_source("problems:dyck//301").fingerprint


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("problems:adition", "unknown problem 'adition'. Did you mean 'addition'"),
        ("problems:addition/esay", "Did you mean 'easy'"),
        ("problems:addition/easy/many", "'many' is not a number of lines"),
        ("problems:addition/easy/0", "'0' is not a number of lines"),
        ("problems:inverse", "not written as text"),
        ("problems:sudoku", "not written as text"),
    ],
)
def test_text_that_there_is_not(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(spec)
