"""What is measured of text models beside their loss: doubt, and a passage token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.predictors.base import Predictor
from argmind.report.data import PassageToken
from argmind.text.run import TextRun
from argmind.thinking.budget import Budget
from argmind.train.seeds import seed_for

_TOP = 5


def entropies(
    predictor: Predictor, batches: Sequence[dict[str, Tensor]], budget: Budget, seed: int = 0
) -> NDArray[Any]:
    """Entropy in nats of every predicted distribution (sequences, positions).

    The draws are those of :func:`argmind.eval.evaluate.evaluate` with the same seed.
    """
    device = next(predictor.parameters()).device
    rows: list[NDArray[Any]] = []
    for index, batch in enumerate(batches):
        generator = torch.Generator(device).manual_seed(seed_for(seed, 0, index))
        problem, _ = predictor.task({name: x.to(device) for name, x in batch.items()})
        log_p = predictor.predict(problem, budget, generator).output.double().log_softmax(-1)
        rows.append(-(log_p.exp() * log_p).sum(-1).cpu().numpy())
    return np.concatenate(rows)


def passage(run: TextRun, window: Tensor, budget: Budget, seed: int = 0) -> list[PassageToken]:
    """What the model thought of every token of a window (S + 1,) before it saw it.

    The first token has nothing before it and is left out.
    """
    tokens = window.to(run.run.device)[None]
    context, target = tokens[:, :-1], tokens[:, 1:]
    said = run.predict(context, budget, seed=seed)
    losses = run.predictor.loss(said.output, target)[0].tolist()
    chances, likeliest = said.output[0].float().softmax(-1).topk(_TOP, dim=-1)
    return [
        PassageToken(
            text=run.tokenizer.decode([index]),
            energy=float(said.energy[0, place]),
            loss=losses[place],
            steps=float(said.steps[0, place]),
            top=[
                (run.tokenizer.decode([other]), chance)
                for other, chance in zip(
                    likeliest[place].tolist(), chances[place].tolist(), strict=True
                )
            ],
        )
        for place, index in enumerate(target[0].tolist())
    ]


def most_readable(run: TextRun, windows: Tensor) -> Tensor:
    """Of windows (B, S + 1), the one with the most letters and single spaces: prose, not tables."""

    def prose(window: Tensor) -> float:
        text = run.tokenizer.decode(window.tolist())
        plain = sum(c.isalpha() or c == " " for c in text) - 2 * text.count("  ")
        return plain / max(1, len(text))

    return windows[int(np.argmax([prose(window) for window in windows]))]
