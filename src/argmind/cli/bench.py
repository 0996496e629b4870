"""``argmind bench``: how fast a recipe trains and decodes here, beside its rival."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parsers, add_verb, one_of, whole
from argmind.errors import UserError

if TYPE_CHECKING:
    from argmind.bench.measure import Measurement


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "bench",
        run,
        "time training and use of a recipe beside its rival, and show the device's limits",
        "argmind bench text_ebt --size small --context 1024 --batch 8",
        "argmind bench text_published_s1 --what train --steps 3 --precision fp32 --json",
        "argmind bench --what decode --context 512 --batch 1 --candidates 16",
        "argmind bench image_denoise_ebt --rival image_denoise_dit",
    )
    parser.add_argument(
        "recipe", nargs="?", default="text_ebt", metavar="RECIPE", help="a recipe, or a file"
    )
    parser.add_argument(
        "--what",
        type=one_of("--what", "train", "decode", "both"),
        default="both",
        metavar="WHAT",
        help="train, decode (where answers are no text: predict) or both",
    )
    parser.add_argument(
        "--size",
        metavar="S",
        help="a name of `argmind list size`, 4xs to xl; else small for text, the recipe's own "
        "for other data",
    )
    parser.add_argument(
        "--context", type=whole(2), default=256, metavar="N", help="tokens of a text or prompt"
    )
    parser.add_argument(
        "--batch", type=whole(1), default=32, metavar="B", help="problems in one step"
    )
    parser.add_argument("--vocab", type=whole(2), default=50_277, metavar="V", help="tokens known")
    parser.add_argument("--steps", type=whole(1), metavar="T", help="thinking steps; else trained")
    parser.add_argument(
        "--candidates", type=whole(1), default=1, metavar="N", help="candidates of each new token"
    )
    parser.add_argument(
        "--new-tokens", type=whole(2), default=128, metavar="N", help="tokens to decode"
    )
    parser.add_argument(
        "--precision",
        type=one_of("--precision", "auto", "bf16", "fp32"),
        default="auto",
        metavar="P",
        help="bf16 or fp32; auto: bf16 on a GPU that has it",
    )
    parser.add_argument(
        "--compile",
        type=one_of("--compile", "auto", "on", "off"),
        default="auto",
        metavar="C",
        help="on or off; auto: on, on a GPU",
    )
    parser.add_argument(
        "--rival",
        default="usual",
        metavar="RECIPE",
        help="a recipe on the same data, or none; usual: that of its kind (text: Transformer++)",
    )
    parser.add_argument(
        "--repeats", type=whole(1), default=10, metavar="N", help="timed rounds, models in turns"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of weights and tokens")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="A.B=VALUE",
        help="set any option of the recipe (not of its rival); may be repeated",
    )
    parser.add_argument(
        "--peak-tflops", type=float, metavar="X", help="rate of matrix products; else measured"
    )
    parser.add_argument(
        "--bandwidth-gbs", type=float, metavar="X", help="memory bandwidth in GB/s; else measured"
    )
    parser.add_argument(
        "--profile", metavar="FILE", help="write a trace of one step for chrome://tracing"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, and print the rows side by side."""
    from argmind.bench.measure import measure
    from argmind.cli._bench_table import show

    options = _options(args)
    found: Measurement = measure(options)
    args.screen.result(found.plain(), lambda out: show(found, out))
    return 0


def _options(args: argparse.Namespace) -> Any:
    from pathlib import Path

    from argmind.bench.measure import Options
    from argmind.bench.subject import Setting, reads_text
    from argmind.recipes.files import open_recipe
    from argmind.train.distributed import resolve_device
    from argmind.train.engine import resolve_precision

    for name in ("peak_tflops", "bandwidth_gbs"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name.replace('_', '-')} must be above 0, got {value}.")
    device = resolve_device(args.device)
    setting = Setting(
        size=args.size or ("small" if reads_text(open_recipe(args.recipe)) else None),
        context_tokens=args.context,
        batch_size=args.batch,
        vocab_size=args.vocab,
        precision=resolve_precision(args.precision, device),
        compiled=args.compile,
        device=args.device,
        seed=args.seed,
        repeats=args.repeats,
    )
    return Options(
        setting=setting,
        recipe=args.recipe,
        rival=None if args.rival == "none" else args.rival,
        what=args.what,
        steps=args.steps,
        candidates=args.candidates,
        new_tokens=args.new_tokens,
        settings=tuple(args.set),
        flops_per_s=None if args.peak_tflops is None else 1e12 * args.peak_tflops,
        bytes_per_s=None if args.bandwidth_gbs is None else 1e9 * args.bandwidth_gbs,
        profile=None if args.profile is None else Path(args.profile),
    )
