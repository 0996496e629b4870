"""The energy-based transformer: a space, a body, and thinking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from argmind.config import PartConfig, part, parts_of
from argmind.energy.base import EnergyModel
from argmind.errors import UserError
from argmind.nn.flops import (
    STEP,
    STEP_OF_PAIRS,
    TRAINED,
    TRAINED_STEP,
    TRAINED_STEP_OF_PAIRS,
)
from argmind.predictors.base import Prediction, Predictor, Trace, require_understood
from argmind.randomness import Randomness
from argmind.registry import register, require_second_order
from argmind.spaces.base import Problem, Space
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape
from argmind.thinking.select import choose, pick
from argmind.thinking.think import Thought, Through
from argmind.thinking.thinker import Thinker, ThinkingConfig

_READINGS = {
    "positions": "a prediction at every position",
    "whole": "one answer a problem",
    "frames": "one answer to observed frames",
}


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
            space, body = self.space.owner, self.body.owner
            if space.reads != body.reads:
                raise ValueError(
                    f"space '{self.space.part_name}' and body '{self.body.part_name}' do not go "
                    f"together: one is made for {_READINGS[space.reads]}, the other for "
                    f"{_READINGS[body.reads]}"
                )
            for one in parts_of(self):
                require_second_order(one.owner, "an energy model trains through its gradient")

    def __init__(self, config: Config, thinking: ThinkingConfig, **inputs: Any) -> None:
        """``inputs``: what the data says about itself, for the space to be built with."""
        super().__init__()
        dim = config.body.transformer.hidden_dim  # type: ignore[attr-defined]
        require_understood(config.space, inputs, own=("self", "config", "dim"))
        self.space: Space = config.space.build(dim=dim, **inputs)
        self.metric = self.space.metric
        amortised = thinking.start == "amortised"
        if amortised and not self.space.amortises:
            raise UserError(
                f"space '{config.space.part_name}' makes no first guess as it is set up: choose "
                "another thinking.start."
            )
        landscapes = thinking.landscapes or thinking.steps
        self.body: EnergyModel = config.body.build(
            landscapes, amortised, self.space.pair_dim, **self.space.body_inputs
        )
        if self.body.adds_to_guess and self.space.guess_readout is None:
            raise UserError(
                f"head.readout=guess adds to a first guess, and space '{config.space.part_name}' "
                "as it is set up makes none."
            )
        self.thinker = Thinker(thinking)

    @property
    def trained_steps(self) -> int:
        """Those of training."""
        return self.thinker.config.steps

    def check(self, budget: Budget) -> None:
        """Zero steps need a start that is an answer."""
        self.thinker.check(budget)

    def landscape(self, context: Problem) -> Landscape:
        """The energy over candidates for this context."""
        return Landscape(self.space, self.body, self.encode(context))

    def encode(self, context: Any, first: Tensor | None = None, last_only: bool = False) -> Any:
        """Encode the context once; see :class:`Predictor`."""
        after = None
        if last_only and self.space.reads == "positions":
            count, length = self.space.extent(context)
            last = torch.tensor(length - 1, device=next(self.parameters()).device)
            after = last.expand(count, 1)
        state = self.body.encode(self.space.embed_context(context), first=first, after=after)
        if not (self.body.remembers and self.space.shows):
            return state

        def losses(hidden: Tensor) -> Tensor:
            guess = self.space.decode(self.space.amortised(hidden))
            return self.space.output_loss(guess, self.space.shown(context))

        return self.body.remember(state, losses)

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

    def task(self, batch: dict[str, Tensor]) -> tuple[Any, Tensor]:
        """The space's reading of a batch."""
        return self.space.task(batch)

    def extent(self, problem: Any) -> tuple[int, int]:
        """How many problems, and how many rows of the model each takes."""
        return self.space.extent(problem)

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The space's further measures."""
        return self.space.scores(output, target)

    def keep(self, state: Any, rows: Tensor) -> Any:
        """The state of some of its problems, by index."""
        return self.body.keep(state, rows)

    def fixed(self, state: Any, capacity: int) -> Any | None:
        """The body's; see :class:`Predictor`."""
        return self.body.fixed(state, capacity)

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
        pairs = self.body.pair_flops(length)
        passed += length * self._read_flops
        walked = STEP * (passed + length * space.embed) + length * space.point
        walked += (STEP_OF_PAIRS - STEP) * pairs
        taught = TRAINED_STEP * (passed + length * space.embed) + TRAINED * length * space.point
        taught += (TRAINED_STEP_OF_PAIRS - TRAINED_STEP) * pairs
        learning = {"all": steps, "last": 1.0, "none": min(steps, judged_steps)}[through]
        constant = learning if through != "all" else float(not self._amortised)
        descent = learning * taught + (steps - learning) * walked
        descent -= constant * length * space.entry
        judged = judged_steps + judged_start
        around = length * (space.start * self._amortised + judged * space.decode) + space.context
        encoded = self.body.encode_flops(length, steps)
        return sequences * (TRAINED * (encoded + around) + descent + self._judging_flops(length))

    def prediction_flops(self, length: int, budget: Budget) -> float:
        """A context pass; per candidate, two candidate passes a step and one for the last energy.

        ``2 P + 4 P T N + 2 P N`` per token, and the vocabulary.
        """
        steps = self.thinker.config.steps if budget.steps is None else budget.steps
        space, passed = self.space.flops(), self.body.energy_flops(length)
        seen = passed + length * (space.embed + self._read_flops)
        walked, scored = STEP * steps + budget.score, steps + budget.score
        each = walked * seen + scored * length * space.point
        each += (STEP_OF_PAIRS - STEP) * steps * self.body.pair_flops(length)
        read = space.decode * (steps + 2 if budget.trace else 1)
        around = length * (space.start * self._amortised + read) + space.context
        around += self._judging_flops(length)
        return self.body.encode_flops(length, scored) + budget.candidates * each + around

    @property
    def _read_flops(self) -> float:
        """Of a candidate's hidden state read as a first guess is."""
        return self.space.flops().start * self.body.adds_to_guess

    def _judging_flops(self, length: int) -> float:
        """Of making the guesses again that the context shows to be right or wrong."""
        judges = self.body.remembers and self.space.shows
        return (length - 1) * self.space.flops().start * judges

    @property
    def _amortised(self) -> bool:
        return self.thinker.config.start == "amortised"

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The space's task loss of decoded outputs."""
        return self.space.output_loss(output, target)
