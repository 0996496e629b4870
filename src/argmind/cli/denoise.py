"""``argmind denoise``: noisy images made clean, or hidden parts filled in."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budget_of
from argmind.cli._parser import Parsers, add_verb, one_of, whole
from argmind.cli._runs import add_checkpoint, open_image_run
from argmind.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from argmind.data.base import Batch
    from argmind.image.run import ImageRun

_COLUMNS = ("image", "psnr_given", "psnr", "energy", "steps", "nfe", "output")


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "denoise",
        run,
        "take the noise out of images, or fill in what an inpainting run hides",
        "argmind denoise runs/image_denoise_ebt-1 noisy.png --steps 4 --out clean",
        "argmind denoise runs/image_denoise_ebt-1 photos --fit crop --noise 0.5 --trace steps.png",
        "argmind denoise runs/image_denoise_ebt-1 --held-out 6 --candidates 8 --trace steps.png",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="image files, folders or globs")
    parser.add_argument(
        "--held-out", type=whole(1), metavar="N", help="instead: N images that the run held out"
    )
    parser.add_argument(
        "--noise",
        type=float,
        metavar="STD",
        help="first add noise of this std, where pixels span [-1, 1], and tell the PSNR",
    )
    parser.add_argument(
        "--level", type=float, metavar="STD", help="noise that the images have; else estimated"
    )
    parser.add_argument(
        "--fit",
        type=one_of("--fit", "exact", "crop", "stretch", "pad"),
        metavar="HOW",
        help="images of another size: exact (refuse), crop, stretch or pad; else as in training",
    )
    parser.add_argument(
        "--convert", action="store_true", help="give up colours, transparency and bits as needed"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave damaged files out")
    parser.add_argument("--out", default="denoised", metavar="DIR", help="folder for the images")
    parser.add_argument(
        "--trace", metavar="FILE", help="write all steps as one PNG, a row an image"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of noise, masks and draws")
    parser.add_argument("--batch-size", type=whole(1), default=64, metavar="B", help="at a time")
    add_budget(parser, several=False)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Read, think, write."""
    _check(args)
    opened = open_image_run(args.run_folder, args)
    opened.require_denoiser()
    budget = budget_of(args, opened.predictor, trace=args.trace is not None)

    from argmind.cli import _image_answers as answers

    names, batch, skipped = _problems(opened, args)
    answers.make_ready(args)
    prediction, seconds = answers.answered(opened, batch, budget, args)
    known = opened.task.part_name == "inpaint" or args.noise is not None or not args.images
    folder, ending = Path(args.out), "-denoised"
    written = answers.write_images(opened, folder, names, ending, prediction.output)
    if args.trace is not None:
        last = [batch["clean"]] if known else []
        columns = [*answers.shown_first(batch, prediction), *answers.steps_of(prediction), *last]
        answers.write_trace(args.trace, columns, args)
    plain: dict[str, Any] = {
        **answers.plain_head(opened, seconds, args),
        "skipped": skipped,
        "images": answers.plain_answers(prediction, written),
    }
    for place, answer in enumerate(plain["images"]):
        answer["image"] = names[place]
        if "level" in batch:
            answer["level"] = float(batch["level"][place])
        if known:
            answer |= _psnr(batch, prediction.output, place)
    args.screen.result(plain, lambda out: answers.show_answers(plain["images"], _COLUMNS, out))
    return 0


def _check(args: argparse.Namespace) -> None:
    if bool(args.images) == (args.held_out is not None):
        raise UserError("say which images: name IMAGE files, or ask for --held-out N.")
    for name in ("noise", "level"):
        value = getattr(args, name)
        if value is not None and not 0 <= value < float("inf"):
            raise UserError(f"--{name} is a std, at least 0, got {value}.")
    if args.noise is not None and args.level is not None:
        raise UserError("--noise adds noise of a known std: leave out --level.")
    if args.held_out is not None and args.level is not None:
        raise UserError("--held-out images have noise of a known std: leave out --level.")


def _problems(opened: ImageRun, args: argparse.Namespace) -> tuple[list[str], Batch, list[str]]:
    """Names, problems, and the names of files that were left out."""
    names, clean, skipped = _read(opened, args)
    if opened.task.part_name == "inpaint":
        if args.noise is not None or args.level is not None:
            raise UserError(f"{opened.run.folder} fills in what is hidden: leave out the noise.")
        return names, opened.as_trained(clean, args.seed), skipped
    if args.noise is not None:
        return names, opened.noisy(clean, args.noise, args.seed), skipped
    if args.held_out is not None:
        if opened.task.part_name == "generate":
            raise UserError(f"{opened.run.folder} learnt no noise of its own: add --noise STD.")
        return names, opened.as_trained(clean, args.seed), skipped
    return names, opened.given(clean, args.level), skipped


def _read(opened: ImageRun, args: argparse.Namespace) -> tuple[list[str], Tensor, list[str]]:
    import torch

    if args.held_out is not None:
        clean = _held_out(opened, args.held_out, args)
        return [f"held-out-{n}" for n in range(len(clean))], clean, []
    names: list[str] = []
    images: list[Tensor] = []
    skipped: list[str] = []
    options: dict[str, Any] = {"fit": args.fit, "convert": args.convert, "skip_bad": args.skip_bad}
    for spec in args.images:
        found = opened.read(spec, **options)
        names += found.names
        images.append(found.images)
        skipped += found.skipped
    if skipped:
        args.screen.note(f"{len(skipped)} damaged files left out: {', '.join(skipped[:5])}")
    return names, torch.cat(images), skipped


def _held_out(opened: ImageRun, count: int, args: argparse.Namespace) -> Tensor:
    from argmind.cli._held_out import reading, require_same

    recipe = opened.run.recipe
    config: Any = recipe.data
    data = reading(
        args.screen,
        lambda progress: config.build(seed=recipe.training.seed, progress=progress),
        "images",
    )
    require_same(data, opened.run)
    if data.evaluation_samples < count:
        args.screen.note(f"{opened.run.folder} held out {data.evaluation_samples} images, no more")
    return next(iter(data.evaluation(count, count)))["clean"]


def _psnr(batch: Batch, output: Tensor, place: int) -> dict[str, float]:
    from argmind.spaces.image import psnr

    clean = batch["clean"][place]
    return {
        "psnr_given": float(psnr(batch["given"][place], clean)),
        "psnr": float(psnr(output[place].cpu(), clean)),
    }
