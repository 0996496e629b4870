"""Diffusion over answers: the energy model's trunk denoises them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.diffusion.process import Betas, Target, process_for
from argmind.diffusion.sampling import METHODS, Method, sample
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.nn.condition import LevelEmbedding
from argmind.nn.flops import TRAINED, linear_flops
from argmind.predictors._answers import AnswerPredictor, Asked
from argmind.predictors._walks import settled
from argmind.predictors.base import Prediction, Trace
from argmind.randomness import Randomness, normal
from argmind.registry import register
from argmind.spaces.grid import CERTAIN
from argmind.thinking.budget import Budget
from argmind.thinking.select import choose, pick
from argmind.thinking.thinker import ThinkingConfig


@register("predictor", "answer_diffusion")
class AnswerDiffusion(AnswerPredictor):
    """Denoises answers as numbers, ±1 for symbols, given the problem and the time.

    With ``target=clean`` the network tells the answer itself, of symbols their probabilities; with
    ``epsilon`` the noise, as in IRED's comparison: harder to learn where answers follow from
    problems, since at the most noise it says nothing of them. A budget's steps are the sampler's,
    by default ``thinking.steps``; of its candidates the one whose estimate moved least at the end
    is kept. Source: Du, Mao & Tenenbaum 2024 (IRED), where it is the comparison; Chen et al. 2023
    (analog bits); Dieleman et al. 2022 (CDCD) for probabilities taught by cross-entropy.
    """

    thinks = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        transformer: BidirectionalConfig = field(default_factory=BidirectionalConfig)
        target: Target = "clean"
        betas: Betas = "cosine"
        sampler: Method = "ddim"
        #: Estimates of answers are kept within ± this.
        clip: float | None = 1.0

        def __post_init__(self) -> None:
            known = METHODS[self.target]
            if self.sampler not in known:
                raise ValueError(
                    f"a network that tells {self.target} is sampled by {' or '.join(known)}, not "
                    f"by '{self.sampler}'"
                )
            if self.clip is not None and not self.clip > 0:
                raise ValueError(f"clip must be positive, got {self.clip}")

    def __init__(self, config: Config, thinking: ThinkingConfig, **inputs: Any) -> None:
        super().__init__(config.transformer, inputs)
        self.config, self.steps = config, thinking.steps
        dim, width = config.transformer.hidden_dim, self.layout.width
        self.process = process_for(config.target, config.betas)
        self.candidate = nn.Linear(width, dim, bias=False)
        nn.init.normal_(self.candidate.weight, std=dim**-0.5)
        self.time = LevelEmbedding(dim)

    @property
    def trained_steps(self) -> int:
        """Those of its recipe: training has none."""
        return self.steps

    @property
    def weighs(self) -> bool:
        """Does the network give logits of symbols?"""
        return bool(self.layout.symbols) and self.config.target == "clean"

    def tell(self, x: Tensor, time: Tensor, problem: Asked) -> Tensor:
        """What the process's ``clean`` understands: expected answers, where symbols are weighed."""
        said = self.say(x, time, problem)
        return 2 * said.softmax(-1) - 1 if self.weighs else said

    def say(self, x: Tensor, time: Tensor, problem: Asked) -> Tensor:
        """What the network says of ``x`` (B, L, W) or (B, N, L, W) at times (B,)."""
        rows = self.problem(problem)
        rows = rows if x.ndim == rows.ndim else rows[:, None]
        condition = self.condition + self.time(self.process.embedded(time))
        hidden = self.trunk.under(self.candidate(x) + rows, self.trunk.told(condition))
        return self.readout(hidden)

    @torch.no_grad()
    def predict_from(
        self, state: Asked, budget: Budget, generator: Randomness = None
    ) -> Prediction:
        """Walk from noise; without a generator, draws come from one seeded with 0."""
        like = self.condition
        if generator is None:
            generator = torch.Generator(like.device).manual_seed(0)
        batch, tokens = self.extent(state)
        shape = (batch, budget.candidates, tokens, self.layout.width)
        noise = normal(shape, like, generator)
        start = self.process.most_noise(noise)
        walk = sample(
            lambda x, time: self.tell(x, time, state),
            self.process,
            self.config.sampler,
            noise,
            self.process.path(start, self._steps(budget)),
            generator,
            self.config.clip,
        )
        thought = settled(walk, torch.zeros_like(noise), 2, budget.deadline_s)
        index = choose(thought, budget.select)
        candidate = pick(thought.candidate, index)
        assert thought.energy is not None  # a walk always scores
        trace = None
        if budget.trace:
            outputs = [self.read(pick(y, index)) for y in thought.candidates]
            trace = Trace(outputs, [pick(energy, index) for energy in thought.energies])
        return Prediction(
            output=self.read(candidate),
            candidate=candidate,
            energy=pick(thought.energy, index),
            steps=pick(thought.steps, index),
            nfe=thought.nfe.sum(1),
            diverged=pick(thought.diverged, index),
            trace=trace,
        )

    def read(self, x: Tensor) -> Tensor:
        """Answers as logits, or as they are."""
        if self.weighs:
            return ((1 + x) / 2).clamp(min=math.exp(-CERTAIN)).log()
        return CERTAIN / 2 * x if self.layout.symbols else x

    # -------------------------------------------------------------- cost

    def _steps(self, budget: Budget) -> int:
        return self.steps if budget.steps is None else max(1, budget.steps)

    def _once_flops(self, length: int) -> float:
        """What a pass costs once for all candidates."""
        return self.read_flops(length) + linear_flops(self.time)

    def _candidate_flops(self, length: int) -> float:
        return self.pass_flops(length) + length * linear_flops(self.candidate)

    def training_flops(self, sequences: int, length: int) -> float:
        """Three forward passes, at one time; nothing is differentiated into what is put in."""
        entry = length * linear_flops(self.candidate) + linear_flops(self.time.w1)
        passed = self._once_flops(length) + self._candidate_flops(length)
        return sequences * (TRAINED * passed - entry)

    def prediction_flops(self, length: int, budget: Budget) -> float:
        """Passes times candidates."""
        steps = self._steps(budget)
        passes = 2 * steps - 1 if self.config.sampler == "heun" else steps
        once, each = self._once_flops(length), self._candidate_flops(length)
        return passes * (once + budget.candidates * each)
