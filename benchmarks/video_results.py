"""The next frame at equal parameters: energy models against regression and a diffusion head.

Trains on digits that bounce (all is determined) and on a digit that turns left or right by chance,
measures on held-out clips, and writes ``docs/results/video.json`` and pictures beside it. With
``--scenes pusht shaky`` it is Push-T, whose actions are told: all determined, and with a hand that
shakes (extra ``policy``).

    python benchmarks/video_results.py --out docs/results/video.json

Clips are made with seeds; nothing is read. A run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jobs import Job, Named, Row, Script, carry_out, options, over, trained

SCENES = ("digits", "turning")
#: On request, with what they need: Push-T as it is, and with a hand that shakes.
WORLDS = {"pusht": (), "shaky": ("data.scene=pusht", "data.scene.shake=60")}
ROLLED = ("digits", "pusht")
EBT, TPP = "ebt", "transformer_pp"
NEAREST, FIELD, DIFFUSION = "nearest_ebt", "field_ebt", "diffusion"
MODELS = (NEAREST, FIELD, DIFFUSION, EBT, TPP)
#: Those that draw answers: asked where there are several.
DRAWING = (NEAREST, FIELD, DIFFUSION)
#: Those that learn a way from noise: slower, and averaged.
FROM_NOISE = (FIELD, DIFFUSION)
#: What figures call them.
SHORT = {TPP: "tpp"}


def main() -> None:
    """Run everything, or one job (as a process of its own)."""
    arguments = _arguments()
    jobs = [
        Job(f"{scene}_{model}", seed)
        for model in MODELS
        if model in arguments.models
        for scene in arguments.scenes
        if scene not in ROLLED or model not in DRAWING
        for seed in range(arguments.seeds)
    ]
    script = Script(
        jobs=jobs,
        work=partial(work, arguments=arguments),
        figures=figures,
        prepare=lambda: None,
    )
    carry_out(arguments, script)


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, "docs/results/video.json")
    scenes = (*SCENES, *WORLDS)
    parser.add_argument("--scenes", nargs="+", choices=scenes, default=list(SCENES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3, help="but of ways from noise")
    parser.add_argument("--lr-from-noise", type=float, default=1e-3)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--compile", choices=("on", "off", "replay"), default="replay")
    parser.add_argument("--ema", type=float, default=0.995, help="decay, of ways from noise")
    parser.add_argument("--clips", type=int, default=128, help="held-out clips to measure on")
    parser.add_argument("--given", type=int, default=8, help="frames before a roll-out")
    parser.add_argument("--rolled", type=int, default=24, help="frames of a roll-out")
    return parser.parse_args()


# ---------------------------------------------------------------------- one job


def work(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train and measure."""
    from video_measures import NextFrames

    scene, _, model = name.partition("_")
    data = chosen_recipe(scene, model, seed, arguments).data.build(seed=seed)
    run, cost = trained(equal_recipe(scene, model, seed, arguments, data.model_inputs), data)
    measured = NextFrames(run, list(data.evaluation(32, arguments.clips)))
    found = {**cost, **measured.next_frames()}
    if scene in ROLLED:
        frames = arguments.given + arguments.rolled
        longer = replace(data.config, frames=frames, clips=1).build(seed=seed)
        clips = list(longer.evaluation(32, arguments.clips))
        found["errors_by_horizon"] = measured.rolled(clips, arguments.given)
    else:
        found |= measured.alternatives()
    if seed == 0:
        pictures = arguments.out.parent / "images"
        measured.draw(pictures / f"{arguments.out.stem}_{name}.png")
        measured.draw_energies(pictures / f"{arguments.out.stem}_{name}_energies.png")
    return found


def chosen_recipe(scene: str, model: str, seed: int, arguments: argparse.Namespace) -> Any:
    """The recipe of a job, of equal size as the others."""
    from argmind.recipes.base import customised, find_recipe

    recipe = find_recipe(f"video_{model}")
    transformer = _place(recipe)
    steps, slow = arguments.steps, model in FROM_NOISE
    settings = [
        *(WORLDS.get(scene) or (f"data.scene={scene}",)),
        f"{transformer}.num_layers={arguments.layers}",
        f"{transformer}.num_heads={arguments.heads}",
        f"{transformer}.hidden_dim={arguments.dim}",
        f"optimizer.lr={(arguments.lr_from_noise if slow else arguments.lr)!r}",
        f"optimizer.warmup_steps={max(1, steps // 10)}",
        f"training.seed={seed}",
        f"training.steps={steps}",
        f"training.batch_size={arguments.batch_size}",
        f"training.compile='{arguments.compile}'",  # the same for all
        "training.eval_every=0",
        "training.checkpoint_every=0",
        "training.eval_limit=32",
        *([f"training.ema_decay={arguments.ema!r}"] if slow else []),
        *arguments.set,
    ]
    return customised(recipe, None, settings)


def _place(recipe: Any) -> str:
    """Where a recipe has its transformer."""
    thinks = recipe.predictor.part_name == "ebt"
    return "predictor.body.transformer" if thinks else "predictor.transformer"


def equal_recipe(
    scene: str, model: str, seed: int, arguments: argparse.Namespace, inputs: Mapping[str, Any]
) -> Any:
    """The recipe, widened to the parameters of the energy model.

    One whose other parts are larger already stays as it is; figures tell the parameters of all.
    """
    from argmind.quickstart.parameters import count_parameters, matched

    recipe = chosen_recipe(scene, model, seed, arguments)
    if model == EBT:
        return recipe
    wanted = count_parameters(chosen_recipe(scene, EBT, seed, arguments), inputs)
    try:
        return matched(recipe, f"{_place(recipe)}.feedforward.multiplier", wanted, inputs)
    except ValueError:
        return recipe


# ---------------------------------------------------------------------- figures


def figures(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """Means and ranges over seeds: those the comparison is about first, then all of each model."""
    plain = {
        "next_frame_error_ebt": ("digits_ebt", "next_frame_error", "mean squared error"),
        "next_frame_error_tpp": ("digits_transformer_pp", "next_frame_error", "mean squared error"),
        "energy_error_rank_correlation": ("digits_ebt", "energy_error_rank_correlation", "1"),
        "energy_random_auroc": ("turning_ebt", "random_frame_auroc", "1"),
        # A clock tells nothing of frames that are as far into their clips.
        "energy_random_auroc_same_frame": ("turning_ebt", "random_frame_auroc_same_frame", "1"),
        # Of energies, the one that learns alternatives.
        "best_of_8_error_ebt": ("turning_nearest_ebt", "best_of_8_error", "mean squared error"),
        "best_of_8_error_tpp": ("turning_transformer_pp", "best_of_8_error", "mean squared error"),
    }
    for name, (job, key, unit) in plain.items():
        if job in rows and key in rows[job][0]:
            yield name, _mean(rows[job], key), unit
    for scene in (*SCENES, *WORLDS):
        yield from _gain(rows, scene)
    for name, runs in rows.items():
        scene, _, model = name.partition("_")
        yield from _model_figures(f"{scene}_{SHORT.get(model, model)}", runs)


def _gain(rows: Mapping[str, list[Row]], scene: str) -> Iterator[Named]:
    """What the energy model's error is above its plain rival's, seed by seed."""
    theirs = {row["seed"]: row["next_frame_error"] for row in rows.get(f"{scene}_{TPP}", [])}
    ours = [row for row in rows.get(f"{scene}_{EBT}", []) if row["seed"] in theirs]
    if ours:
        gain = over(ours, lambda row: row["next_frame_error"] - theirs[row["seed"]])
        yield f"{scene}_ebt_minus_tpp", gain, "mean squared error"


def _model_figures(name: str, runs: Sequence[Row]) -> Iterator[Named]:
    """Everything that was measured of one model on one scene."""
    units = {
        "next_frame_error": "mean squared error",
        "next_frame_error_in_motion": "mean squared error",
        "energy_error_rank_correlation": "1",
        "random_frame_error": "mean squared error",
        "best_of_8_error": "mean squared error",
        "spread_of_8": "mean squared difference",
        "energy_at_random_frames": "energy",
        "energy_at_other_frames": "energy",
        "random_frame_auroc": "1",
        "random_frame_auroc_same_frame": "1",
        "ms_per_frame": "ms",
        "nfe": "evaluations/frame",
        "training_s": "s",
        "training_flops": "FLOP",
        "parameters": "parameters",
    }
    for key, unit in units.items():
        if key in runs[0]:
            yield f"{name}_{key}", _mean(runs, key), unit
    for key, unit in {
        "errors_by_step": "mean squared error",
        "errors_by_horizon": "mean squared error",
        "energies_by_frame": "energy",
        "errors_by_frame": "mean squared error",
    }.items():
        if key in runs[0]:
            yield f"{name}_{key}", _means(runs, key), unit


def _mean(runs: Sequence[Row], key: str) -> Any:
    return over(runs, lambda row: row[key])


def _means(runs: Sequence[Row], key: str) -> list[Any]:
    places = range(len(runs[0][key]))
    return [over(runs, lambda row, place=place: row[key][place]) for place in places]


if __name__ == "__main__":
    main()
