"""System 1, System 2 and what they are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from argmind.config import from_dict, part_config
from argmind.errors import UserError
from argmind.objectives.replay import ReplayBuffer
from argmind.objectives.thinking import ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.thinking import thinker
from argmind.thinking.think import Plan
from thinking.test_models import VOCABULARY, model


def batch(count: int = 4, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"tokens": torch.randint(0, VOCABULARY, (count, 6), generator=generator)}


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def objective(name: str = "thinking", ebt: EBT | None = None, **options: Any) -> ThinkingObjective:
    return part_config("objective", name, **options).build(ebt or model()).train()


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Every plan that is thought."""
    seen: list[Plan] = []
    whole = thinker.think

    def think(landscape: Any, start: Tensor, plan: Plan, generator: Any) -> Any:
        seen.append(plan)
        return whole(landscape, start, plan, generator)

    monkeypatch.setattr(thinker, "think", think)
    return seen


class Trained(NamedTuple):
    """A step of training."""

    start: Tensor
    step: int
    graph: bool
    noisy: bool


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Trained]:
    """Every training step that is taken."""
    seen: list[Trained] = []
    whole = thinker.take_step

    def take_step(*given: Any) -> Any:
        _, _, y, _, step, _, graph, noisy, _ = given
        seen.append(Trained(y, step, graph, noisy))
        return whole(*given)

    monkeypatch.setattr(thinker, "take_step", take_step)
    return seen


# ---------------------------------------------------------------------- the replay buffer


def numbered(*values: int) -> dict[str, Tensor]:
    column = torch.tensor(values)
    return {"tokens": column[:, None], "candidate": column[:, None, None].double()}


def test_first_in_first_out() -> None:
    buffer = ReplayBuffer(4)
    assert len(buffer) == 0
    buffer.push(numbered(0, 1, 2))
    buffer.push(numbered(3, 4))
    assert buffer.stored["tokens"].flatten().tolist() == [1, 2, 3, 4]
    buffer.push(numbered(5, 6, 7, 8, 9))
    assert buffer.stored["tokens"].flatten().tolist() == [6, 7, 8, 9]
    assert len(buffer) == 4


def test_drawing_takes_rows_together_and_leaves_them_in() -> None:
    buffer = ReplayBuffer(8)
    buffer.push(numbered(*range(8)))
    drawn = buffer.draw(5, seeded())
    kept = drawn["tokens"].flatten()
    assert len(kept.unique()) == 5
    assert torch.equal(kept.double(), drawn["candidate"].flatten())
    assert len(buffer) == 8
    assert torch.equal(buffer.draw(5, seeded())["tokens"].flatten(), kept)
    assert len(buffer.draw(99, seeded())["tokens"]) == 8


def test_the_buffer_keeps_numbers_not_graphs_nor_views() -> None:
    buffer, weight = ReplayBuffer(4), torch.ones(1, requires_grad=True)
    rows = torch.zeros(2, 1)
    buffer.push({"tokens": rows, "candidate": weight * torch.ones(2, 1)})
    rows += 1
    assert not buffer.stored["candidate"].requires_grad
    assert not buffer.stored["tokens"].any()


def test_replay_starts_past_samples_where_they_ended(trained: list[Trained]) -> None:
    it = objective(replay_samples=6, through="last")
    assert it(batch(), seeded(1)).predictions == 4 * 5
    past = it.runtime_state()
    assert torch.equal(past["tokens"], batch()["tokens"])
    trained.clear()
    fresh = batch(seed=2)
    assert it(fresh, seeded(2)).predictions == 6 * 5, "the batch grows by half"
    start = trained[0].start
    known = {tuple(row.flatten().tolist()) for row in past["candidate"]}
    assert all(tuple(row.flatten().tolist()) in known for row in start[4:])
    assert not any(tuple(row.flatten().tolist()) in known for row in start[:4])
    stored = it.runtime_state()["tokens"]
    assert torch.equal(stored, torch.cat([batch()["tokens"][-2:], fresh["tokens"]]))


def test_evaluation_knows_neither_noise_nor_replay(
    plans: list[Plan], trained: list[Trained]
) -> None:
    rule = part_config("rule", "langevin", noise_std=3.0)
    schedule = part_config("schedule", "randomised", base=part_config("schedule", "constant"))
    ebt = model(rule=rule, schedule=schedule, steps=3)
    it = objective("s2", ebt)
    it(batch(), seeded())
    assert all(step.noisy for step in trained)
    assert not plans
    before = {name: x.clone() for name, x in it.runtime_state().items()}
    it.eval()
    first = it.evaluate(batch(seed=2), seeded(1))
    assert not plans[-1].noisy
    assert plans[-1].steps == 3
    assert torch.equal(first.value, it.evaluate(batch(seed=2), seeded(9)).value)
    assert first.predictions == 4 * 5
    assert all(torch.equal(x, it.runtime_state()[name]) for name, x in before.items())
    it(batch(seed=2), seeded())  # the training loss, in eval mode
    assert all(torch.equal(x, it.runtime_state()[name]) for name, x in before.items())


# ---------------------------------------------------------------------- the published options


def test_system_one_as_published(trained: list[Trained]) -> None:
    it = objective("s1")
    loss = it(batch(), seeded())
    assert [(one.step, one.graph) for one in trained] == [(0, True), (1, True)]
    assert not any(one.start.requires_grad for one in trained)
    evaluated = it.eval().evaluate(batch(), seeded())
    mean = (evaluated.metrics["nats_step_1"] + evaluated.metrics["nats_step_2"]) / 2
    torch.testing.assert_close(loss.value.detach(), mean)
    assert it.runtime_state() == {}


def test_system_two_as_published(trained: list[Trained]) -> None:
    it = objective("s2", model(steps=3))
    thoughts = set()
    for seed in range(20):
        trained.clear()
        it(batch(), seeded(seed))
        thoughts.add(tuple(one.graph for one in trained))
    assert thoughts == {(False, True), (False, False, True)}
    assert it.replay is not None
    assert it.replay.size == 192
    evaluated = it.eval().evaluate(batch(), seeded())
    torch.testing.assert_close(evaluated.value, evaluated.metrics["nats_step_3"])


def test_the_loss_is_of_the_last_step_or_of_all() -> None:
    steps = objective().eval().evaluate(batch(), seeded()).metrics
    last, every = (objective(loss_on=on)(batch(), seeded()).value for on in ("last", "all"))
    torch.testing.assert_close(last.detach(), steps["nats_step_2"])
    mean = (steps["nats_step_1"] + steps["nats_step_2"]) / 2
    torch.testing.assert_close(every.detach(), mean)


def test_the_start_can_be_taught_too() -> None:
    plain = objective()(batch(), seeded())
    taught = objective(start_weight=0.5)(batch(), seeded())
    start = taught.metrics["nats_start"]
    torch.testing.assert_close(taught.value, plain.value + 0.5 * start)
    steps = objective().eval().evaluate(batch(), seeded()).metrics
    torch.testing.assert_close(start, steps["nats_step_0"])


def test_what_is_differentiated_through_changes_the_gradient_not_the_loss() -> None:
    values, grads = [], []
    for through in ("none", "last", "all"):
        it = objective(through=through)
        value = it(batch(), seeded()).value
        weight = it.predictor.space.projection.weight  # type: ignore[union-attr]
        (grad,) = torch.autograd.grad(value, weight)
        values.append(value.detach())
        grads.append(grad)
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(values[0], values[2])
    assert (grads[0] - grads[2]).abs().max() > 1e-6
    assert (grads[1] - grads[2]).abs().max() > 1e-6


def test_the_same_generator_gives_the_same_loss() -> None:
    rule = part_config("rule", "langevin", noise_std=1.0)
    schedule = part_config("schedule", "randomised", base=part_config("schedule", "constant"))

    def losses(seed: int) -> list[float]:
        it = objective("s2", model(rule=rule, schedule=schedule, start="noise", steps=3))
        return [it(batch(seed=k), seeded(seed + k)).value.item() for k in range(3)]

    assert losses(0) == losses(0)
    assert losses(0) != losses(100)


def test_ignored_targets_do_not_count() -> None:
    ebt = model()
    ebt.space.ignore_id = 0  # type: ignore[assignment]
    tokens = batch()["tokens"].clamp(min=1)
    tokens[:, -1] = 0
    it = objective(ebt=ebt)
    with_padding = it(dict(tokens=tokens), seeded()).value
    without = it(dict(tokens=tokens[:, :-1]), seeded()).value
    torch.testing.assert_close(with_padding, without)


@pytest.mark.parametrize(
    "plain",
    [
        {"through": "some"},
        {"loss_on": "first"},
        {"start_weight": -0.1},
        {"fewest_steps": 0},
        {"replay_samples": -1},
    ],
)
def test_senseless_options_are_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        from_dict(type(part_config("objective", "thinking")), plain)
