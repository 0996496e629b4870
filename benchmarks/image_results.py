"""Images at equal parameters: energy models against diffusion transformers and plain regression.

Trains denoisers and generators with several seeds on the same images in the same order, measures
them on held-out ones, and writes ``docs/results/image.json`` and pictures beside it.

    python benchmarks/image_results.py --data cifar10-train.parquet --test cifar10-test.parquet

Rivals are widened to the energy model's parameters. ``…_equal_time``: the rival once more, trained
for as many seconds as the energy model of its seed. A run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from image_figures import (
    CLASSIFIER,
    DIT,
    EBT,
    EQUAL_TIME,
    FEATURES,
    GENERATORS,
    REGRESSION,
    TIME,
    figures,
)
from jobs import Job, Row, Script, carry_out, kept_rows, options, trained

#: The longest first, so that none is left over at the end.
JOBS = (EBT, "generate_ebt", FEATURES, "generate_dit", DIT, CLASSIFIER, REGRESSION, *EQUAL_TIME)
WIDTH = "predictor.transformer.feedforward.multiplier"
#: Seconds of training after which its pace is known.
_PACE_S = 4.0


def main() -> None:
    """Run everything, or one job (as a process of its own)."""
    arguments = _arguments()
    script = Script(
        jobs=chosen_jobs(arguments),
        work=partial(work, arguments=arguments),
        figures=figures,
        # Decode once, before the processes start.
        prepare=lambda: chosen_recipe(EBT, 0, arguments).data.build(seed=0),
    )
    carry_out(arguments, script)


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, "docs/results/image.json")
    parser.add_argument("--data", required=True, help="training images, as data.source")
    parser.add_argument("--test", help="held-out images (default: a tenth of the others)")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--level", type=float, default=0.5, help="noise std, pixels in [-1, 1]")
    parser.add_argument("--steps", type=int, default=1500, help="optimiser steps at equal data")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--patch", type=int, default=4)
    parser.add_argument("--compile", choices=("on", "off", "replay"), default="replay")
    parser.add_argument("--ema", type=float, default=0.995, help="decay, of those that average")
    parser.add_argument("--images", type=int, default=2000, help="held-out images to measure on")
    parser.add_argument("--probe-images", type=int, nargs=2, default=[5000, 2000])
    parser.add_argument("--samples", type=int, default=2000, help="images to generate")
    parser.add_argument("--feature-steps", type=int, default=1500)
    parser.add_argument("--feature-width", type=int, default=64)
    return parser.parse_args()


def chosen_jobs(arguments: argparse.Namespace) -> list[Job]:
    """All jobs that are asked for, those that wait for others last."""
    jobs: list[Job] = []
    for name in sorted(arguments.jobs, key=JOBS.index):
        for seed in range(1 if name == FEATURES else arguments.seeds):
            after = ((EBT, seed),) if name in EQUAL_TIME else ()
            after = ((FEATURES, 0),) if name in GENERATORS else after
            jobs.append(Job(name, seed, after))
    return jobs


# ---------------------------------------------------------------------- recipes


def chosen_recipe(name: str, seed: int, arguments: argparse.Namespace) -> Any:
    """The recipe of a job, of equal size as the others."""
    from argmind.recipes.base import customised, find_recipe

    recipe = find_recipe(f"image_{name.removesuffix(TIME)}")
    thinker = recipe.predictor.part_name == "ebt"
    pixels = "predictor.space" if thinker else "predictor"
    transformer = "predictor.body.transformer" if thinker else "predictor.transformer"
    settings = [
        f"data.source='{arguments.data}'",
        *([f"data.eval_source='{arguments.test}'"] if arguments.test else []),
        "data.flip=true",
        *([f"data.task.level={arguments.level!r}"] if "denoise" in name else []),
        f"{pixels}.patch={arguments.patch}",
        f"{transformer}.num_layers={arguments.layers}",
        f"{transformer}.num_heads={arguments.heads}",
        f"{transformer}.hidden_dim={arguments.dim}",
        f"optimizer.lr={arguments.lr!r}",
        f"training.seed={seed}",
        f"training.steps={arguments.steps}",
        f"training.batch_size={arguments.batch_size}",
        # The same for all: "auto" would compile those that train for longer.
        f"training.compile='{arguments.compile}'",
        "training.eval_every=0",
        "training.checkpoint_every=0",
        *([f"training.ema_decay={arguments.ema!r}"] if _averages(name) else []),
        *arguments.set,
    ]
    return with_steps(customised(recipe, None, settings), None)


def _averages(name: str) -> bool:
    """Diffusion answers with averaged weights; among generators all do."""
    return name in GENERATORS or name.startswith(DIT)


def with_steps(recipe: Any, steps: int | None) -> Any:
    """The recipe with so many optimiser steps, a tenth of them warming up."""
    training = recipe.training if steps is None else replace(recipe.training, steps=steps)
    warm = replace(recipe.optimizer, warmup_steps=max(1, training.steps // 10))
    return replace(recipe, training=training, optimizer=warm)


def equal_recipe(name: str, seed: int, arguments: argparse.Namespace, data: Any) -> Any:
    """The recipe, widened to the parameters of the energy model that it is compared with."""
    from argmind.quickstart.parameters import count_parameters, matched

    recipe = chosen_recipe(name, seed, arguments)
    if recipe.predictor.part_name == "ebt":
        return recipe
    thinker = chosen_recipe("generate_ebt" if name in GENERATORS else EBT, seed, arguments)
    inputs = data.model_inputs
    return matched(recipe, WIDTH, count_parameters(thinker, inputs), inputs)


# ---------------------------------------------------------------------- one job


def work(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train and measure."""
    if name == FEATURES:
        return train_features(arguments)
    from image_measures import Denoising, Generating, probed

    data = chosen_recipe(name, seed, arguments).data.build(seed=seed)
    recipe = equal_recipe(name, seed, arguments, data)
    found: Row = {}
    if name in EQUAL_TIME:
        for_s = seconds_of(EBT, seed, arguments)
        found["aimed_at_s"] = for_s
        recipe = lasting(for_s, recipe, data)
    run, cost = trained(recipe, data)
    if name != CLASSIFIER and name not in EQUAL_TIME and seed == 0:
        pictures = arguments.out.parent / "images" / f"{arguments.out.stem}_{name}.png"
    else:
        pictures = None
    found |= cost
    if name in GENERATORS:
        net = features_file(arguments.out)
        return found | Generating(run, data, net, arguments.samples).measure(pictures, seed)
    found["probe"] = probed(run, data, *arguments.probe_images)
    if name == CLASSIFIER:
        return found
    return found | Denoising(run, arguments.images, seed).measure(pictures)


def features_file(out: Path) -> Path:
    """Where the network lies in whose features generated images are judged."""
    return out.with_suffix(".features.safetensors")


def train_features(arguments: argparse.Namespace) -> Row:
    """Train that network, by the script that is made for it."""
    import image_classifier

    words = ["--source", arguments.data, "--out", str(features_file(arguments.out)), "--flip"]
    words += ["--test", arguments.test] if arguments.test else []
    words += ["--steps", str(arguments.feature_steps), "--width", str(arguments.feature_width)]
    began = time.monotonic()
    return {**image_classifier.main(words), "wall_s": time.monotonic() - began}


def seconds_of(name: str, seed: int, arguments: argparse.Namespace) -> float:
    """How long the training of a job took that is done."""
    rows = {(row["job"], row["seed"]): row for row in kept_rows(arguments.out)}
    return rows[name, seed]["training_s"]


def lasting(for_s: float, recipe: Any, data: Any) -> Any:
    """The recipe with as many steps as it can take in this time."""
    return with_steps(recipe, max(1, round(for_s / pace_s(recipe, data, _PACE_S))))


def pace_s(recipe: Any, data: Any, within_s: float) -> float:
    """Seconds of an optimiser step, by training that is broken off after ``within_s``."""
    from argmind.train.progress import Progress

    laps: list[tuple[int, float]] = []

    class Enough(Exception):
        pass

    class Watch(Progress):
        def log(self, step: int, values: Any) -> None:
            laps.append((step, values["elapsed_s"]))
            if laps[-1][1] - laps[0][1] > within_s:
                raise Enough

    with suppress(Enough):
        trained(recipe, data, Watch())
    # The first lap pays for what happens once.
    (first, began_s), (last, ended_s) = laps[0] if len(laps) > 1 else (0, 0.0), laps[-1]
    return (ended_s - began_s) / (last - first)


if __name__ == "__main__":
    main()
