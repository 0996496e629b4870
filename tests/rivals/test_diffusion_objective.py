"""What diffusion transformers are asked to tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.predictors.dit import DiT
from rivals.pictures import BATCH, build, clean, seeded


def batch(rows: int = BATCH) -> dict[str, Tensor]:
    return {"clean": clean(rows), "label": torch.arange(rows) % 3}


class Recorded(DiT):
    """Says nothing, and remembers what it was asked."""

    asked: list[tuple[Tensor, Tensor, Mapping[str, Tensor]]]

    def tell(self, x: Tensor, time: Tensor, problem: Mapping[str, Tensor]) -> Tensor:
        self.asked.append((x, time, dict(problem)))
        return torch.zeros_like(x)


def recorded(**options: Any) -> Recorded:
    model = build("dit", tell_label=True, **options)
    model.__class__, model.asked = Recorded, []
    return model


@pytest.mark.parametrize("target", ["epsilon", "velocity"])
def test_the_loss_is_the_squared_error_of_what_is_told(target: str) -> None:
    sampler = {"epsilon": "ddim", "velocity": "euler"}[target]
    model = recorded(target=target, sampler=sampler)
    loss = part_config("objective", "diffusion").build(model)(batch(), seeded())
    ((x, time, _),) = model.asked
    scales = model.process.scales(time, x)
    noise = (x - scales.data * clean()) / scales.noise
    asked = noise if target == "epsilon" else noise - clean()
    torch.testing.assert_close(loss.value, asked.square().mean())
    assert loss.metrics.keys() == {f"{target}_error"}
    assert loss.predictions == BATCH


def test_some_labels_are_withheld_and_the_batch_is_left_alone() -> None:
    model, given = recorded(), batch(300)
    objective = part_config("objective", "diffusion", withheld_labels=0.2).build(model)
    objective(given, seeded())
    told = model.asked[0][2]["label"]
    assert 30 < (told == -1).sum() < 90
    assert torch.equal(told[told >= 0], given["label"][told >= 0])
    assert given["label"].min() == 0
    part_config("objective", "diffusion", withheld_labels=0.0).build(model)(given, seeded())
    assert torch.equal(model.asked[1][2]["label"], given["label"])


def test_every_image_has_a_time_and_a_noise_of_its_own() -> None:
    model = recorded()
    part_config("objective", "diffusion").build(model)(batch(50), seeded())
    (_, time, _) = model.asked[0]
    assert len(time.unique()) > 40


def test_no_label_can_always_be_withheld() -> None:
    with pytest.raises(ValueError, match="withheld_labels"):
        part_config("objective", "diffusion", withheld_labels=1.0)
