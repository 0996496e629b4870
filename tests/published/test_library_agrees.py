"""The library does what the published algorithm does, in float64, to 1e-9.

Every model here is converted from a ``.ckpt``; the library's random draws are made again from the
same seed and handed to the restatement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.convert import build_ebt, read_published
from argmind.convert.published import published_name
from argmind.objectives.thinking import ThinkingObjective
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape, Slope

from . import make_checkpoint, reference
from .make_checkpoint import s1_flags, s2_flags
from .reference import EBT_TYPES

B, S, V = 2, 3, make_checkpoint.VOCABULARY
FlagsOf = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """Random step sizes are drawn in the default type; here no draw may be rounded to float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class Pair:
    """One checkpoint, seen by the library and by the restatement, and a batch with one pad id."""

    def __init__(self, folder: Path, flags: dict[str, Any], seed: int = 0) -> None:
        path = folder / "tiny.ckpt"
        self.flags, self.seed = flags, seed
        self.weights = make_checkpoint.write_checkpoint(path, flags, seed, dtype=torch.float64)
        for weight in self.weights.values():
            weight.requires_grad_()
        self.reference = reference.read_config(flags)
        self.converted = read_published(path)
        self.model = build_ebt(self.converted)
        config = self.converted.objective_config
        self.objective: ThinkingObjective = config.build(self.model)
        self.tokens = torch.randint(1, V, (B, S + 1), generator=self.generator())
        self.tokens[1, -1] = self.reference.pad

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def steps(self) -> int:
        """The number of steps that the objective draws."""
        most, fewest = self.model.thinker.config.steps, self.objective.config.fewest_steps
        if fewest is None:
            return most
        return int(torch.randint(fewest, most + 1, (), generator=self.generator()))

    def schedule(self, steps: int) -> list[int]:
        return [min(step, self.reference.landscapes - 1) for step in range(steps)]

    def normal(self, generator: torch.Generator, rows: int) -> Tensor:
        return torch.randn(rows, 1, S, V, generator=generator)[:, 0]

    def start(self, generator: torch.Generator, rows: int = B) -> Tensor:
        if self.flags["denoising_initial_condition"] == "zeros":
            return torch.zeros(rows, S, V)
        return self.flags["gaussian_random_noise_scaling"] * self.normal(generator, rows)

    def randomness(
        self, generator: torch.Generator, steps: int, rows: int = B
    ) -> tuple[list[Tensor] | None, Tensor | None]:
        """Noise of every step and step sizes, drawn as the library draws them."""
        noise = sizes = None
        scale = self.flags["randomize_mcmc_step_size_scale"]
        if scale != 1:
            uniform = torch.rand(rows, 1, S, generator=generator)[:, 0]
            sizes = reference.random_step_size(self.weights, scale, uniform)
        if self.flags["langevin_dynamics_noise"]:
            noise = [self.normal(generator, rows) for _ in range(steps)]
        return noise, sizes

    def training_draws(self) -> tuple[Tensor, list[Tensor] | None, Tensor | None, list[int]]:
        """Start, noise, step sizes and landscapes of one training batch."""
        generator, steps = self.generator(), self.steps()
        start = self.start(generator)
        return (start, *self.randomness(generator, steps), self.schedule(steps))

    def reference_loss(self) -> Tensor:
        loss = reference.loss_s2 if self.flags["truncate_mcmc"] else reference.loss_s1
        return loss(self.weights, self.reference, self.tokens, *self.training_draws())


def assert_close(found: Tensor, expected: Tensor, what: str) -> None:
    """Equal to 1e-9, relative to max(1, |expected|)."""
    assert found.shape == expected.shape, what
    error = (found - expected).abs() / expected.abs().clamp(min=1)
    assert error.max() <= 1e-9, f"{what}: off by {error.max():.3g}"


def assert_training_agrees(pair: Pair) -> None:
    """The loss and its gradients."""
    loss = pair.objective({"tokens": pair.tokens}, pair.generator()).value
    assert_loss_agrees(pair, loss, pair.reference_loss())


def assert_loss_agrees(pair: Pair, loss: Tensor, expected: Tensor) -> None:
    """Loss and the gradient of every parameter; each gradient is there, and large enough to see."""
    loss.backward()
    expected.backward()
    assert_close(loss.detach(), expected.detach(), "loss")
    unlearned = {"langevin_dynamics_noise_std"}
    if not pair.flags["mcmc_step_size_learnable"]:
        unlearned.add("alpha")
    seen: set[str] = set()
    for name, parameter in pair.model.named_parameters():
        public = published_name(name, pair.flags["ebt_type"])
        seen.add(public)
        gradient = pair.weights[public].grad
        assert gradient is not None, public
        assert gradient.abs().max() > 1e-6, f"{public}: nothing to compare"
        assert parameter.grad is not None, f"{public}: the library has no gradient"
        assert_close(parameter.grad.view_as(gradient), gradient, public)
    assert seen | unlearned == pair.weights.keys()


def assert_thought_agrees(pair: Pair) -> None:
    """Energies before, and candidates after, every step of a training thought."""
    start, noise, sizes, schedule = pair.training_draws()
    context = pair.tokens[:, :-1]
    generator = pair.generator()
    landscape = pair.model.landscape(context)
    drawn = pair.model.thinker.start(landscape, 1, generator)
    thought = pair.model.thinker.train_think(
        landscape, drawn, len(schedule), pair.objective.config.through, generator
    )
    expected = reference.think(pair.weights, pair.reference, context, start, noise, sizes, schedule)
    assert len(thought.energies) == len(schedule) == len(thought.candidates) - 1
    for step in range(len(schedule)):
        energy, candidate = thought.energies[step], thought.candidates[step + 1]
        assert_close(energy[:, 0], expected.energies[step], f"energy before step {step}")
        assert_close(candidate[:, 0], expected.candidates[step], f"candidate after step {step}")


@pytest.mark.parametrize("flags_of", [s1_flags, s2_flags])
@pytest.mark.parametrize("ebt_type", EBT_TYPES)
def test_energies_candidates_loss_and_every_gradient(
    tmp_path: Path, ebt_type: str, flags_of: FlagsOf
) -> None:
    pair = Pair(tmp_path, flags_of(ebt_type))
    assert pair.converted.objective_config.part_name == flags_of.__name__[:2]
    assert_thought_agrees(pair)
    assert_training_agrees(pair)


VARIANTS: dict[str, tuple[FlagsOf, dict[str, Any]]] = {
    "token embedding": (s1_flags, {"vocab_to_embed_uses_prob_dist": True}),
    "softmax at the first step": (s1_flags, {"normalize_initial_condition_only_first_step": True}),
    "softmax at the first landscape": (
        s2_flags,
        {"normalize_initial_condition_only_first_step": True},
    ),
    "learned random step size": (
        s1_flags,
        {"randomize_mcmc_step_size_scale": 2.0, "langevin_dynamics_noise": 0.5},
    ),
    "through everything, loss on all": (
        s2_flags,
        {"truncate_mcmc": False, "mcmc_step_size_learnable": True, "langevin_dynamics_noise": 0.5},
    ),
    "last gradient, learned step size": (
        s2_flags,
        {"mcmc_step_size_learnable": True, "langevin_dynamics_noise": 0.5},
    ),
    "detached, loss on the last": (s1_flags, {"truncate_mcmc": True, "mcmc_num_steps": 1}),
    "several landscapes, the last repeated": (
        s2_flags,
        {"mcmc_num_steps": 2, "truncate_mcmc": False},
    ),
    "wide feed-forward, one head": (
        s1_flags,
        {"ffn_dim_multiplier": 1.45, "multiheaded_attention_heads": 1},
    ),
    "scaled start": (s1_flags, {"gaussian_random_noise_scaling": 0.3}),
    "start at zero": (s1_flags, {"denoising_initial_condition": "zeros"}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_recipes(tmp_path: Path, variant: str) -> None:
    flags_of, changes = VARIANTS[variant]
    pair = Pair(tmp_path, flags_of("time_embed", **changes))
    assert_thought_agrees(pair)
    assert_training_agrees(pair)


@pytest.mark.parametrize("steps", [2, 3])
def test_both_numbers_of_steps_of_s2(tmp_path: Path, steps: int) -> None:
    pair = Pair(tmp_path, s2_flags())
    while pair.steps() != steps:
        pair.seed += 1
    assert_thought_agrees(pair)
    assert_training_agrees(pair)


def test_a_step_size_below_the_clamp_moves_by_the_clamp_and_learns_nothing(tmp_path: Path) -> None:
    pair = Pair(tmp_path, s1_flags(mcmc_step_size=1e-5))
    assert_thought_agrees(pair)
    pair.objective({"tokens": pair.tokens}, pair.generator()).value.backward()
    gradients = {name: weight.grad for name, weight in pair.model.named_parameters()}
    assert gradients["thinker.schedule.size"] is not None
    assert gradients["thinker.schedule.size"].item() == 0


def test_replayed_samples_follow_the_fresh_ones_and_go_on_thinking(tmp_path: Path) -> None:
    pair = Pair(tmp_path, s2_flags(mcmc_step_size_learnable=True))
    pair.objective({"tokens": pair.tokens}, pair.generator())
    start, noise, sizes, schedule = pair.training_draws()
    context = pair.tokens[:, :-1]
    first = reference.think(pair.weights, pair.reference, context, start, noise, sizes, schedule)

    fresh = torch.randint(1, V, (B, S + 1), generator=torch.Generator().manual_seed(9))
    pair.seed = 5
    loss = pair.objective({"tokens": fresh}, pair.generator()).value

    generator, steps = pair.generator(), pair.steps()
    replayed = torch.randperm(B, generator=generator)[: B // 2]
    tokens = torch.cat([fresh, pair.tokens[replayed]])
    # The library draws a start for every row, then puts the past candidates in.
    start = pair.start(generator, len(tokens))
    start[B:] = first.candidates[-1][replayed].detach()
    noise, sizes = pair.randomness(generator, steps, len(tokens))
    expected = reference.loss_s2(
        pair.weights, pair.reference, tokens, start, noise, sizes, pair.schedule(steps)
    )
    assert_loss_agrees(pair, loss, expected)


@pytest.mark.parametrize("flags_of", [s1_flags, s2_flags])
@pytest.mark.parametrize("ebt_type", EBT_TYPES)
def test_evaluation_and_thinking_longer_than_trained(
    tmp_path: Path, ebt_type: str, flags_of: FlagsOf
) -> None:
    pair = Pair(tmp_path, flags_of(ebt_type))
    pair.objective.eval()
    trained = reference.evaluation_landscapes(pair.reference)
    context, start = pair.tokens[:, :-1], pair.start(pair.generator())
    losses = reference.step_losses(
        pair.weights, pair.reference, pair.tokens, start, landscapes=trained
    )
    metrics = pair.objective.evaluate({"tokens": pair.tokens}, pair.generator()).metrics
    for step, loss in enumerate(losses, start=1):
        assert_close(metrics[f"nats_step_{step}"], loss.detach(), f"evaluation loss, step {step}")
    assert f"nats_step_{len(losses) + 1}" not in metrics

    longer = [*trained, *[trained[-1]] * 2]
    thought = reference.think(pair.weights, pair.reference, context, start, landscapes=longer)
    last = reference.energies(
        pair.weights, pair.reference, context, thought.candidates[-1].softmax(-1), longer[-1]
    )
    prediction = pair.model.predict(
        context, Budget(steps=len(longer), trace=True), pair.generator()
    )
    assert prediction.trace is not None
    assert_close(prediction.trace.outputs[0], start, "start")
    for step, energy in enumerate([*thought.energies, last]):
        assert_close(prediction.trace.energies[step], energy.detach(), f"energy {step}")
    for step, candidate in enumerate(thought.candidates, start=1):
        output = prediction.trace.outputs[step]
        assert_close(output, candidate.detach(), f"output after step {step}")
    assert_close(prediction.output, thought.candidates[-1].detach(), "output")


@pytest.mark.parametrize("flags_of", [s1_flags, s2_flags])
def test_a_library_that_detaches_the_inner_gradient_is_caught(
    tmp_path: Path, flags_of: FlagsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    slope = Landscape.slope

    def detached(self: Landscape, y: Tensor, step: int, graph: bool) -> Slope:
        right = slope(self, y, step, graph)
        return right._replace(gradient=right.gradient.detach())

    monkeypatch.setattr(Landscape, "slope", detached)
    pair = Pair(tmp_path, flags_of(mcmc_step_size_learnable=True))
    assert_thought_agrees(pair)  # the mutation is in the gradients alone
    with pytest.raises(AssertionError, match=r"the library has no gradient|off by"):
        assert_training_agrees(pair)
