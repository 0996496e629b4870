"""Groups, schedule, skipped steps, named state, moving average."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from argmind.errors import UserError
from argmind.train.config import OptimizerConfig, TrainingConfig
from argmind.train.ema import Ema
from argmind.train.optimizer import NamedAdamW, lr_at, parameter_groups

from .toy import ToyPredictor


def test_every_trainable_parameter_is_in_exactly_one_group():
    model = ToyPredictor()
    model.tied = nn.Linear(2, 2)
    model.tied.weight = model.inner.weight
    model.frozen = nn.Parameter(torch.zeros(3), requires_grad=False)
    groups = parameter_groups(model, weight_decay=0.1)
    grouped = [parameter for group in groups for parameter in group["params"]]
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert len(grouped) == len(trainable)
    assert {id(p) for p in grouped} == {id(p) for p in trainable}
    assert all(len(group["names"]) == len(group["params"]) for group in groups)


def test_only_matrices_decay_and_step_sizes_have_their_own_rate():
    found = {
        name: (group["weight_decay"], group["lr_factor"])
        for group in parameter_groups(ToyPredictor(), weight_decay=0.1)
        for name in group["names"]
    }
    assert found == {
        "inner.weight": (0.1, 1.0),
        "inner.bias": (0.0, 1.0),
        "head.weight": (0.1, 1.0),
        "step_size.value": (0.0, 3.0),
    }


def test_a_step_size_that_is_a_matrix_does_not_decay_either():
    table = nn.Embedding(3, 2)
    table.lr_factor = 2.0
    (group,) = parameter_groups(nn.Sequential(table), weight_decay=0.1)
    assert (group["weight_decay"], group["lr_factor"]) == (0.0, 2.0)


def test_rates_are_multiplied_by_the_factor():
    optimizer = NamedAdamW(ToyPredictor(), OptimizerConfig())
    optimizer.set_lr(0.5)
    rates = {name: g["lr"] for g in optimizer.param_groups for name in g["names"]}
    assert rates["inner.weight"] == 0.5
    assert rates["step_size.value"] == 1.5


@given(
    steps=st.integers(1, 300),
    warmup=st.integers(0, 100),
    ratio=st.floats(0, 1),
)
def test_schedule_climbs_to_the_top_and_falls_to_the_bottom(steps, warmup, ratio):
    config = OptimizerConfig(lr=2.0, warmup_steps=warmup, min_lr_ratio=ratio)
    rates = [lr_at(step, steps, config) for step in range(steps)]
    assert all(0 < rate <= 2.0 or ratio == 0 for rate in rates)
    climb, fall = rates[:warmup], rates[warmup:]
    assert climb == sorted(climb)
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(fall))
    if fall:
        assert fall[0] == pytest.approx(2.0)
        assert lr_at(steps, steps, config) == pytest.approx(2.0 * ratio)


def test_schedule_by_hand():
    config = OptimizerConfig(lr=1.0, warmup_steps=4, min_lr_ratio=0.2)
    assert lr_at(0, 12, config) == 0.25
    assert lr_at(3, 12, config) == 1.0
    assert lr_at(8, 12, config) == pytest.approx(0.6)
    assert lr_at(10, 12, config) == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi * 0.75)))


def with_gradients(optimizer: NamedAdamW, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in optimizer.named().values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def snapshot(model: nn.Module, optimizer: NamedAdamW) -> dict[str, torch.Tensor]:
    tensors = {**dict(model.named_parameters()), **optimizer.tensors()}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_bad_step_changes_neither_weights_nor_moments_nor_counts():
    model = ToyPredictor()
    optimizer = NamedAdamW(model, OptimizerConfig())
    with_gradients(optimizer, 0)
    optimizer.step_unless(torch.tensor(0.0))
    before = snapshot(model, optimizer)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    optimizer.step_unless(torch.tensor(1.0))
    assert_same(snapshot(model, optimizer), before)
    with_gradients(optimizer, 1)
    optimizer.step_unless(torch.tensor(0.0))
    assert not torch.equal(model.head.weight, before["head.weight"])
    assert optimizer.tensors()["head.weight.step"] == 2


def test_state_goes_through_named_tensors_whatever_the_order_of_groups():
    first, second = ToyPredictor(), ToyPredictor()
    one = NamedAdamW(first, OptimizerConfig())
    two = NamedAdamW(second, OptimizerConfig(weight_decay=0.0))  # groups differ
    assert list(one.named()) != list(two.named())
    with_gradients(one, 0)
    one.step_unless(torch.tensor(0.0))
    two.load_tensors(one.tensors())
    assert_same(one.tensors(), {name: two.tensors()[name] for name in one.tensors()})
    with pytest.raises(UserError, match="parameter 'gone'"):
        two.load_tensors({"gone.exp_avg": torch.zeros(1)})


def test_average_follows_its_formula_and_stays_on_bad_steps():
    weight = nn.Parameter(torch.tensor([0.0]))
    ema = Ema({"w": weight}, decay=0.5)
    expected = 0.0
    for step, value in enumerate([1.0, 2.0, 3.0, 4.0]):
        weight.data.fill_(value)
        bad = step == 2
        ema.update(step, torch.tensor(float(bad)))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = expected if bad else decay * expected + (1 - decay) * value
    assert ema.tensors()["w"].item() == pytest.approx(expected)
    with ema.applied():
        assert weight.item() == pytest.approx(expected)
    assert weight.item() == 4.0
    assert ema.tensors()["w"].item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 5, "accumulate": 2}, "multiple of accumulate"),
        ({"eval_every": -1}, "eval_every must not be negative"),
        ({"eval_limit": 0}, "eval_limit must be at least 1"),
        ({"ema_decay": 1.0}, "ema_decay must lie between 0 and 1"),
        ({"stop_after_minutes": 0.0}, "stop_after_minutes must be above 0"),
        ({"keep": 0}, "keep must be at least 1"),
    ],
)
def test_training_settings_are_checked(settings, text):
    with pytest.raises(ValueError, match=text):
        TrainingConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lr": 0.0}, "lr must be above 0"),
        ({"min_lr_ratio": 2.0}, "min_lr_ratio"),
        ({"warmup_steps": -1}, "warmup_steps"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"eps": 0.0}, "eps"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"clip_norm": 0.0}, "clip_norm"),
    ],
)
def test_optimizer_settings_are_checked(settings, text):
    with pytest.raises(ValueError, match=text):
        OptimizerConfig(**settings)
