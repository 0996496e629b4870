"""Predicting from predictions, and what roll-outs are measured by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from argmind.errors import UserError
from argmind.eval.rollout import best_of, errors_by_horizon, roll_out
from argmind.nn.frames import changed
from argmind.predictors.base import Prediction, Predictor
from argmind.thinking.budget import Budget
from video.clips import BATCH, MODELS, build, clips, seeded

COUNT = 4


class Halving(Predictor):
    """The next frame is half the last one, plus the last action; remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[dict[str, Tensor]] = []

    def encode(self, context: Any, first: Any = None, last_only: bool = False) -> Any:  # noqa: ARG002
        assert last_only
        self.shown.append(context)
        return context

    def predict_from(self, state: Any, budget: Budget, generator: Any = None) -> Prediction:  # noqa: ARG002
        output = -0.5 * state["frames"][:, -1:]
        if "actions" in state:
            output = output + state["actions"][:, -1:, :1, None, None]
        one = torch.ones(output.shape[:2], dtype=torch.long)
        return Prediction(output, output, one.double(), one, one, one < 0)


def test_each_frame_is_predicted_from_those_before_it() -> None:
    model, frames = Halving(), clips()["frames"][:, :2]
    got = roll_out(model, frames, COUNT, window=3)
    for step in range(COUNT):
        torch.testing.assert_close(got.frames[:, step], 0.5 ** (step + 1) * frames[:, -1])
    assert [shown["frames"].shape[1] for shown in model.shown] == [2, 3, 3, 3]
    assert got.energies.shape == got.nfe.shape == (BATCH, COUNT)


def test_each_frame_has_its_action() -> None:
    model, batch = Halving(), clips()
    roll_out(model, batch["frames"][:, :2], 3, window=2, actions=batch["actions"])
    for step, shown in enumerate(model.shown):
        assert torch.equal(shown["actions"], batch["actions"][:, step : step + 2])


@pytest.mark.parametrize("name", MODELS)
def test_every_model_rolls_out_beyond_its_training(name: str) -> None:
    model = build(name, actions=0)
    frames = clips()["frames"]
    got = roll_out(model, frames, 6, window=4, budget=Budget(steps=1), generator=seeded())
    assert got.frames.shape == (BATCH, 6, *frames.shape[2:])
    assert got.frames.isfinite().all()
    if name != "frame_diffusion":
        first = model.predict({"frames": frames[:, -4:]}, Budget(steps=1)).output[:, -1]
        torch.testing.assert_close(got.frames[:, 0], changed(frames[:, -1], first))
    assert got.frames.abs().max() <= 1


@pytest.mark.parametrize(("frames", "count", "window"), [(0, 1, 2), (2, 0, 2), (2, 1, 0)], ids=str)
def test_nothing_to_go_on_is_refused(frames: int, count: int, window: int) -> None:
    with pytest.raises(UserError, match="at least one frame"):
        roll_out(Halving(), clips()["frames"][:, :frames], count, window=window)


def test_too_few_actions_are_refused() -> None:
    batch = clips()
    with pytest.raises(UserError, match="need actions at 6 frames, and there are 5"):
        roll_out(Halving(), batch["frames"][:, :2], 5, window=2, actions=batch["actions"])


def test_errors_are_told_by_horizon() -> None:
    truth = clips()["frames"]
    shift = torch.arange(5.0).double()
    found = errors_by_horizon(truth + shift[:, None, None, None], truth)
    np.testing.assert_allclose(found, np.tile(np.arange(5.0) ** 2, (BATCH, 1)))


def test_the_best_of_several_alternatives() -> None:
    class Turning(Halving):
        """Left or right, as the generator has it."""

        def encode(self, context: Any, first: Any = None, last_only: bool = False) -> Any:  # noqa: ARG002
            return context

        def predict_from(self, state: Any, budget: Budget, generator: Any = None) -> Prediction:  # noqa: ARG002
            way = float(torch.randint(0, 2, (), generator=generator)) * 2 - 1
            output = torch.full_like(state["frames"], way)
            one = torch.ones(output.shape[:2], dtype=torch.long)
            return Prediction(output, output, one.double(), one, one, one < 0)

    problem = {"frames": clips()["frames"]}
    right = torch.ones_like(problem["frames"])
    errors = [best_of(Turning(), problem, right, count).mean() for count in (1, 8)]
    assert errors[1] == 0
    assert {best_of(Turning(), problem, right, 1, seed=s).mean() for s in range(8)} == {0, 4}
    assert errors[0] in (0, 4)
