"""The energy-based transformer: a space, a body, and thinking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from argmind.config import PartConfig, part, parts_of
from argmind.energy.base import EnergyModel
from argmind.nn.flops import STEP, TRAINED, TRAINED_STEP
from argmind.predictors.base import Prediction, Predictor, Trace
from argmind.randomness import Randomness
from argmind.registry import register, require_second_order
from argmind.spaces.base import Space
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape
from argmind.thinking.select import choose, pick
from argmind.thinking.think import Thought, Through
from argmind.thinking.thinker import Thinker, ThinkingConfig


@register("predictor", "ebt")
class EBT(Predictor):
    """Start candidates, descend the energy, keep the best.

    Source: Energy-Based Transformers are Scalable Learners and Thinkers (arXiv 2507.02092).
    """

    thinks = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        space: PartConfig = part("space", "dual")
        body: PartConfig = part("body", "two_stream")

        def __post_init__(self) -> None:
            for one in parts_of(self):
                require_second_order(one.owner, "an energy model trains through its gradient")

    def __init__(self, config: Config, thinking: ThinkingConfig, vocab_size: int) -> None:
        super().__init__()
        dim = config.body.transformer.hidden_dim  # type: ignore[attr-defined]
        self.space: Space = config.space.build(vocab_size, dim)
        amortised = thinking.start == "amortised"
        landscapes = thinking.landscapes or thinking.steps
        self.body: EnergyModel = config.body.build(landscapes, amortised)
        self.thinker = Thinker(thinking)

    def landscape(self, context: Tensor) -> Landscape:
        """The energy over candidates for this context."""
        return Landscape(self.space, self.body, self.encode(context))

    def encode(self, context: Tensor, first: Tensor | None = None, last_only: bool = False) -> Any:
        """Encode the context once; see :class:`Predictor`."""
        after = torch.full_like(context[:, :1], context.shape[1] - 1) if last_only else None
        return self.body.encode(self.space.embed_context(context), first=first, after=after)

    def extend(self, state: Any, elements: Tensor) -> Any:
        """One more context element (B,), from the cache."""
        return self.body.extend(state, self.space.embed_context(elements[:, None]))

    @torch.no_grad()
    def predict_from(self, state: Any, budget: Budget, generator: Randomness = None) -> Prediction:
        """Think about everything the state asks, and keep the chosen candidates.

        Without a generator, draws come from one seeded with 0.
        """
        if generator is None:
            generator = torch.Generator(next(self.parameters()).device).manual_seed(0)
        landscape = Landscape(self.space, self.body, state)
        thought = self.thinker.think(landscape, budget, generator)
        index = choose(thought, budget.select)
        candidate = pick(thought.candidate, index)
        assert thought.energy is not None  # thinker.think always scores
        return Prediction(
            output=self.space.decode(candidate),
            candidate=candidate,
            energy=pick(thought.energy, index),
            steps=pick(thought.steps, index),
            nfe=thought.nfe.sum(1),
            diverged=pick(thought.diverged, index),
            trace=self._trace(thought, index) if budget.trace else None,
        )

    def _trace(self, thought: Thought, index: Tensor) -> Trace:
        chosen = [pick(y, index) for y in thought.candidates]
        energies = [pick(energy, index) for energy in thought.energies]
        return Trace([self.space.decode(y) for y in chosen], energies)

    def task(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The space's reading of a batch."""
        return self.space.task(batch)

    def keep(self, state: Any, rows: Tensor) -> Any:
        """The state of some of its problems, by index."""
        return self.body.keep(state, rows)

    def training_flops(
        self,
        sequences: int,
        length: int,
        steps: float | None = None,
        through: Through = "all",
        judged_steps: float = 1.0,
        judged_start: bool = False,
    ) -> float:
        """Three context passes, six candidate passes a step: ``6 P + 12 P T`` per token.

        And the vocabulary as the space has it, ``12 V D T`` or more, ``10`` where steps start from
        constants. Steps that no loss is differentiated through cost two passes: with ``none`` those
        that are not judged, with ``last`` all others.
        """
        steps = self.thinker.config.steps if steps is None else steps
        space, passed = self.space.flops(), self.body.energy_flops(length)
        walked = STEP * (passed + length * space.embed) + length * space.point
        taught = TRAINED_STEP * (passed + length * space.embed) + TRAINED * length * space.point
        if through != "all":
            taught -= length * space.entry
        learning = {"all": steps, "last": 1.0, "none": min(steps, judged_steps)}[through]
        descent = learning * taught + (steps - learning) * walked
        judged = judged_steps + judged_start
        around = length * (space.start * self._amortised + judged * space.decode)
        encoded = self.body.encode_flops(length, steps)
        return sequences * (TRAINED * (encoded + around) + descent)

    def prediction_flops(self, length: int, budget: Budget) -> float:
        """A context pass; per candidate, two candidate passes a step and one for the last energy.

        ``2 P + 4 P T N + 2 P N`` per token, and the vocabulary.
        """
        steps = self.thinker.config.steps if budget.steps is None else budget.steps
        space, passed = self.space.flops(), self.body.energy_flops(length)
        seen = passed + length * space.embed
        each = (STEP * steps + 1) * seen + (steps + 1) * length * space.point
        read = space.decode * (steps + 2 if budget.trace else 1)
        around = length * (space.start * self._amortised + read)
        return self.body.encode_flops(length, steps + 1) + budget.candidates * each + around

    @property
    def _amortised(self) -> bool:
        return self.thinker.config.start == "amortised"

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The space's task loss of decoded outputs."""
        return self.space.output_loss(output, target)
