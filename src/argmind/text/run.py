"""A loaded text run: strings in, predictions and strings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from argmind.data.tokenizers import Tokenizer, load_tokenizer
from argmind.errors import UserError
from argmind.predictors.base import Prediction
from argmind.runs import LoadedRun, Which, load_run
from argmind.text.generation import Sampling, Step, generate
from argmind.thinking.budget import Budget


@dataclass(frozen=True)
class Continuation:
    """What a model wrote after a prompt, token by token, with what each token cost."""

    prompt: str
    text: str
    tokens: list[int]
    energies: list[float]
    steps: list[int]
    nfe: list[int]


@dataclass(frozen=True)
class TextRun:
    """A run that reads and writes text."""

    run: LoadedRun
    tokenizer: Tokenizer

    @property
    def predictor(self) -> Any:
        """The model itself."""
        return self.run.predictor

    @property
    def context_tokens(self) -> int:
        """The longest context the model was trained on."""
        return cast(int, getattr(self.run.recipe.data, "context_tokens"))  # noqa: B009

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt.

        Raises:
            UserError: the prompt is empty or longer than the model's context.
        """
        ids = [int(i) for i in self.tokenizer.encode(text)]
        if not ids:
            raise UserError("the prompt is empty: give at least one character.")
        if len(ids) > self.context_tokens:
            raise UserError(
                f"the prompt has {len(ids)} tokens, more than the model's context of "
                f"{self.context_tokens}. Shorten it, or train with a larger data.context_tokens."
            )
        return ids

    def predict(
        self, prompt: str | Tensor, budget: Budget | None = None, *, seed: int = 0, **thinking: Any
    ) -> Prediction:
        """What follows every token of the prompt: logits, energy, steps and NFE per position.

        ``thinking`` are fields of :class:`Budget`: ``predict(text, steps=4, candidates=8)``.

        Raises:
            UserError: a prompt or budget that cannot be used.
        """
        try:
            budget = budget or Budget(**thinking)
        except (TypeError, ValueError) as error:
            raise UserError(f"budget: {error}") from error
        if isinstance(prompt, str):
            prompt = torch.tensor([self.encode(prompt)])
        generator = torch.Generator(self.run.device).manual_seed(seed)
        return self.predictor.predict(prompt.to(self.run.device), budget, generator)

    def stream(self, prompts: Sequence[str], budget: Budget, sampling: Sampling) -> Iterator[Step]:
        """Continue prompts token by token."""
        return generate(
            self.predictor,
            [self.encode(prompt) for prompt in prompts],
            budget,
            sampling,
            end_id=self.tokenizer.end_id,
            context_tokens=self.context_tokens,
            known_ids=self.tokenizer.vocab_size,
        )

    def generate(
        self,
        prompts: str | Sequence[str],
        budget: Budget | None = None,
        sampling: Sampling | None = None,
    ) -> list[Continuation]:
        """Continue one or several prompts."""
        given = [prompts] if isinstance(prompts, str) else list(prompts)
        return self.collect(given, self.stream(given, budget or Budget(), sampling or Sampling()))

    def collect(self, prompts: Sequence[str], steps: Iterable[Step]) -> list[Continuation]:
        """What :meth:`stream` gave, prompt by prompt."""
        written: list[Continuation] = [Continuation(p, "", [], [], [], []) for p in prompts]
        for step in steps:
            said = step.prediction
            for place, row in enumerate(step.rows.tolist()):
                one, token = written[row], int(step.tokens[place])
                if token == self.tokenizer.end_id:
                    continue
                one.tokens.append(token)
                one.energies.append(float(said.energy[place, -1]))
                one.steps.append(int(said.steps[place, -1]))
                one.nfe.append(int(said.nfe[place, -1]))
        return [replace(one, text=self.tokenizer.decode(one.tokens)) for one in written]


def load_text_run(
    folder: str | Path, *, which: Which | int = "best", device: str = "auto"
) -> TextRun:
    """Load a text run and its tokenizer.

    Raises:
        UserError: see :func:`argmind.runs.load_run`; or the tokenizer is missing or damaged.
    """
    run = load_run(folder, which=which, device=device)
    return TextRun(run, load_tokenizer(Path(folder)))
