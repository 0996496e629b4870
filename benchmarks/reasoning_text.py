"""Problems of ``reasoning_results.py`` as text: a Transformer++ that writes answers out.

It answers once, greedily; or it samples several answers, of which the most frequent one counts, or
the one that it itself finds likeliest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from argmind.data.reasoning.base import Problems, Samples
from argmind.quickstart.parameters import matched
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.text.generation import Sampling
from argmind.text.run import TextRun
from argmind.thinking.budget import Budget
from jobs import Row

#: An answer, and its log-likelihood.
Written = tuple[str, float]
SAMPLES = 8
#: Bytes of a training window, and windows of a batch.
_CONTEXT, _WINDOWS = 128, 64
_BATCH = 1000
_WIDTH = "predictor.transformer.feedforward.multiplier"


def text_recipe(name: str, problem: str, seed: int, arguments: Any) -> Recipe:
    """A byte-level Transformer++ on problems with their answers, a line each."""
    settings = [
        f"data.source='problems:{problem}'",
        "data.tokenizer=byte",
        f"data.context_tokens={_CONTEXT}",
        f"predictor.transformer.num_layers={arguments.layers}",
        f"predictor.transformer.num_heads={arguments.heads}",
        f"predictor.transformer.hidden_dim={arguments.dim}",
        f"optimizer.lr={arguments.lr!r}",
        f"training.seed={seed}",
        f"training.steps={arguments.steps or 1000}",
        f"training.batch_size={arguments.batch_size or _WINDOWS}",
        "training.eval_every=0",
        "training.checkpoint_every=0",
        "training.eval_limit=128",
        "training.log_every=20",
        "training.compile=replay",
        "training.precision=fp32",
    ]
    recipe = customised(find_recipe("text_transformer_pp"), None, settings)
    return replace(recipe, name=name)


def as_large(recipe: Recipe, parameters: int, inputs: Any) -> Recipe:
    """The same with so many parameters, unless its tables for bytes are larger already."""
    with suppress(ValueError):
        return matched(recipe, _WIDTH, parameters, inputs)
    return recipe


def measured(run: TextRun, problems: Problems, count: int, seed: int) -> Row:
    """Shares of problems solved on every split, by how an answer is chosen."""
    return {
        "trained_steps": 0,
        "splits": {split: _split(run, problems, split, count, seed) for split in problems.splits},
    }


def _split(run: TextRun, problems: Problems, split: str, count: int, seed: int) -> Row:
    samples = problems.sample(split, np.arange(count), 0)
    lines = problems.lines(samples) or []
    prompts = [line[:asked] for line, asked in zip(lines, _asked(samples, lines), strict=True)]
    longest = max(map(len, lines)) + 1
    greedy = written(run, prompts, Sampling(temperature=0.0, max_tokens=longest))
    draws = (Sampling(max_tokens=longest, seed=SAMPLES * seed + n) for n in range(SAMPLES))
    sampled = [written(run, prompts, draw) for draw in draws]
    answers = {
        "T": [text for text, _ in greedy],
        f"majority_of_{SAMPLES}": [most_frequent(each) for each in zip(*sampled, strict=True)],
        f"likeliest_of_{SAMPLES}": [likeliest(each) for each in zip(*sampled, strict=True)],
    }
    return {name: _judged(prompts, given, lines) for name, given in answers.items()}


def _asked(samples: Samples, lines: Sequence[str]) -> Iterator[int]:
    """Where the answer begins: after the equals sign, or after what is known of a word."""
    for line, known in zip(lines, samples["known"], strict=True):
        yield line.index("=") + 1 if "=" in line else int(known.sum())


def written(run: TextRun, prompts: Sequence[str], sampling: Sampling) -> list[Written]:
    """What follows every prompt up to the end of its line, and its log-likelihood."""
    found: list[Written] = []
    for first in range(0, len(prompts), _BATCH):
        found += _batch(run, prompts[first : first + _BATCH], sampling)
    return found


def _batch(run: TextRun, prompts: Sequence[str], sampling: Sampling) -> list[Written]:
    tokens: list[list[int]] = [[] for _ in prompts]
    chances, ended = np.zeros(len(prompts)), np.zeros(len(prompts), dtype=bool)
    newline = run.encode("\n")[-1]
    for step in run.stream(prompts, Budget(), sampling):
        said = step.prediction.output[:, -1].float().log_softmax(-1)
        chosen = said.gather(1, step.tokens[:, None].to(said.device))[:, 0]
        told = zip(step.rows.tolist(), step.tokens.tolist(), chosen.tolist(), strict=True)
        for row, token, chance in told:
            if ended[row]:
                continue
            chances[row] += chance
            ended[row] = token == newline
            if not ended[row]:
                tokens[row].append(token)
        if ended.all():
            break
    return [(run.tokenizer.decode(one), chances[row]) for row, one in enumerate(tokens)]


def most_frequent(answers: Sequence[Written]) -> str:
    """The first of those that were given most often."""
    return Counter(text for text, _ in answers).most_common(1)[0][0]


def likeliest(answers: Sequence[Written]) -> str:
    """That to which the model gave most probability."""
    return max(answers, key=lambda answer: answer[1])[0]


def _judged(prompts: Sequence[str], answers: Sequence[str], lines: Sequence[str]) -> Row:
    told = zip(prompts, answers, lines, strict=True)
    right = [prompt + answer == line for prompt, answer, line in told]
    return {"solved": float(np.mean(right)), "problems": len(right), "nfe": 0.0}
