"""The measuring of thinking, on energies whose answers are known beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from argmind.assembly import build_predictor
from argmind.config import PartConfig
from argmind.energy.base import EnergyModel
from argmind.errors import UserError
from argmind.eval.adaptive import between_fixed
from argmind.eval.calibration import calibrate
from argmind.eval.curvature import curvature, largest_eigenvalue
from argmind.eval.diversity import distinct_share, pairwise_distance
from argmind.eval.thinking import default_steps, study
from argmind.eval.thinking_data import Quality, Subject
from argmind.predictors.ebt import EBT
from argmind.recipes.base import customised, find_recipe
from argmind.spaces.base import Embedding, Space, Whole
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import Thinker, ThinkingConfig

SIDE = 4


class Plain(Space):
    """Candidates are vectors, moved by plain gradient descent; problems are where they end."""

    reads = "whole"
    continuous = True

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def feature_shape(self) -> tuple[int, ...]:
        return (SIDE,)

    def embed_context(self, context: Any) -> Whole:
        return Whole(context["target"])

    def embed(self, point: Tensor) -> Embedding:
        return Embedding(point, point)

    def decode(self, y: Tensor) -> Tensor:
        return y

    def task(self, batch: dict[str, Tensor]) -> tuple[Any, Tensor]:
        return batch, batch["target"]

    def output_loss(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().mean(-1)

    def counts(self, target: Tensor) -> Tensor:
        return torch.ones(len(target), dtype=torch.bool)


class Quadratic(EnergyModel):
    """``½ (y − c)ᵀ A (y − c)`` with eigenvalues that are known."""

    reads = "whole"

    def __init__(self, eigenvalues: list[float]) -> None:
        super().__init__()
        turn, _ = torch.linalg.qr(torch.randn(SIDE, SIDE, dtype=torch.float64, generator=seeded(5)))
        self.matrix = turn @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ turn.T

    def encode(self, context: Whole, first: Any = None, after: Any = None) -> Tensor:  # noqa: ARG002
        return context.condition

    def predictions(self, state: Tensor) -> torch.Size:
        return state.shape[:1]

    def hidden(self, state: Tensor) -> None:  # noqa: ARG002
        return None

    def energy(self, state: Tensor, embedding: Embedding, step: Any) -> Tensor:  # noqa: ARG002
        away = embedding.input - state[:, None]
        return 0.5 * torch.einsum("bni,ij,bnj->bn", away, self.matrix, away)


class Bowl(EBT):
    """An EBT of these pieces."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, eigenvalues: list[float], size: float, steps: int = 4) -> None:
        torch.nn.Module.__init__(self)
        self.space, self.body = Plain(), Quadratic(eigenvalues)
        self.thinker = Thinker(ThinkingConfig(steps=steps, start="noise"))
        self.thinker.schedule.size.data.fill_(size)
        self.metric = "loss"


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 6, seed: int = 10) -> dict[str, Tensor]:
    return {"target": torch.randn(count, SIDE, dtype=torch.float64, generator=seeded(seed))}


# ------------------------------------------------------------------ curvature


@pytest.mark.parametrize("eigenvalues", [[0.1, 0.5, 1.0, 3.0], [2.0, -5.0, 0.2, 0.1]])
@pytest.mark.parametrize("steps", [0, 3])
def test_curvature_is_step_size_times_the_largest_eigenvalue(eigenvalues, steps):
    """Also where the eigenvalue of largest size is negative; wherever the candidate is."""
    model = Bowl(eigenvalues, size=0.3)
    found = curvature(model, batch(), steps, seeded(1), iterations=200)
    assert found.shape == (6,)
    np.testing.assert_allclose(found.numpy(), 0.3 * max(eigenvalues), rtol=1e-4)


@pytest.mark.parametrize(("size", "closer"), [(0.6, True), (0.7, False)])
def test_two_is_where_steps_no_longer_come_closer(size, closer):
    model = Bowl([0.2, 0.4, 1.0, 3.0], size)
    found = float(curvature(model, batch(), 0, seeded(), iterations=200).max())
    assert (found < 2) == closer
    few, many = (
        model.loss(model.predict(batch(), Budget(steps=s), seeded(1)).output, batch()["target"])
        for s in (20, 60)
    )
    assert bool((many < few).all()) == closer


def test_the_largest_eigenvalue_of_every_row_alone():
    maps = torch.diag_embed(torch.tensor([[1.0, 2.0], [-4.0, 0.5], [0.0, 0.0]]))
    found = largest_eigenvalue(
        lambda v: torch.einsum("bij,bj->bi", maps, v), torch.ones(3, 2), 1, iterations=100
    )
    torch.testing.assert_close(found, torch.tensor([2.0, 0.5, 0.0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("geometry", ["mirror", "euclidean"])
def test_curvature_of_a_real_model_agrees_with_the_whole_jacobian(geometry):
    model, problems = sudoku(f"predictor.space.geometry={geometry}", "thinking.steps=2")
    model.double()
    with torch.no_grad():
        for weight in model.body.parameters():
            weight += 0.2 * torch.randn(weight.shape, dtype=weight.dtype, generator=seeded(3))
    problem, _ = model.task({name: tensor[:1] for name, tensor in problems.items()})
    found = curvature(model, problem, 1, seeded(), iterations=300)
    landscape = model.landscape(problem)
    y = model.thinker.think(landscape, Budget(steps=1), seeded()).candidate.detach()
    held = landscape.body.given(landscape.state).held[:, None].expand_as(y)
    size = model.thinker.schedule.size.detach()[0]

    def moved(y: Tensor) -> Tensor:
        slope = landscape.slope(y, 1, graph=True)
        return landscape.move(y, slope.point, size * slope.gradient)

    y.requires_grad_()
    jacobian = torch.autograd.functional.jacobian(lambda y: y - moved(y), y)
    free = (~held).flatten().nonzero()[:, 0]
    square = jacobian.reshape(y.numel(), y.numel())[free][:, free]
    assert float(found) == pytest.approx(float(torch.linalg.eigvals(square).real.max()), rel=1e-3)


# ------------------------------------------------------------------ pieces


def test_calibration_of_what_always_and_never_knows():
    energies = np.linspace(-1, 1, 200)
    right = (energies < 0).astype(float)
    knows = calibrate(energies, right)
    assert knows.auroc is not None
    assert knows.auroc.value == 1
    assert knows.rank.value < -0.8
    assert [tenth.quality.value for tenth in knows.tenths] == [1] * 5 + [0] * 5
    assert [tenth.energy for tenth in knows.tenths] == sorted(t.energy for t in knows.tenths)
    assert calibrate(-energies, right).auroc.value == 0
    assert calibrate(energies, energies).auroc is None  # neither right nor wrong
    assert math.isnan(calibrate(np.ones(9), np.ones(9)).rank.value)
    one_lost = np.where(np.arange(200) == 3, np.nan, energies)
    assert sum(1 for _ in calibrate(one_lost, right).tenths) == 10


def test_fixed_budgets_in_between():
    fixed = [(4.0, np.array([1.0, 1.0])), (2.0, np.array([0.0, 1.0]))]
    np.testing.assert_allclose(between_fixed(fixed, 3.5), [0.75, 1.0])
    np.testing.assert_allclose(between_fixed(fixed, 4.0), [1.0, 1.0])
    assert between_fixed(fixed, 1.9) is None
    assert between_fixed(fixed, 4.1) is None


def test_distances_and_distinct_answers():
    outputs = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]])
    rms = math.sqrt(12.5)
    assert float(pairwise_distance(outputs, 2)) == pytest.approx(2 * rms / 3)
    answers = torch.tensor([[[1, 2], [1, 2], [1, 3]], [[1, 1], [1, 1], [1, 1]]])
    assert distinct_share(answers, 2).tolist() == [0.5, 0.0]
    by_position = answers.reshape(2, 3, 2)
    assert distinct_share(by_position, 3).tolist() == [[0.0, 0.5], [0.0, 0.0]]


# ------------------------------------------------------------------ studies


def bowl_study(size: float = 0.3, **options: Any) -> Any:
    model = Bowl([0.5, 0.5, 1.0, 3.0], size)
    quality = Quality(name="squared error", unit="1", more_is_better=False)
    splits = {"near": [batch(5), batch(3, seed=11)], "far": [batch(4, seed=12)]}
    return study(Subject(predictor=model, splits=splits, quality=quality), **options)


def test_a_study_of_a_bowl():
    told: list[str] = []
    found = bowl_study(steps=[1, 2, 16], candidates=[1, 3], tell=told.append)
    assert (found.first, found.samples) == ("near", {"near": 8, "far": 4})
    line = found.line("near")
    assert [row.steps for row in line] == [1, 2, 4, 16]  # the trained number among them
    assert [row.nfe for row in line] == [1, 2, 4, 16]
    errors = [row.quality.value for row in line]
    assert errors == sorted(errors, reverse=True)
    assert found.at("near", 1, 3).quality.value < errors[0]  # the energy is the error here
    assert found.at("near", 1, 3).nfe == 3
    assert found.falling == pytest.approx([1.0] * 16)
    assert [row.steps for row in found.steepness] == [0, 4, 16]
    for row in found.steepness:
        np.testing.assert_allclose(row.values, 0.9, rtol=1e-3)
    assert found.calibration.rank.value > 0.3
    assert found.calibration.auroc is None
    assert [gain.split for gain in found.gains] == ["near", "far"]
    assert all(gain.difference.high < 0 for gain in found.gains)
    first, last = found.spreads
    assert last.distance.value < 0.2 * first.distance.value  # all end in the one minimum
    assert "curvature after 16 steps" in told


def test_stopping_saves_steps_and_is_compared_at_equal_cost():
    found = bowl_study(steps=[1, 2, 8, 32], candidates=[1])
    loose, *_, tight = found.adaptive
    assert loose.nfe < tight.nfe < 32
    assert loose.quality.value > tight.quality.value
    assert tight.minus_fixed is not None
    longest = found.at("near", 32).quality.value
    for row in found.adaptive:
        assert row.minus_longest.value == pytest.approx(row.quality.value - longest)
    assert not found.spreads  # one candidate


def test_overshooting_is_seen():
    found = bowl_study(size=0.9, steps=[1, 4], candidates=[1])
    assert all((row.values > 2).all() for row in found.steepness)
    assert found.falling[-1] == 0


def test_budgets_that_a_model_cannot_answer_are_refused_first():
    with pytest.raises(UserError, match="0 thinking steps"):
        bowl_study(steps=[0, 1])


# ------------------------------------------------------------------ real models


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARGMIND_CACHE", str(tmp_path / "cache"))


def sudoku(*settings: str, recipe: str = "reasoning_sudoku_ebt") -> tuple[Any, dict[str, Tensor]]:
    chosen = find_recipe(recipe)
    trunk = "predictor.body" if hasattr(chosen.predictor, "body") else "predictor"
    small = [f"{trunk}.transformer.{size}" for size in ("num_layers=1", "hidden_dim=16")]
    small += [f"{trunk}.transformer.num_heads=2"]
    sides = [f"data.problem.{name}" for name in ("side=4", "train_puzzles=20", "eval_puzzles=12")]
    chosen = customised(chosen, None, [*small, *sides, *settings])
    data = chosen.data.build(seed=0)
    predictor = build_predictor(chosen, data.model_inputs).requires_grad_(False)
    return predictor, next(iter(data.evaluation(6)))


@pytest.mark.parametrize(
    "name", ["ebt", "one_pass", "looped", "recursive", "diffusion", "annealed"]
)
def test_every_kind_of_model_has_a_study(name):
    model, problems = sudoku(recipe=f"reasoning_sudoku_{name}")
    quality = Quality(name="solved", unit="1", score="solved")
    found = study(
        Subject(predictor=model, splits={"easy": [problems]}, quality=quality, symbols=True),
        steps=[1, 2],
        candidates=[1, 2],
    )
    assert found.thinks == (name != "one_pass")
    assert bool(found.steepness) == bool(found.spreads) == (name == "ebt")
    counts = {row.candidates for row in found.rows}
    assert counts == ({1, 2} if name in ("ebt", "diffusion", "annealed") else {1})
    if name == "one_pass":
        assert len(found.rows) == 1
        assert not any((found.adaptive, found.falling, found.gains))
    else:
        assert default_steps(model)[-1] == 4 * model.trained_steps
        assert all(0 <= share <= 1 for share in found.falling)
    assert len(found.calibration.tenths) == 6
