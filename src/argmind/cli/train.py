"""``argmind train``: a recipe on data of its kind, or a run continued."""

from __future__ import annotations

import argparse
import json
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parsers, add_verb, whole
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.recipes.base import Recipe
    from argmind.train.trainer import TrainOutcome

#: Options that are settings of the recipe under shorter names.
_SETTINGS = {
    "data": "data.source",
    "field": "data.field",
    "tokenizer": "data.tokenizer",
    "skip_bad": "data.skip_bad",
    "steps": "training.steps",
    "seed": "training.seed",
    "device": "training.device",
    "compile": "training.compile",
    "tensorboard": "training.tensorboard",
}

#: What a model predicts, by kind of data.
_UNITS = {"text": "tokens", "images": "images", "clips": "frames"}

_DENOISED = (
    "argmind eval {run} --steps 1 2 4",
    "argmind denoise {run} --held-out 6 --trace steps.png",
)
#: What to do with a finished run, by kind of data, and for images by task.
_NEXT = {
    "text": (
        "argmind eval {run} --steps 0 1 2 4",
        'argmind generate {run} --prompt "The"',
        'argmind think {run} --prompt "The meaning of"',
    ),
    "images denoise": _DENOISED,
    "images inpaint": _DENOISED,
    "images generate": ("argmind sample {run} --count 8 --trace steps.png",),
    "clips": ("argmind imagine {run} --held-out 4 --frames 20",),
    "reasoning": ("argmind eval {run} --thinking --html thinking.html",),
}


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "train",
        run,
        "train a recipe on text or images, or continue a run",
        "argmind train text_ebt --data my.txt --tokenizer bpe:4096 --size xxs",
        "argmind train text_ebt --data 'books/*.jsonl.gz' --field body --set thinking.steps=3",
        "argmind train image_denoise_ebt --data photos --set data.image_size=32 data.fit=crop",
        "argmind train --resume runs/text_ebt-1 --steps 2000",
        "torchrun --nproc-per-node 2 -m argmind train text_ebt --data my.txt",
    )
    parser.add_argument(
        "recipe", nargs="?", metavar="RECIPE", help="a name of `argmind list recipe`, or a file"
    )
    parser.add_argument("--resume", metavar="RUN", help="continue this run folder instead")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="file, folder or glob, hf:NAME, python (text) or digits (images; or .npy latents); "
        ".npy or .safetensors of clips or of their features (video)",
    )
    parser.add_argument("--field", metavar="F", help="where text or image stands in records")
    parser.add_argument(
        "--skip-bad", action="store_const", const=True, help="leave damaged images out"
    )
    parser.add_argument(
        "--tokenizer", metavar="T", help="byte, bpe:SIZE, hf:NAME or a tokenizer.json"
    )
    parser.add_argument("--size", metavar="S", help="a name of `argmind list size`, 4xs to xl")
    parser.add_argument("--steps", type=whole(1), metavar="N", help="training steps")
    parser.add_argument("--seed", type=whole(0), metavar="N", help="of weights, order and draws")
    parser.add_argument("--device", metavar="D", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--compile",
        choices=("auto", "on", "off"),
        help="compile the work of a step; auto: on a GPU, for 2000 steps or more",
    )
    parser.add_argument(
        "--tensorboard", action="store_const", const=True, help="write TensorBoard files too"
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="A.B=VALUE",
        help="set any option of the recipe; may be repeated",
    )
    parser.add_argument("--out", metavar="RUN", help="run folder; without it, runs/RECIPE-N")


def run(args: argparse.Namespace) -> int:
    """Train, and say what to do next."""
    from argmind.api import require_ready, run_recipe
    from argmind.train.progress import progress_for

    recipe = _recipe(args)
    resume = args.resume is not None
    out = Path(args.resume) if resume else _folder(args.out, recipe)
    require_ready(recipe, out, resume)
    kind = recipe.data.part_name
    with args.screen.reading(kind) as progress:
        data: Any = recipe.data.build(seed=recipe.training.seed, progress=progress)
    for note in getattr(data, "notes", []):
        args.screen.note(note)
    outcome = run_recipe(
        recipe,
        out,
        resume=resume,
        data=data,
        on_progress=progress_for(unit=_UNITS.get(kind, "predictions")),
        command=args.command,
    )
    args.screen.result(_plain(outcome), lambda console: _next(outcome, recipe, console))
    return 0


def _recipe(args: argparse.Namespace) -> Recipe:
    """The recipe with all options applied; ``--set`` has the last word."""
    from argmind.recipes.base import customised
    from argmind.recipes.files import open_recipe
    from argmind.runs import read_recipe

    given = {name: getattr(args, name) for name in _SETTINGS}
    settings = [
        f"{_SETTINGS[name]}={json.dumps(value)}"
        for name, value in given.items()
        if value is not None
    ]
    if args.resume is not None:
        for name in ("recipe", "size", "out"):
            if getattr(args, name) is not None:
                raise UserError(f"--resume continues a run as it is: leave out {name}.")
        return customised(read_recipe(args.resume)[0], None, [*settings, *args.set])
    if args.recipe is None:
        raise UserError(
            "name a RECIPE (`argmind list recipe` shows them), or a run with --resume RUN."
        )
    return customised(open_recipe(args.recipe), args.size, [*settings, *args.set])


def _folder(given: str | None, recipe: Recipe) -> Path:
    """The run folder; under torchrun all processes take the number that the first one found."""
    from argmind.train.distributed import join_world

    if given is not None:
        return Path(given)
    world = join_world(recipe.training.device)
    name = recipe.name
    free = next(n for n in count(1) if not Path("runs", f"{name}-{n}").exists())
    return Path("runs", f"{name}-{world.from_main(free)}")


def _plain(outcome: TrainOutcome) -> dict[str, Any]:
    return {
        "run": str(outcome.run_dir),
        "reason": outcome.reason,
        "steps": outcome.steps,
        "best": outcome.best,
        "checkpoint": str(outcome.checkpoint),
        "resume": outcome.resume_command,
    }


def _next(outcome: TrainOutcome, recipe: Recipe, console: Console) -> None:
    kind = recipe.data.part_name
    if kind == "images":
        kind = f"images {recipe.data.task.part_name}"  # type: ignore[attr-defined]
    if outcome.reason != "finished" or kind not in _NEXT:
        return
    lines = (line.format(run=outcome.run_dir) for line in _NEXT[kind])
    console.print("\n  ".join(["next:", *lines]), soft_wrap=True)
