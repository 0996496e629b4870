"""The diffusion transformer: its network, its answers to problems, and their cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.diffusion.noise_level import noise_level
from argmind.errors import UserError
from argmind.predictors._walks import settled
from argmind.predictors.base import Prediction
from argmind.predictors.dit import DiT
from argmind.thinking.budget import Budget
from conformance.test_flops import counted
from rivals.pictures import BATCH, CHANNELS, SIDE, build, classes, clean, hidden, noisy, seeded

SAMPLERS = [("epsilon", "ddpm"), ("epsilon", "ddim"), ("velocity", "euler"), ("velocity", "heun")]

every = pytest.mark.parametrize(("target", "sampler"), SAMPLERS)


class Knowing(DiT):
    """Tells what a network would that had learnt the one image there is."""

    answer: Tensor

    def tell(self, x: Tensor, time: Tensor, problem: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        scales = self.process.scales(time, x)
        image = self.answer if x.ndim == 4 else self.answer[:, None]
        noise = (x - scales.data * image) / scales.noise.clamp(min=1e-9)
        return self.process.target(image.expand_as(x), noise, time)


def knowing(answer: Tensor, **options: Any) -> Knowing:
    model = build("dit", **options)
    model.__class__ = Knowing
    model.answer = answer
    return model


def predict(model: DiT, problem: dict[str, Tensor], seed: int = 3, **budget: Any) -> Prediction:
    return model.predict(problem, Budget(**budget), seeded(seed))


# ---------------------------------------------------------------------- the network


@every
def test_a_fresh_network_says_nothing(target: str, sampler: str) -> None:
    model = build("dit", moved=False, target=target, sampler=sampler, tell_label=True)
    x, time = noisy()["given"], torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    assert model.tell(x, time, classes(0, 1, -1)).abs().max() == 0
    moved = build("dit", target=target, sampler=sampler, tell_label=True)
    assert moved.tell(x, time, classes(0, 1, -1)).abs().min() > 0


def test_time_and_class_are_heard() -> None:
    model = build("dit", tell_label=True)
    x, time = noisy()["given"], torch.full((BATCH,), 300.0, dtype=torch.float64)
    told = model.tell(x, time, classes(0, 1, 2))
    assert not torch.allclose(told, model.tell(x, time + 200, classes(0, 1, 2)))
    other = model.tell(x, time, classes(0, 2, 2))
    assert torch.equal((told != other).flatten(1).any(1), torch.tensor([False, True, False]))
    assert torch.equal(model.tell(x, time, {}), model.tell(x, time, classes(-1, -1, -1)))


def test_candidates_of_a_problem_share_its_condition() -> None:
    model = build("dit", tell_label=True)
    x, time = noisy()["given"], torch.tensor([1.0, 300.0, 900.0], dtype=torch.float64)
    both = torch.stack([x, x.flip(0)], dim=1)
    told = model.tell(both, time, classes(0, 1, 2))
    torch.testing.assert_close(told[:, 0], model.tell(x, time, classes(0, 1, 2)))
    torch.testing.assert_close(told[:, 1], model.tell(x.flip(0), time, classes(0, 1, 2)))


# ---------------------------------------------------------------------- answers


@every
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_whoever_knows_the_image_gets_there(target: str, sampler: str, steps: int) -> None:
    model = knowing(clean(), target=target, sampler=sampler)
    for problem in (noisy(), hidden(), {"label": torch.zeros(BATCH, dtype=torch.long)}):
        got = predict(model, problem, steps=steps)
        torch.testing.assert_close(got.output, clean(), rtol=1e-6, atol=1e-6)
        assert got.output.shape == (BATCH, CHANNELS, SIDE, SIDE)
        assert not got.diverged.any()


@pytest.mark.parametrize("known_level", [True, False])
@pytest.mark.parametrize("noise", ["added", "ddpm"])
def test_a_noisy_image_is_taken_up_at_the_time_of_its_noise(noise: str, known_level: bool) -> None:
    model = build("dit", noise=noise)
    problem = noisy(0.5)
    if noise == "ddpm":
        problem["given"] = problem["given"] - clean() * (1 - math.sqrt(0.75))
    want = 0.5 if noise == "added" else 0.5 / math.sqrt(0.75)
    if not known_level:
        del problem["level"]
        level = noise_level(problem["given"])
        want = level if noise == "added" else level / (1 - level.square()).sqrt()
    offered = problem["given"][:, None]
    x, time = model._taken_up(problem, offered)
    scales = model.process.scales(time, x)
    ratio = (scales.noise / scales.data).flatten()
    torch.testing.assert_close(
        ratio, torch.as_tensor(want).expand(BATCH).double(), rtol=0.02, atol=0
    )
    data = clean()[:, None]
    if known_level:
        noise_in_it = (x - scales.data * data) / scales.noise
        assert noise_in_it.std() == pytest.approx(1, rel=0.1)


@every
def test_one_step_is_the_network_own_estimate(target: str, sampler: str) -> None:
    model, problem = build("dit", target=target, sampler=sampler), noisy()
    x, time = model._taken_up(problem, problem["given"][:, None])
    told = model.tell(x[:, 0], time, problem)
    want = model.process.clean(x[:, 0], told, time).clamp(-1, 1)
    got = predict(model, problem, steps=1)
    torch.testing.assert_close(got.output, want, rtol=1e-6, atol=1e-6)
    assert got.nfe.tolist() == [1] * BATCH
    assert got.steps.tolist() == [1] * BATCH


def test_only_ancestral_sampling_draws_when_an_image_is_given() -> None:
    for target, sampler in SAMPLERS:
        model = build("dit", target=target, sampler=sampler)
        one, other = (predict(model, noisy(), seed, steps=4).output for seed in (1, 2))
        assert torch.equal(one, other) == (sampler != "ddpm")


@every
def test_what_is_known_stays(target: str, sampler: str) -> None:
    model, problem = build("dit", target=target, sampler=sampler), hidden()
    got = predict(model, problem, steps=4, trace=True)
    known = problem["known"].expand_as(got.output)
    assert torch.equal(got.output[known], problem["given"][known])
    assert (got.output != problem["given"])[~known].all()
    late = predict(model, problem, steps=4, deadline_s=1e-9)
    assert late.steps.max() == 1
    assert torch.equal(late.output[known], problem["given"][known])


@every
def test_passes_are_counted(target: str, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("dit", target=target, sampler=sampler, tell_label=True)
    rows = 0
    tell = DiT.tell

    def counting(self: DiT, x: Tensor, *rest: Any) -> Tensor:
        nonlocal rows
        rows += x.shape[0] * (x.shape[1] if x.ndim == 5 else 1)
        return tell(self, x, *rest)

    monkeypatch.setattr(DiT, "tell", counting)
    for guidance in (1.0, 3.0):
        model.guidance, rows = guidance, 0
        got = predict(model, classes(0, 1, 2), steps=5, candidates=2)
        assert got.nfe.sum() == rows
        passes = 9 if sampler == "heun" else 5
        assert got.nfe.tolist() == [passes * 2 * (1 if guidance == 1 else 2)] * 3
        assert got.steps.tolist() == [5] * 3


def test_a_faint_noise_leaves_fewer_steps() -> None:
    model = build("dit")
    problem = noisy()
    problem["level"] = torch.tensor([0.01, 0.5, 0.0], dtype=torch.float64)
    got = predict(model, problem, steps=100)
    times = model.process.time_of(problem["level"])
    assert got.nfe.tolist() == [int(times[0]) + 1, 100, 0]
    assert torch.equal(got.output[2], problem["given"][2].clamp(-1, 1))


def test_guidance_of_one_is_none_and_more_is_further() -> None:
    model = build("dit", tell_label=True)
    x, time = noisy()["given"], torch.full((BATCH,), 300.0, dtype=torch.float64)
    told, untold = model.tell(x, time, classes(0, 1, 2)), model.tell(x, time, {})
    model.guidance = 3.0
    guided = model._guided(x, time, classes(0, 1, 2))
    torch.testing.assert_close(guided, untold + 3 * (told - untold))
    torch.testing.assert_close(model._guided(x, time, {}), untold)


def test_a_trace_has_every_step_and_energies_say_how_far_the_next_is() -> None:
    model, problem = build("dit"), noisy()
    got = predict(model, problem, steps=4, trace=True)
    assert got.trace is not None
    outputs, energies = got.trace.outputs, got.trace.energies
    assert len(outputs) == len(energies) == 5
    torch.testing.assert_close(outputs[0], problem["given"].clamp(-1, 1))
    assert torch.equal(outputs[-1], got.output)
    assert torch.equal(energies[-1], got.energy)
    for step in range(1, 3):
        change = (outputs[step + 1] - outputs[step]).square().flatten(1).mean(1)
        torch.testing.assert_close(change, energies[step])


def test_the_most_settled_of_several_is_kept() -> None:
    model, problem = build("dit", sampler="ddpm"), noisy(batch=8)
    walk = model._walk(problem, 3, 6, seeded())
    walked = settled(walk, model._offered(problem, 6), 3)
    assert walked.energy is not None
    best = walked.energy.argmin(1)
    assert len(best.unique()) > 1
    got = predict(model, problem, steps=3, candidates=6)
    torch.testing.assert_close(got.energy, walked.energy.amin(1))
    torch.testing.assert_close(got.candidate, walked.candidate[torch.arange(8), best])
    assert got.nfe.tolist() == [18] * 8


@every
def test_neighbours_in_a_batch_do_not_matter(target: str, sampler: str) -> None:
    model = build("dit", target=target, sampler=sampler, tell_label=True)
    for problem in (noisy(), hidden(), classes(0, 1, -1)):
        budget = Budget(steps=3, candidates=2)
        whole = model.predict(problem, budget, [seeded(row) for row in range(BATCH)])
        for row in range(BATCH):
            mine = model.keep(problem, torch.tensor([row]))
            alone = model.predict(mine, budget, [seeded(row)])
            torch.testing.assert_close(alone.output[0], whole.output[row])
            torch.testing.assert_close(alone.energy[0], whole.energy[row])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_samplers_of_diffusers() -> None:
    pytest.importorskip("diffusers", reason="diffusers is not installed (extra 'image')")
    model = knowing(clean(), sampler="UniPCMultistepScheduler")
    for problem in (noisy(), hidden(), {"label": torch.zeros(BATCH, dtype=torch.long)}):
        got = predict(model, problem, steps=4)
        torch.testing.assert_close(got.output, clean(), rtol=1e-3, atol=1e-3)
        assert got.nfe.tolist() == [4] * BATCH
    same, other = build("dit"), build("dit", sampler="DDIMScheduler")
    problem = classes(0, 1, 2)
    same.config = other.config  # the published form does not move the noise where it clips
    ours, theirs = (predict(model, problem, steps=1).output for model in (same, other))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------- refusals, cost


def test_without_steps_there_is_no_answer() -> None:
    with pytest.raises(UserError, match="at least 1 step"):
        predict(build("dit"), noisy(), steps=0)


def test_an_empty_problem_is_refused() -> None:
    with pytest.raises(UserError, match="how many images"):
        predict(build("dit"), {}, steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "heun"}, "sampled by ddpm or ddim"),
        ({"target": "velocity"}, "sampled by euler or heun"),
        ({"sampler": "fast"}, "not by 'fast'"),
        ({"steps": 0}, "steps must"),
        ({"clip": -1.0}, "clip must"),
        ({"guidance": 2.0}, "set tell_label"),
        ({"patch": 0}, "patch must"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        part_config("predictor", "dit", **options)


@pytest.mark.parametrize(
    ("target", "sampler", "message"),
    [
        ("epsilon", "DIMScheduler", "Did you mean 'DDIMScheduler'"),
        ("epsilon", "FlowMatchEulerDiscreteScheduler", "is for flows"),
        ("velocity", "DDIMScheduler", "cannot walk a flow"),
    ],
)
def test_schedulers_that_cannot_do_it_are_refused_before_training(
    target: str, sampler: str, message: str
) -> None:
    pytest.importorskip("diffusers", reason="diffusers is not installed (extra 'image')")
    with pytest.raises(UserError, match=message):
        build("dit", target=target, sampler=sampler)


def test_images_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="one of 1, 2, 5, 10"):
        build("dit", inputs={"channels": 1, "image_size": 10, "classes": 0}, patch=4)


def test_guidance_needs_classes() -> None:
    inputs = {"channels": 1, "image_size": 8, "classes": 0}
    with pytest.raises(UserError, match="no classes"):
        build("dit", inputs=inputs, tell_label=True, guidance=2.0)
    assert build("dit", inputs=inputs, tell_label=True).label is None


def test_cost_grows_with_passes() -> None:
    model = build("dit", tell_label=True)
    one = model.prediction_flops(4, Budget(steps=1))
    assert model.prediction_flops(4, Budget(steps=7)) == 7 * one
    many = model.prediction_flops(4, Budget(steps=7, candidates=3))
    assert 14 * one < many < 21 * one  # candidates are told time and class once
    found = counted(lambda: predict(model, classes(0, 1, 2), steps=7, candidates=3))
    assert found == pytest.approx(3 * many, rel=0.01)
    assert model.prediction_flops(4, Budget()) == 50 * one
    model.guidance = 2.0
    assert model.prediction_flops(4, Budget(steps=1)) == 2 * one
    heun = build("dit", target="velocity", sampler="heun")
    assert heun.prediction_flops(4, Budget(steps=4)) == 7 * heun.prediction_flops(
        4, Budget(steps=1)
    )
