"""How different the candidates of one problem are: several alike ones are no choice."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness
from argmind.thinking.budget import Budget


class Diversity(NamedTuple):
    """Of every prediction (B, *P): how far apart its candidates are, and how many differ."""

    distance: Tensor
    #: (different answers − 1) / (candidates − 1); None where answers are not symbols.
    distinct: Tensor | None


@torch.no_grad()
def diversity(
    predictor: EBT, problem: Any, budget: Budget, generator: Randomness, symbols: bool
) -> Diversity:
    """Of the candidates at the end of a budget with several.

    ``symbols``: outputs are logits along their last axis; they are compared as probabilities, and
    answers are their likeliest symbols.

    Raises:
        ValueError: the budget has one candidate.
    """
    if budget.candidates < 2:
        raise ValueError("the diversity of candidates needs at least 2 of them")
    landscape = predictor.landscape(problem)
    thought = predictor.thinker.think(landscape, budget, generator)
    output = predictor.space.decode(thought.candidate)
    leading = thought.candidate.ndim - predictor.space.feature_axes
    if not symbols:
        return Diversity(pairwise_distance(output, leading), None)
    distance = pairwise_distance(output.float().softmax(-1), leading)
    return Diversity(distance, distinct_share(output.argmax(-1), leading))


def pairwise_distance(outputs: Tensor, leading: int) -> Tensor:
    """Mean over pairs of candidates (axis 1) of the root mean square of their difference."""
    flat = outputs.flatten(leading) if outputs.ndim > leading else outputs[..., None]
    pairs = [
        (flat[:, first] - flat[:, second]).square().mean(-1).sqrt()
        for first, second in combinations(range(flat.shape[1]), 2)
    ]
    return torch.stack(pairs).mean(0)


def distinct_share(answers: Tensor, leading: int) -> Tensor:
    """0 where all candidates (axis 1) are the same answer, 1 where all differ."""
    flat = answers.flatten(leading) if answers.ndim > leading else answers[..., None]
    count = flat.shape[1]
    new = [torch.ones_like(flat[:, 0, ..., 0], dtype=torch.bool)]
    for index in range(1, count):
        same = torch.stack([(flat[:, index] == flat[:, before]).all(-1) for before in range(index)])
        new.append(~same.any(0))
    return (torch.stack(new).sum(0) - 1) / (count - 1)
