"""Diffusion Policy: its network, its walks, what it learns, and its recipe."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import from_dict, part_config
from argmind.diffusion.sampling import sample
from argmind.errors import UserError
from argmind.predictors.diffusion_policy import DiffusionPolicy
from argmind.thinking.budget import Budget
from argmind.train.selftest import compiled_gradients
from argmind.train.work import Work

from .rivals import (
    ACTION,
    CHUNK,
    FRAMES,
    INPUTS,
    TINY,
    batch,
    disturbed,
    learn,
    reach,
    rival,
    seeded,
    two_ways,
)

#: They warn of NumPy 2 in ways of their own.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def policy(inputs: dict[str, Any] = INPUTS, **options: Any) -> DiffusionPolicy:
    return disturbed(rival("diffusion_policy", inputs, **options))


def asked(model: DiffusionPolicy, count: int = 3) -> dict[str, Tensor]:
    return model.task(batch(count))[0]


# ---------------------------------------------------------------------- the network


def test_an_action_sees_itself_and_those_before_it():
    model = policy()
    state, x = model.encode(asked(model)), batch()["actions"]
    times = torch.tensor([5.0, 50.0, 99.0])
    seen = reach(lambda x: model.tell(x[:, None], times, state)[:, 0], x)
    assert torch.equal(seen, torch.ones(CHUNK, CHUNK, dtype=torch.bool).tril())


def test_an_action_sees_no_frame_after_its_own():
    model = policy(INPUTS | {"frames": 3})
    times = torch.tensor([5.0, 50.0, 99.0])

    def told(frames: Tensor) -> Tensor:
        return model.tell(batch()["actions"][:, None], times, model.encode({"state": frames}))[:, 0]

    seen = reach(told, torch.randn((3, 3, 3), generator=seeded()))
    assert torch.equal(seen, torch.ones(CHUNK, 3, dtype=torch.bool).tril())


def test_every_action_is_told_the_time():
    model = policy()
    state, x = model.encode(asked(model)), batch()["actions"][:, None]
    told = [model.tell(x, torch.full((3,), time), state) for time in (0.0, 1.0, 99.0)]
    for one, other in ((0, 1), (1, 2)):
        assert ((told[one] - told[other]).abs().amax(-1) > 0).all()


def test_candidates_of_a_problem_are_told_apart_from_one_another():
    model = policy()
    state, times = model.encode(asked(model)), torch.tensor([5.0, 50.0, 99.0])
    x = torch.randn((3, 4, CHUNK, ACTION), generator=seeded())
    together = model.tell(x, times, state)
    for candidate in range(4):
        alone = model.tell(x[:, candidate : candidate + 1], times, state)
        torch.testing.assert_close(together[:, candidate : candidate + 1], alone)


def test_the_published_size():
    """About 9 M weights: 8 blocks of 256 with self- and cross-attention and four times wider."""
    config = part_config("predictor", "diffusion_policy")
    with torch.device("meta"):
        model = config.build(None, action_size=2, chunk=16, frames=2, observations={"state": (20,)})
    dim = 256
    block = 4 * (dim * dim + dim) * 2 + 2 * 4 * dim * dim + 5 * dim + 3 * 2 * dim
    reading = 2 * 4 * dim * dim + 5 * dim + 3 * dim
    ends = (20 + 1) * dim + (2 + 1) * dim + (dim + 1) * 2 + 16 * dim + 2 * dim
    count = sum(weight.numel() for weight in model.parameters())
    assert count == 8 * block + reading + ends
    assert 8.9e6 < count < 9.1e6


def test_places_and_norms_and_biases_do_not_decay():
    from argmind.train.optimizer import parameter_groups

    decays = {
        name: group["weight_decay"] > 0
        for group in parameter_groups(rival("diffusion_policy"), 0.1)
        for name in group["names"]
    }
    spared = {name for name, decay in decays.items() if not decay}
    assert {"places.rows", "reading.places.rows"} <= spared
    assert all(name.endswith((".rows", "bias")) or "norm" in name for name in spared)


# ---------------------------------------------------------------------- walks


@pytest.mark.parametrize(("name", "method"), [("DDPMScheduler", "ddpm"), ("DDIMScheduler", "ddim")])
def test_a_walk_is_that_of_the_published_scheduler(name, method):
    """100 steps by the schedulers of diffusers, set up as in the published configuration."""
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    options = {"use_clipped_model_output": True} if method == "ddim" else {}
    variance = {"variance_type": "fixed_small"} if method == "ddpm" else {}
    scheduler = getattr(diffusers, name)(
        num_train_timesteps=100,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="squaredcos_cap_v2",
        clip_sample=True,
        prediction_type="epsilon",
        **variance,
    )
    scheduler.set_timesteps(100)
    model = policy(sampler=method).eval()
    state, generator = model.encode(asked(model)), seeded()
    x = torch.randn((3, 1, CHUNK, ACTION), generator=generator)
    with torch.no_grad():
        for time in scheduler.timesteps:
            told = model.tell(x, torch.full((3,), float(time)), state)
            x = scheduler.step(told, time, x, generator=generator, **options).prev_sample
    got = model.predict_from(state, Budget(steps=100), seeded())
    torch.testing.assert_close(got.output, x[:, 0].clamp(-1, 1), rtol=1e-3, atol=1e-4)
    assert got.nfe.tolist() == [100] * 3


def test_schedulers_of_diffusers_can_be_named():
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    for named, method, clip in (("DDPMScheduler", "ddpm", 1.0), ("DDIMScheduler", "ddim", None)):
        mine, theirs = (policy(sampler=x, steps=10, clip=clip) for x in (method, named))
        problem = asked(mine)
        got, want = (m.predict(problem, Budget(steps=5), seeded()) for m in (mine, theirs))
        torch.testing.assert_close(got.output, want.output, rtol=1e-3, atol=1e-4)
        assert torch.equal(got.nfe, want.nfe)


def test_auto_draws_at_every_time_and_is_quick_in_fewer_steps():
    models = {name: policy(sampler=name, steps=6) for name in ("auto", "ddpm", "ddim")}
    for steps, same, other in ((6, "ddpm", "ddim"), (None, "ddpm", "ddim"), (2, "ddim", "ddpm")):
        outputs = {
            name: model.predict(asked(model), Budget(steps=steps), seeded()).output
            for name, model in models.items()
        }
        assert torch.equal(outputs["auto"], outputs[same])
        assert not torch.equal(outputs["auto"], outputs[other])


def test_draws_of_ddim_are_the_start_alone():
    model = policy(sampler="ddim", steps=6)
    problem = asked(model)
    state = model.encode(problem)
    twice = [model.predict_from(state, Budget(steps=3), seeded(seed)).output for seed in (1, 1, 2)]
    assert torch.equal(twice[0], twice[1])
    assert not torch.equal(twice[0], twice[2])


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_steps_and_candidates_are_counted(steps):
    model = policy(clip=None)
    got = model.predict(asked(model), Budget(steps=steps, candidates=4, trace=True), seeded())
    assert got.steps.tolist() == [steps] * 3
    assert got.nfe.tolist() == [4 * steps] * 3
    assert got.trace is not None
    assert len(got.trace.outputs) == steps + 1


def test_the_most_settled_candidate_is_kept():
    """Its last estimate moved least, of candidates that are drawn one beside the other."""
    model = policy(sampler="ddim")
    state, process = model.encode(asked(model)), model.process
    noise = torch.randn((3, 6, CHUNK, ACTION), generator=seeded())
    start = process.most_noise(noise)
    x, path = process.noised(torch.zeros_like(noise), noise, start), process.path(start, 4)

    def network(x: Tensor, time: Tensor) -> Tensor:
        return model.tell(x, time, state)

    with torch.no_grad():
        walk = list(sample(network, process, "ddim", x, path, clip=1.0))
    moved = (walk[-1].x - walk[-2].clean).square().mean((-2, -1))
    got = model.predict_from(state, Budget(steps=4, candidates=6), seeded())
    chosen = walk[-1].x[torch.arange(3), moved.argmin(1)]
    torch.testing.assert_close(got.candidate, chosen)
    torch.testing.assert_close(got.energy, moved.min(1).values)


def test_clipped_actions_stay_within_bounds_and_others_need_not():
    problem = asked(policy())
    assert policy(clip=0.5).predict(problem, Budget(steps=3), seeded()).output.abs().max() <= 0.5
    assert policy(clip=None).predict(problem, Budget(steps=3), seeded()).output.abs().max() > 1


def test_a_deadline_ends_a_walk_after_its_first_step():
    model = policy()
    got = model.predict(asked(model), Budget(steps=100, deadline_s=1e-9), seeded())
    assert got.nfe.tolist() == [1] * 3
    assert got.output.isfinite().all()


def test_pictures_are_seen():
    model = policy(observation={"kind": "image", "channels": [4, 8]})
    problem = asked(model)
    before = model.predict(problem, Budget(steps=2), seeded()).candidate
    changed = {**problem, "image": problem["image"].flip(-1)}
    assert not torch.equal(model.predict(changed, Budget(steps=2), seeded()).candidate, before)


# ---------------------------------------------------------------------- learning


def test_the_loss_is_the_squared_error_of_the_noise():
    model = rival("diffusion_policy")
    for weight in model.readout.parameters():
        torch.nn.init.zeros_(weight)
    objective = part_config("objective", "policy_diffusion").build(model)
    loss = objective(batch(50), seeded())
    generator = seeded()
    torch.rand((50,), generator=generator)  # the times
    noise = torch.randn((50, CHUNK, ACTION), generator=generator)
    torch.testing.assert_close(loss.value, noise.square().mean())
    assert loss.metrics.keys() == {"epsilon_error"} == {objective.metric}
    assert loss.predictions == 50
    assert objective.repeats


def test_times_reach_from_clean_to_noise():
    model = rival("diffusion_policy")
    times = model.process.draw(torch.zeros(4000, 1), seeded())
    assert (times.min(), times.max()) == (0, 99)
    scales = model.process.scales(torch.tensor([-1.0, 0.0, 99.0]), torch.zeros(3, 1))
    assert scales.data[0] == 1
    assert scales.data[1] > 0.999
    assert scales.data[2] < 0.01


def test_a_compiled_loss_is_the_plain_one():
    objective = part_config("objective", "policy_diffusion").build(policy())
    plain = objective(batch(), seeded()).value
    for stage in objective.stages:
        stage.compile("eager")
    torch.testing.assert_close(objective(batch(), seeded()).value, plain)
    # The test before training, which puts plain attention in place of kernels: masks stay.
    work = Work(objective, "fp32", torch.device("cpu"))
    assert compiled_gradients(objective, batch(), work).error < 1e-4


@pytest.fixture(scope="module")
def taught() -> DiffusionPolicy:
    """By demonstrations that go two ways."""
    model = rival("diffusion_policy", steps=30)
    learn(part_config("objective", "policy_diffusion").build(model), two_ways, 300)
    return model


@pytest.mark.parametrize("budget", [Budget(), Budget(steps=5), Budget(candidates=3)])
def test_both_of_two_ways_are_kept(taught: DiffusionPolicy, budget: Budget):
    """The mean of them, which regression tells, is nowhere."""
    output = taught.predict({"state": two_ways(10**6)["state"]}, budget, seeded()).output
    ways = output.mean((1, 2))
    assert ways.abs().mean() > 0.45
    assert 0.2 < (ways > 0).double().mean() < 0.8


# ---------------------------------------------------------------------- what is refused


def test_zero_steps_are_refused_before_anything_is_done():
    model = policy()
    with pytest.raises(UserError, match="at least 1 step"):
        model.check(Budget(steps=0))
    with pytest.raises(UserError, match="at least 1 step"):
        model.predict(asked(model), Budget(steps=0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sampler": "euler"}, "sampler must be auto, ddpm, ddim or a scheduler of diffusers"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"clip": 0.0}, "clip must be positive"),
        ({"transformer": TINY | {"num_heads": 3}}, "hidden_dim 16 must be a multiple of num_heads"),
        ({"transformer": TINY | {"depth": 3}}, "unknown option 'transformer.depth'"),
    ],
)
def test_settings_that_make_no_policy_are_refused(options, said):
    with pytest.raises(UserError, match=re.escape(said)):
        from_dict(DiffusionPolicy.Config, options)


def test_problems_that_it_is_not_made_for_are_named():
    model = policy()
    problem = asked(model)
    with pytest.raises(UserError, match=rf"the last {FRAMES} frames, and got 3"):
        model.predict({"state": torch.zeros(2, 3, 3)})
    with pytest.raises(UserError, match=r"needs 'state', and the problem has only \['image'\]"):
        model.predict({"image": problem["image"]})
    with pytest.raises(UserError, match="reads 'image', and the data observes only state"):
        rival("diffusion_policy", INPUTS | {"observations": {"state": [3]}}, observation="image")
    with pytest.raises(UserError, match="an even hidden_dim, got 15"):
        policy(transformer=TINY | {"hidden_dim": 15, "num_heads": 3})
