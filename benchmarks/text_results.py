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
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

RECIPES = ("text_transformer_pp", "text_ebt", "text_published_s1", "text_published_s2")
SETTINGS = (
    "data.tokenizer=bpe:4096",
    "data.context_tokens=256",
    "training.steps=600",
    "training.batch_size=64",
    "training.eval_every=0",
    "training.checkpoint_every=0",
)
#: The published step sizes belong to a vocabulary of 50,277; these were best of those tried here.
OWN_SETTINGS = {
    "text_published_s1": [
        "thinking.schedule.size=10",
        "thinking.schedule.lr_factor=30",
        "optimizer.lr=0.003",
        "optimizer.clip_norm=0.25",
    ],
    "text_published_s2": [
        "thinking.schedule.base.size=30",
        "optimizer.lr=0.003",
        "optimizer.clip_norm=0.25",
    ],
}
WIDTH = "predictor.transformer.feedforward.multiplier"
STEPS = range(9)


def main() -> None:
    """Run everything, or one recipe and seed (as a process of its own)."""
    arguments = _arguments()
    if arguments.one:
        recipe, seed = arguments.one
        print(json.dumps(train_and_measure(recipe, int(seed), arguments)))
        return
    jobs = [(recipe, seed) for recipe in arguments.recipes for seed in range(arguments.seeds)]
    began = time.monotonic()
    rows = run_all(jobs, arguments)
    write(rows, arguments, time.monotonic() - began)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="text file, folder or glob")
    parser.add_argument("--out", type=Path, default=Path("docs/results/text.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--set", nargs="+", default=[], help="further settings for every recipe")
    parser.add_argument("--per-gpu", type=int, default=1, help="runs side by side on one GPU")
    parser.add_argument("--limit", type=int, default=256, help="held-out windows to measure on")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


# ---------------------------------------------------------------------- one run


def train_and_measure(recipe_name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one recipe with one seed from the data's cache, and measure its last checkpoint."""
    from argmind.api import run_recipe
    from argmind.assembly import build_objective
    from argmind.config import part_config
    from argmind.eval.budgets import measure
    from argmind.quickstart.parameters import count_parameters, matched
    from argmind.runs import load_run
    from argmind.thinking.budget import Budget
    from argmind.train.engine import resolve_precision
    from argmind.train.progress import progress_for

    recipe = chosen_recipe(recipe_name, seed, arguments)
    data = recipe.data.build(seed=seed)
    if recipe_name == "text_transformer_pp":
        inputs = data.model_inputs
        target = count_parameters(chosen_recipe("text_ebt", seed, arguments), inputs)
        recipe = matched(recipe, WIDTH, target, inputs)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        run_recipe(recipe, Path(folder) / "run", data=data, on_progress=progress_for(True))
        seconds = time.monotonic() - began
        run = load_run(Path(folder) / "run", which="last")
    batches = list(data.evaluation(16, arguments.limit))
    precision = resolve_precision(recipe.training.precision, run.device)
    steps = STEPS if run.predictor.thinks else (None,)
    if run.predictor.thinks and recipe.thinking.start != "amortised":
        steps = STEPS[1:]
    rows = measure(
        run.predictor,
        batches,
        [Budget(steps=count, stop=part_config("stop", "fixed")) for count in steps],
        bytes_per_token=data.evaluation_bytes_per_token,
        trained_steps=recipe.thinking.steps,
        precision=precision,
    )
    batch, length = recipe.training.batch_size, recipe.data.context_tokens
    objective = build_objective(recipe, run.predictor)
    return {
        "recipe": recipe_name,
        "seed": seed,
        "trained_steps": recipe.thinking.steps if run.predictor.thinks else 0,
        "nats": {row.steps: row.nats.value for row in rows},
        "ms_per_token": {row.steps: row.ms_per_prediction for row in rows},
        "diverged": sum(row.diverged for row in rows),
        "parameters": run.parameters,
        "tokens": recipe.training.steps * batch * length,
        "training_flops": recipe.training.steps * objective.training_flops(data.batch(0, batch)),
        "training_s": seconds,
        "bytes_per_token": data.evaluation_bytes_per_token,
    }


def chosen_recipe(name: str, seed: int, arguments: argparse.Namespace) -> Any:
    """A recipe as this comparison runs it."""
    from argmind.recipes.base import customised, find_recipe

    common = [*SETTINGS, f"data.source='{arguments.data}'", f"training.seed={seed}"]
    return customised(
        find_recipe(name), None, [*common, *OWN_SETTINGS.get(name, ()), *arguments.set]
    )


# ---------------------------------------------------------------------- all runs


def run_all(jobs: list[tuple[str, int]], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Every job as a process of its own, spread over the GPUs."""
    import torch

    slots: Queue[int] = Queue()
    for _ in range(arguments.per_gpu):
        for gpu in range(max(1, torch.cuda.device_count())):
            slots.put(gpu)
    # Tokenise once, before the processes start.
    chosen_recipe(arguments.recipes[0], 0, arguments).data.build(seed=0)
    kept = arguments.out.with_suffix(".runs")
    kept.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(row["recipe"], row["seed"]) for row in rows}

    def work(job: tuple[str, int]) -> dict[str, Any] | None:
        gpu = slots.get()
        try:
            row = _process(job, gpu)
        finally:
            slots.put(gpu)
        if row is not None:
            with kept.open("a") as file:
                file.write(json.dumps(row) + "\n")
        return row

    with ThreadPoolExecutor(slots.qsize()) as pool:
        fresh = pool.map(work, [job for job in jobs if job not in done])
        rows += [row for row in fresh if row is not None]
    return sorted(rows, key=lambda row: (row["recipe"], row["seed"]))


def _process(job: tuple[str, int], gpu: int) -> dict[str, Any] | None:
    recipe, seed = job
    command = [sys.executable, *sys.argv, "--one", recipe, str(seed)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": str(gpu)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{recipe} seed {seed} failed:\n{done.stderr[-3000:]}", flush=True)
        return None
    row = json.loads(done.stdout.strip().splitlines()[-1])
    figures = " ".join(f"{steps}:{nats:.4f}" for steps, nats in row["nats"].items())
    print(f"{recipe} seed {seed} {row['training_s']:.0f} s: {figures}", flush=True)
    return row


# ---------------------------------------------------------------------- results


def write(rows: list[dict[str, Any]], arguments: argparse.Namespace, seconds: float) -> None:
    """Means and ranges over seeds, in the layout that all results use."""
    from argmind.eval.results import Figure, Results, git_commit, machine_description, write_results

    figures: dict[str, Figure] = {}
    for name, measured, unit in _figures(rows):
        series = isinstance(measured, list)
        figures[name] = Figure.series(measured, unit) if series else Figure.of(measured, unit)
    results = Results(
        command=shlex.join(["python", *sys.argv]),
        commit=os.environ.get("ARGMIND_COMMIT") or git_commit(),
        machine=machine_description(),
        seeds=sorted({row["seed"] for row in rows}),
        figures=figures,
        extra={"runs": rows, "runs_per_gpu": arguments.per_gpu, "wall_clock_s": round(seconds)},
    )
    write_results(arguments.out, results)
    for name, figure in figures.items():
        print(name, figure.to_plain())


def _figures(rows: list[dict[str, Any]]) -> Iterator[tuple[str, Any, str]]:
    from argmind.eval.statistics import over_seeds

    def of(recipe: str) -> list[dict[str, Any]]:
        return [row for row in rows if row["recipe"] == recipe]

    def nats(runs: list[dict[str, Any]], steps: int) -> Any:
        return over_seeds([run["nats"][str(steps)] for run in runs])

    unit = "nats/token"
    rival, ours = of("text_transformer_pp"), of("text_ebt")
    if rival:
        yield "tpp_nats", nats(rival, 0), unit
    if ours:
        trained = ours[0]["trained_steps"]
        by_step = [nats(ours, steps) for steps in STEPS[1:]]
        yield "amortised_nats_start", nats(ours, 0), unit
        yield "ebt_nats_by_step", by_step, unit
        yield "ebt_nats_best", min(by_step, key=lambda interval: interval.value), unit
        yield "ebt_nats_at_trained_steps", nats(ours, trained), unit
        yield "trained_steps", trained, "steps"
    if rival and ours:
        trained = ours[0]["trained_steps"]
        pairs = zip(ours, rival, strict=True)
        gains = [a["nats"][str(trained)] - b["nats"]["0"] for a, b in pairs]
        yield "ebt_minus_tpp_nats", over_seeds(gains), unit
    for recipe in ("text_published_s1", "text_published_s2"):
        runs = of(recipe)
        if runs:
            name = recipe.removeprefix("text_")
            yield f"{name}_nats", nats(runs, runs[0]["trained_steps"]), unit
    for recipe in RECIPES:
        runs = of(recipe)
        if runs:
            yield f"{recipe}_parameters", runs[0]["parameters"], "parameters"
            yield f"{recipe}_training_flops", runs[0]["training_flops"], "FLOP"
            yield f"{recipe}_training_s", over_seeds([run["training_s"] for run in runs]), "s"


if __name__ == "__main__":
    main()
