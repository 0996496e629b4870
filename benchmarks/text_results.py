"""Text at equal data: does thinking beat the Transformer++ it starts from?

Trains four recipes with several seeds on the same tokens and measures each on the same held-out
windows; writes ``docs/results/text.json``. On machines with several GPUs, runs go side by side.

    python benchmarks/text_results.py --data english-18mb.txt.gz --out docs/results/text.json

Transformer++ is widened to the energy model's number of parameters. The text is the 17.8 MB English
mixture described in ``docs/results/README.md``; about ten minutes on two H200. A run that is
stopped goes on where it was: finished trainings stand in ``<out>.runs``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from jobs import Job, Named, Row, Script, carry_out, options, over, trained

RECIPES = ("text_transformer_pp", "text_ebt", "text_published_s1", "text_published_s2")
SETTINGS = (
    "data.tokenizer=bpe:4096",
    "data.context_tokens=256",
    "training.steps=1200",
    "training.batch_size=32",
    "training.eval_every=0",
    "training.checkpoint_every=0",
)
#: The published step sizes belong to a vocabulary of 50,277; these were best of those tried here.
OWN_SETTINGS = {
    "text_published_s1": [
        "thinking.schedule.size=10",
        "thinking.schedule.lr_factor=30",
        "optimizer.lr=0.002",
        "optimizer.clip_norm=0.25",
    ],
    "text_published_s2": [
        "thinking.schedule.base.size=30",
        "optimizer.lr=0.002",
        "optimizer.clip_norm=0.25",
    ],
}
WIDTH = "predictor.transformer.feedforward.multiplier"
STEPS = range(9)


def main() -> None:
    """Run everything, or one recipe and seed (as a process of its own)."""
    arguments = _arguments()
    jobs = [Job(name, seed) for name in arguments.recipes for seed in range(arguments.seeds)]
    script = Script(
        jobs=jobs,
        work=partial(train_and_measure, arguments=arguments),
        figures=figures,
        # Tokenise once, before the processes start.
        prepare=lambda: chosen_recipe(arguments.recipes[0], 0, arguments).data.build(seed=0),
    )
    carry_out(arguments, script)


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, "docs/results/text.json")
    parser.add_argument("--data", required=True, help="text file, folder or glob")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--limit", type=int, default=256, help="held-out windows to measure on")
    return parser.parse_args()


# ---------------------------------------------------------------------- one run


def train_and_measure(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train one recipe with one seed from the data's cache, and measure its last checkpoint."""
    from argmind.config import part_config
    from argmind.eval.budgets import measure
    from argmind.quickstart.parameters import count_parameters, matched
    from argmind.thinking.budget import Budget
    from argmind.train.engine import resolve_precision

    recipe = chosen_recipe(name, seed, arguments)
    data = recipe.data.build(seed=seed)
    if name == "text_transformer_pp":
        inputs = data.model_inputs
        target = count_parameters(chosen_recipe("text_ebt", seed, arguments), inputs)
        recipe = matched(recipe, WIDTH, target, inputs)
    run, cost = trained(recipe, data)
    thinks = run.predictor.thinks
    steps = STEPS if thinks else (None,)
    if thinks and recipe.thinking.start != "amortised":
        steps = STEPS[1:]
    measured = measure(
        run.predictor,
        list(data.evaluation(16, arguments.limit)),
        [Budget(steps=count, stop=part_config("stop", "fixed")) for count in steps],
        precision=resolve_precision(recipe.training.precision, run.device),
    )
    return {
        **cost,
        "trained_steps": recipe.thinking.steps if thinks else 0,
        "nats": {one.steps: one.loss.value for one in measured},
        "ms_per_token": {one.steps: one.ms_per_prediction for one in measured},
        "diverged": sum(one.diverged for one in measured),
        "tokens": cost["samples"] * recipe.data.context_tokens,
        "bytes_per_token": data.evaluation_bytes_per_token,
    }


def chosen_recipe(name: str, seed: int, arguments: argparse.Namespace) -> Any:
    """A recipe as this comparison runs it."""
    from argmind.recipes.base import customised, find_recipe

    common = [*SETTINGS, f"data.source='{arguments.data}'", f"training.seed={seed}"]
    return customised(
        find_recipe(name), None, [*common, *OWN_SETTINGS.get(name, ()), *arguments.set]
    )


# ---------------------------------------------------------------------- figures


def figures(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """Means and ranges over seeds."""
    unit = "nats/token"
    rival, ours = rows.get("text_transformer_pp", []), rows.get("text_ebt", [])
    if rival:
        yield "tpp_nats", _nats(rival, 0), unit
    if ours:
        trained_steps = ours[0]["trained_steps"]
        by_step = [_nats(ours, steps) for steps in STEPS[1:]]
        yield "amortised_nats_start", _nats(ours, 0), unit
        yield "ebt_nats_by_step", by_step, unit
        yield "ebt_nats_best", min(by_step, key=lambda interval: interval.value), unit
        yield "ebt_nats_at_trained_steps", _nats(ours, trained_steps), unit
        yield "trained_steps", trained_steps, "steps"
    theirs = {row["seed"]: row["nats"]["0"] for row in rival}
    both = [row for row in ours if row["seed"] in theirs]
    if both:
        last = str(ours[0]["trained_steps"])
        gain = over(both, lambda row: row["nats"][last] - theirs[row["seed"]])
        yield "ebt_minus_tpp_nats", gain, unit
    for name in ("text_published_s1", "text_published_s2"):
        if name in rows:
            last = rows[name][0]["trained_steps"]
            yield f"{name.removeprefix('text_')}_nats", _nats(rows[name], last), unit
    for name, runs in rows.items():
        yield f"{name}_parameters", runs[0]["parameters"], "parameters"
        yield f"{name}_training_flops", runs[0]["training_flops"], "FLOP"
        yield f"{name}_training_s", over(runs, lambda row: row["training_s"]), "s"


def _nats(runs: list[Row], steps: int) -> Any:
    return over(runs, lambda row: row["nats"][str(steps)])


if __name__ == "__main__":
    main()
