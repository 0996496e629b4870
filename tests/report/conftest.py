"""A small but complete report, with every awkward string a token can be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from argmind.eval.results import Figure, Results
from argmind.eval.statistics import Interval
from argmind.report.data import BudgetRow, Curve, PassageToken, Sample, Scores, TextReport

AWKWARD = [
    "<script>alert(1)</script>",
    '"quo\'ted" & so',
    "line\nbreak",
    "nul\0tab\t",
    "\ud800",
    "",
]
TEXT = "The class statement makes a new class object , which is bound to its name"
WORDS = TEXT.split()


def around(value: float, half: float = 0.03) -> Interval:
    return Interval(value, value - half, value + half)


def budget(steps: int, candidates: int) -> BudgetRow:
    nats = 3.21 - 0.05 * math.log2(1 + steps) - 0.01 * math.log2(candidates) + 0.004 * steps
    return BudgetRow(
        model="EBT",
        steps=steps,
        candidates=candidates,
        nats=around(nats),
        bits_per_byte=around(nats / math.log(2) / 2.9, 0.012),
        nfe=float(steps * candidates),
        ms_per_token=0.11 + 0.08 * steps * candidates,
        energy=around(-1.2 - 0.4 * math.log2(1 + steps)),
        difference=around(nats - 3.19, 0.011),
        diverged=3 if (steps, candidates) == (8, 16) else 0,
    )


def curve(model: str, split: str, level: float, speed: float) -> Curve:
    tokens = np.linspace(0, 400_000, 81 if split == "training" else 9)[1:]
    noise = np.random.default_rng(1).normal(0, 0.06, len(tokens)) * (split == "training")
    nats = level + 5 * np.exp(-tokens / 60_000) + noise
    return Curve(model=model, split=split, seen=tokens, seconds=tokens / speed, losses=nats)


def scores(model: str, signal: str, unit: str, noise: float) -> Scores:
    random = np.random.default_rng(2)
    losses = random.gamma(1.3, 2.2, size=(32, 64))
    values = 0.4 * losses + random.normal(0, noise, losses.shape)
    return Scores(model=model, signal=signal, unit=unit, values=values, losses=losses)


def passage() -> list[PassageToken]:
    random = np.random.default_rng(3)
    words = [WORDS[0], *(f" {word}" for word in WORDS[1:]), *AWKWARD] * 5
    top = [(" the", 0.31), ("<b>", 0.2), ("\n", 0.1), (" of", 0.05), ("\0", 0.01)]
    return [
        PassageToken(
            text=word,
            energy=math.nan if index == 7 else float(random.normal(-2, 1)),
            loss=float(random.gamma(1.3, 2)),
            steps=float(random.integers(1, 9)),
            top=top,
        )
        for index, word in enumerate(words)
    ]


def build_report() -> TextReport:
    results = Results(
        command="argmind quickstart --domain text --minutes 6 --seed 1",
        commit="0123456789abcdef0123456789abcdef01234567",
        machine={"cpu": "Example CPU 3000", "cores": 2, "ram_gib": 15.6, "torch": "2.13.0"},
        seeds=(1,),
        figures={"ebt_nats_best": Figure.of(around(3.1), "nats/token")},
    )
    rival = BudgetRow(
        model="Transformer++",
        nats=around(3.19),
        bits_per_byte=around(1.587, 0.012),
        nfe=0,
        ms_per_token=0.08,
    )
    prompt = "The class statement"
    return TextReport(
        title="argmind quickstart: English text",
        results=results,
        data="Both were trained on 400,000 tokens of the Python documentation.",
        parameters={"EBT": 1_204_224, "Transformer++": 1_204_096},
        phases_s={"train EBT": 151.2, "train Transformer++": 70.4, "evaluate": 38.0},
        trained_steps=2,
        rival=rival,
        budgets=[budget(steps, n) for steps in (0, 1, 2, 4, 8) for n in (1, 4, 16)],
        curves=[
            curve("EBT", "training", 3.15, 2600),
            curve("EBT", "held-out", 3.18, 2600),
            curve("Transformer++", "training", 3.16, 5700),
            curve("Transformer++", "held-out", 3.19, 5700),
        ],
        scores=[
            scores("EBT", "energy", "1", 1.4),
            scores("Transformer++", "entropy", "nats", 0.8),
        ],
        passage=passage(),
        samples=[
            Sample(
                model=model,
                prompt=prompt,
                continuation=' is bound to the <type>\n  of its "name" & value.',
                settings="temperature 0.8, top-p 0.95",
            )
            for model in ("EBT", "Transformer++")
        ],
    )


@pytest.fixture(scope="session")
def example_text_report() -> TextReport:
    return build_report()


@pytest.fixture(scope="session")
def thoughts() -> list[dict]:
    random = np.random.default_rng(4)
    words = [f" {word}" for word in WORDS[:6]] + AWKWARD
    told = []
    for word in words:
        steps = []
        for step in range(5):
            rest = [
                (other, float(p))
                for other, p in zip(WORDS, random.dirichlet([1] * 4), strict=False)
            ]
            top = [[word, 0.1 + 0.15 * step], *([o, p * (0.9 - 0.15 * step)] for o, p in rest)]
            steps.append({"energy": float(2 - 0.7 * step + random.normal(0, 0.2)), "top": top})
        told.append({"token": word, "steps": steps})
    told[2]["steps"][4]["energy"] = math.nan
    return told
