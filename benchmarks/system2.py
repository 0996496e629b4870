"""What each part of text's published System 2 recipe is for.

Trains ``text_published_s2`` on bytes of English, whole and without one of its parts at a time, with
several seeds, and measures on held-out text, and on text unlike it, by how many per cent longer
thinking, and the best of several candidates by energy, lower the perplexity. Writes
``docs/results/system2.json``.

    python benchmarks/system2.py --data tinyshakespeare.txt --per-gpu 4

``--further`` names more text to measure on (GSM8K, say). A run that is stopped goes on where it
was.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jobs import Job, Named, Row, Script, carry_out, options, over, trained

RECIPE = "text_published_s2"
#: Parts by what is left out of them.
WITHOUT = {
    "all": (),
    "without_random_step_size": ("thinking.schedule.scale=1",),
    "without_random_steps": ("objective.fewest_steps=null",),
    "without_langevin": ("thinking.rule.noise_std=0",),
    "without_replay": ("objective.replay_samples=0",),
}
#: Longer thoughts, in trained ones.
FACTORS = (1, 2, 4)
LONGER = 2
CANDIDATES = 8
OWN = "text"


def main() -> None:
    """Run everything, or one ablation with one seed (as a process of its own)."""
    arguments = _arguments()
    script = Script(
        jobs=[Job(name, seed) for seed in range(arguments.seeds) for name in WITHOUT],
        work=partial(work, arguments=arguments),
        figures=figures,
        # Read once, before the processes start.
        prepare=lambda: chosen_recipe("all", 0, arguments).data.build(seed=0),
    )
    carry_out(arguments, script)


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, "docs/results/system2.json")
    parser.add_argument("--data", default="python", help="text to train on, as data.source")
    parser.add_argument(
        "--further",
        nargs="*",
        default=["dyck=problems:dyck/hard/2000"],
        metavar="NAME=SOURCE",
        help="text to measure on too",
    )
    parser.add_argument("--steps", type=int, default=800, help="optimiser steps")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--context", type=int, default=128, help="bytes")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--size", type=float, default=30.0, help="of a thinking step")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--limit", type=int, default=128, help="held-out windows to measure on")
    return parser.parse_args()


def chosen_recipe(name: str, seed: int, arguments: argparse.Namespace) -> Any:
    """The recipe less one part."""
    from argmind.recipes.base import customised, find_recipe

    transformer = "predictor.body.transformer"
    settings = [
        f"data.source='{arguments.data}'",
        "data.tokenizer=byte",
        f"data.context_tokens={arguments.context}",
        f"{transformer}.num_layers={arguments.layers}",
        f"{transformer}.num_heads={arguments.heads}",
        f"{transformer}.hidden_dim={arguments.dim}",
        f"thinking.schedule.base.size={arguments.size!r}",
        f"optimizer.lr={arguments.lr!r}",
        "optimizer.clip_norm=0.25",
        f"optimizer.warmup_steps={max(1, arguments.steps // 10)}",
        f"training.steps={arguments.steps}",
        f"training.batch_size={arguments.batch_size}",
        f"training.seed={seed}",
        "training.eval_every=0",
        "training.checkpoint_every=0",
        "training.compile=replay",
        *WITHOUT[name],
        *arguments.set,
    ]
    return customised(find_recipe(RECIPE), None, settings)


def work(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train, and measure on every text."""
    recipe = chosen_recipe(name, seed, arguments)
    data = recipe.data.build(seed=seed)
    run, cost = trained(recipe, data)
    texts = {OWN: data}
    for word in arguments.further:
        other, _, source = word.partition("=")
        texts[other] = replace(recipe.data, eval_source=source).build(seed=seed)
    return {**cost, "texts": {text: measured(run, one, arguments) for text, one in texts.items()}}


def measured(run: Any, data: Any, arguments: argparse.Namespace) -> Row:
    """Nats per byte by how long it thinks, and of the best of several candidates."""
    from argmind.eval.budgets import measure
    from argmind.thinking.budget import Budget
    from argmind.train.engine import resolve_precision

    steps = run.predictor.trained_steps
    budgets = {str(factor): Budget(steps=factor * steps) for factor in FACTORS}
    budgets["verified"] = Budget(steps=LONGER * steps, candidates=CANDIDATES)
    rows = measure(
        run.predictor,
        list(data.evaluation(8, arguments.limit)),
        list(budgets.values()),
        precision=resolve_precision(run.recipe.training.precision, run.device),
    )
    return {name: row.loss.value for name, row in zip(budgets, rows, strict=True)}


# ---------------------------------------------------------------------- figures


def figures(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """Per cent of perplexity that thinking takes away: means and ranges over seeds."""
    for name, runs in rows.items():
        end = "" if name == "all" else f"_{name}"
        for text in runs[0]["texts"]:
            yield from _text_figures(text, end, runs)
        yield f"{name}_training_s", over(runs, lambda row: row["training_s"]), "s"
        yield f"{name}_parameters", runs[0]["parameters"], "parameters"


def _text_figures(text: str, end: str, runs: Sequence[Row]) -> Iterator[Named]:
    for factor in FACTORS:
        nats = over(runs, lambda row, f=factor: row["texts"][text][str(f)])
        yield f"{text}_nats_{factor}T{end}", nats, "nats/byte"
    told = {"think": str(LONGER), "verify": "verified"}
    for what, budget in told.items():
        gain = over(runs, lambda row, b=budget: lower_percent(row["texts"][text], b))
        yield f"{text}_{what}_gain_percent{end}", gain, "% lower perplexity"


def lower_percent(nats: Mapping[str, float], budget: str) -> float:
    """By how much the perplexity is lower within this budget than as trained."""
    return 100 * (1 - math.exp(nats[budget] - nats["1"]))


if __name__ == "__main__":
    main()
