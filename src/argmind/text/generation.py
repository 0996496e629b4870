"""Generation with a cache: a new token costs one context row and T candidate rows per candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.errors import UserError
from argmind.predictors.base import Prediction, Predictor
from argmind.predictors.decoding import Decoder, Decoding, decoder_for
from argmind.thinking.budget import Budget


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is chosen from logits; temperature 0 takes the likeliest."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise UserError(f"temperature may not be negative, got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top-p must lie in (0, 1], got {self.top_p}.")
        if self.max_tokens < 1:
            raise UserError(f"max-tokens must be at least 1, got {self.max_tokens}.")


@dataclass(frozen=True)
class Step:
    """One token for every sequence that is still being written."""

    rows: Tensor  # (A,) which prompts
    tokens: Tensor  # (A,)
    prediction: Prediction  # of these rows


def generate(
    predictor: Predictor,
    prompts: Sequence[Sequence[int]],
    budget: Budget,
    sampling: Sampling,
    *,
    end_id: int,
    context_tokens: int,
    known_ids: int | None = None,
    decoding: Decoding | None = None,
) -> Iterator[Step]:
    """Continue every prompt until its end token or ``max_tokens``.

    Prompts of unequal length share a left-padded batch; each row draws from a generator of its
    own, so that a row of a batch and a batch of one give the same tokens. A finished sequence
    leaves the batch. When the context is full, its newer half is encoded anew. Ids from
    ``known_ids`` on are never chosen: a model may have more of them than its tokenizer.
    ``decoding`` says how it is carried out.

    Raises:
        UserError: an empty prompt, or one longer than the model's context; a prediction diverged.
    """
    _check(prompts, context_tokens)
    longest = max(len(prompt) for prompt in prompts)
    capacity = min(context_tokens, longest + sampling.max_tokens)
    decoder = decoder_for(predictor, budget, capacity, decoding or Decoding())
    device = decoder.device
    tokens, first = _left_padded(prompts, device)
    rows = torch.arange(len(prompts), device=device)
    # The same stream for every prompt: what stands beside it must not matter.
    generators = [torch.Generator(device).manual_seed(sampling.seed) for _ in prompts]
    decoder.begin(tokens, first)
    for index in range(sampling.max_tokens):
        drawing = [generators[row] for row in rows.tolist()]
        prediction = decoder.predict(drawing)
        _refuse_diverged(prediction)
        chosen = sample(prediction.output[:, -1, :known_ids], sampling, drawing)
        yield Step(rows, chosen, prediction)
        going = (chosen != end_id).nonzero()[:, 0]
        if not len(going) or index + 1 == sampling.max_tokens:
            return
        rows, chosen = rows[going], chosen[going]
        tokens = torch.cat([tokens[going], chosen[:, None]], dim=1)
        if len(going) < len(drawing):
            decoder.keep(going)
        first = first[going] if first is not None else None
        tokens, first = _grow(decoder, tokens, first, context_tokens)


def sample(logits: Tensor, sampling: Sampling, generators: Sequence[torch.Generator]) -> Tensor:
    """One token per row of logits (A, V): temperature, then the nucleus of mass ``top_p``.

    Source: Holtzman et al. 2020 (nucleus sampling).
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    p = (logits.float() / sampling.temperature).softmax(-1)
    ranked, order = p.sort(dim=-1, descending=True)
    outside = ranked.cumsum(-1) - ranked >= sampling.top_p
    ranked = ranked.masked_fill(outside, 0.0)
    drawn = [
        torch.multinomial(row, 1, generator=generator)
        for row, generator in zip(ranked, generators, strict=True)
    ]
    return order.gather(1, torch.stack(drawn))[:, 0]


def _grow(
    decoder: Decoder, tokens: Tensor, first: Tensor | None, context_tokens: int
) -> tuple[Tensor, Tensor | None]:
    """Take the newest token into the context; one that is full is cut to its newer half."""
    if tokens.shape[1] <= context_tokens:
        decoder.extend(tokens[:, -1])
        return tokens, first
    cut = tokens.shape[1] - max(1, context_tokens // 2)
    tokens = tokens[:, cut:]
    if first is not None:
        first = (first - cut).clamp(min=0)
    decoder.begin(tokens, first)
    return tokens, first


def _left_padded(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Prompts (B, S) aligned at their ends, and where each begins (None: no padding)."""
    longest = max(len(prompt) for prompt in prompts)
    rows = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    first = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
    return torch.tensor(rows, device=device), first if bool(first.any()) else None


def _check(prompts: Sequence[Sequence[int]], context_tokens: int) -> None:
    if not prompts:
        raise UserError("there is no prompt to continue.")
    for prompt in prompts:
        if not len(prompt):
            raise UserError("the prompt is empty: give at least one character.")
        if len(prompt) > context_tokens:
            raise UserError(
                f"the prompt has {len(prompt)} tokens, more than the model's context of "
                f"{context_tokens}. Shorten it, or train with a larger data.context_tokens."
            )


def _refuse_diverged(prediction: Prediction) -> None:
    if bool(prediction.diverged.any()):
        raise UserError(
            "thinking diverged: energy or candidate left the finite numbers. Use fewer --steps, "
            "--accept-lower, or a checkpoint from before training went wrong."
        )
