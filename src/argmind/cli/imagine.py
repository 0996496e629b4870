"""``argmind imagine``: clips gone on with, each frame from those before it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budget_of
from argmind.cli._parser import Parsers, add_verb, one_of, whole
from argmind.cli._runs import add_checkpoint, open_video_run
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.cli._video_answers import Asked

_COLUMNS = ("clip", "given", "imagined", "energy", "error", "nfe", "output")


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "imagine",
        run,
        "go on with video clips, frame by frame, and show the energy of every frame",
        "argmind imagine runs/video_ebt-1 --held-out 4 --frames 20",
        "argmind imagine runs/video_ebt-1 flight.gif --given 8 --frames 20 --steps 4 --out seen",
        "argmind imagine runs/video_field_ebt-1 frames-folder --fit crop --convert --seed 3",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument(
        "clips", nargs="*", metavar="CLIP", help="GIF, APNG or WebP files, or folders of frames"
    )
    parser.add_argument(
        "--held-out",
        type=whole(1),
        metavar="N",
        help="instead: N clips that training leaves out (without CLIPs, 4)",
    )
    parser.add_argument(
        "--given",
        type=whole(1),
        metavar="K",
        help="frames to begin with; without it, all of a CLIP, half of the trained length of "
        "held-out ones",
    )
    parser.add_argument("--frames", type=whole(1), default=20, metavar="K", help="to imagine")
    parser.add_argument(
        "--fit",
        type=one_of("--fit", "exact", "crop", "stretch", "pad"),
        default="exact",
        metavar="HOW",
        help="frames of another size: exact (refuse), crop, stretch or pad",
    )
    parser.add_argument(
        "--convert", action="store_true", help="give up colours, transparency and bits as needed"
    )
    parser.add_argument(
        "--out",
        default="imagined",
        metavar="DIR",
        help="folder for a GIF and a PNG of each clip (.npy of features)",
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the draws")
    add_budget(parser, several=False)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Read, go on, write."""
    if args.clips and args.held_out is not None:
        raise UserError("say which clips: name CLIPs, or ask for --held-out N.")
    opened = open_video_run(args.run_folder, args)
    budget = budget_of(args, opened.predictor)

    from argmind.cli import _video_answers as answers

    asked = answers.asked_clips(opened, args)
    answers.make_ready(args)
    clips: list[dict[str, Any]] = []
    with args.screen.counting("imagining", len(asked)) as done:
        for number, clip in enumerate(asked):
            clips.append(answers.answered(opened, clip, number, budget, args))
            done(number + 1)
    plain = {
        "run": str(opened.run.folder),
        "step": opened.run.step,
        "seed": args.seed,
        "frames": args.frames,
        "clips": clips,
    }
    args.screen.result(plain, lambda out: _show(clips, asked, out))
    return 0


def _show(clips: list[dict[str, Any]], asked: list[Asked], out: Console) -> None:
    from argmind.cli._comparison import plain_table

    table = plain_table("means over the imagined frames", *_COLUMNS)
    for clip, one in zip(clips, asked, strict=True):
        errors = [error for error in clip["errors"] if error is not None]
        table.add_row(
            clip["clip"],
            str(one.given),
            str(len(clip["energies"])),
            f"{sum(clip['energies']) / len(clip['energies']):.4g}",
            f"{sum(errors) / len(errors):.4g}" if errors else "–",
            f"{sum(clip['nfe']) / len(clip['nfe']):.1f}",
            clip.get("gif") or clip["npy"],
        )
    out.print(table)
