"""Speed and memory of training and decoding on a GPU; writes ``docs/results/speed.json``.

Every case is a process of its own, so that one that runs out of memory takes nothing with it.
Finished cases stand in ``<out>.runs`` and are not measured again; ``--only`` chooses some.

    python benchmarks/speed.py --out docs/results/speed.json
    python benchmarks/speed.py --only decode_b1 small_s256_b32

Training is ours (T = 2) beside ``text_transformer_pp``, with synthetic tokens, V = 50,277, bf16,
forward and backward; decoding continues 512 tokens by 128. Ours is System 1 training in the
published geometry, with contexts that all steps share and candidates kept in bfloat16; in the cases
called ``default_…`` it is the default recipe ``text_ebt``, which is learnt through both steps, and
in those called ``published_…`` it is as published: fp32 candidates, contexts that see the step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import jobs
from jobs import Job, Row, Script
from speed_figures import RIVAL, figures

SHAPES = {
    "small_s256_b32": ("small", 256, 32),
    "small_s1024_b8": ("small", 1024, 8),
    "small_s4096_b2": ("small", 4096, 2),
    "small_s16384_b1": ("small", 16384, 1),
    "xxs_s256_b32": ("xxs", 256, 32),
}
#: As published; all but the last encode the context anew for each step.
PUBLISHED = {
    "published_time_embed": [],
    "published_adaln": ["predictor.body.conditioning=adaln"],
    "published_shared": ["predictor.body.conditioning=candidate"],
}
SYSTEM_1 = "text_published_s1"
COMPACT = ["predictor.body.conditioning=candidate", "predictor.space.state=compact"]
DEFAULT = "text_ebt"
STEPS = (1, 2, 3, 8)
LENGTHS = (4096, 8192, 16384, 32768)
ATTENTION = "predictor.body.transformer.attention"


def main() -> None:
    """Measure what is missing, and write the results."""
    arguments = _arguments()
    chosen = arguments.only or list(CASES)

    def work(name: str, _: int) -> Row:
        return CASES[name](arguments)

    script = Script([Job(name) for name in chosen], work, figures, prepare=lambda: None)
    jobs.carry_out(arguments, script)


def _arguments() -> argparse.Namespace:
    parser = jobs.options(__doc__, "docs/results/speed.json")
    parser.add_argument("--only", nargs="+", choices=list(CASES), help="measure these cases only")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--compile", default="auto", choices=("auto", "on", "off"))
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def train(
    size: str,
    context: int,
    batch: int,
    recipe: str,
    settings: list[str],
    rival: str | None,
    arguments: argparse.Namespace,
) -> Row:
    """Training steps of a recipe, and of its rival in the same run."""
    from argmind.bench.measure import Options, measure

    options = Options(
        setting=_setting(arguments, size, context, batch),
        recipe=recipe,
        rival=rival,
        what="train",
        settings=(*settings, *arguments.set),
    )
    return measure(options).plain()


def decode(batch: int, arguments: argparse.Namespace) -> Row:
    """New tokens by one candidate, unscored and scored, by sixteen, and by the rival, in turns."""
    from argmind.bench import ceilings
    from argmind.bench.decoding import Asked, measure_decoding
    from argmind.bench.timing import ratio

    setting = _setting(arguments, "small", 512, batch)
    ours, theirs = setting.recipe(DEFAULT, arguments.set), setting.recipe(RIVAL)
    subjects = [
        (theirs, Asked()),
        (ours, Asked()),
        (ours, Asked(score=True)),
        (ours, Asked(candidates=16)),
    ]
    with setting.alone():
        limits = ceilings.measured(setting.torch_device, setting.precision)
    rows, times = measure_decoding(setting, subjects, limits)
    found: dict[str, Any] = {"rows": [row.plain() for row in rows], "ratios": {}}
    if len(times) == len(subjects):
        rival, one, scored, sixteen = times
        found["ratios"] = {
            "ratio": ratio(one, rival)._asdict(),
            "scored_ratio": ratio(scored, rival)._asdict(),
            "16_candidates_ratio": ratio(sixteen, one)._asdict(),
        }
    return found


def gradients(precision: str, compiled: bool, form: str, arguments: argparse.Namespace) -> Row:
    """Gradients of the whole small model by one engine, against float64 eager.

    Enough tokens that the vocabulary takes the forms that it takes in training.
    """
    from argmind.bench.gradients import Engine, agreements

    setting = _setting(arguments, "small", 256, 8)
    settings = (f"{ATTENTION}={form}",)
    engine = Engine(precision=precision, compiled=compiled, settings=settings)
    found = agreements(setting, setting.recipe(DEFAULT, arguments.set), {"": engine})
    return {"agreement": found[""].plain()}


def cpu_quickstart(arguments: argparse.Namespace) -> Row:
    """Optimiser steps of the quickstart's two models on a CPU, in turns."""
    import torch

    from argmind.bench.subject import Setting
    from argmind.bench.timing import in_turns, median, ratio
    from argmind.bench.training import Training
    from argmind.quickstart.pace import fastest_threads
    from argmind.quickstart.parameters import count_parameters, matched
    from argmind.quickstart.text import TextDomain, TextSizes

    sizes = TextSizes(tokenizer="bpe:1024")
    domain = TextDomain(sizes)
    ours, theirs = domain.recipes()
    inputs = {"vocab_size": 1024}
    width = domain.entrants[1].width
    theirs = matched(theirs, width, count_parameters(ours, inputs), inputs)
    setting = Setting(
        size=None,
        context_tokens=sizes.context_tokens,
        batch_size=sizes.batch_size,
        vocab_size=1024,
        precision="fp32",
        compiled="off",
        device="cpu",
    )

    def optimiser_step(training: Any) -> Callable[[], None]:
        def work() -> None:
            training.step()
            training.update()

        return work

    works = {one.name: optimiser_step(Training(setting, one)) for one in (ours, theirs)}
    fastest_threads(works[ours.name])  # as the quickstart does
    times = in_turns(works, max(20, arguments.repeats), torch.device("cpu"))
    return {
        "threads": torch.get_num_threads(),
        "ms": {name: median(values)._asdict() for name, values in times.items()},
        "ratios": {"cpu_quickstart": ratio(times[ours.name], times[theirs.name])._asdict()},
    }


def _setting(arguments: argparse.Namespace, size: str, context: int, batch: int) -> Any:
    from argmind.bench.subject import Setting

    return Setting(
        size=size,
        context_tokens=context,
        batch_size=batch,
        compiled=arguments.compile,
        device=arguments.device,
        repeats=arguments.repeats,
        alone=partial(jobs.alone, arguments.out),
    )


CASES: dict[str, Callable[[argparse.Namespace], Row]] = {
    **{name: partial(train, *shape, SYSTEM_1, COMPACT, RIVAL) for name, shape in SHAPES.items()},
    **{
        f"default_{name}": partial(train, *shape, DEFAULT, [], RIVAL)
        for name, shape in SHAPES.items()
    },
    **{
        name: partial(train, "small", 256, 32, SYSTEM_1, settings, None)
        for name, settings in PUBLISHED.items()
    },
    "decode_b1": partial(decode, 1),
    "decode_b64": partial(decode, 64),
    **{
        f"steps_{steps}{suffix}": partial(
            train, "small", 256, 32, recipe, [f"thinking.steps={steps}", *settings], None
        )
        for steps in STEPS
        for suffix, (recipe, settings) in {
            "": (DEFAULT, []),
            "_s1": (SYSTEM_1, COMPACT),
        }.items()
    },
    **{
        f"length_{length}": partial(train, "small", length, 1, SYSTEM_1, COMPACT, None)
        for length in LENGTHS
    },
    **{
        f"gradients_{precision}_{'compiled' if compiled else 'eager'}{suffix}": partial(
            gradients, precision, compiled, form
        )
        for precision in ("fp32", "bf16")
        for compiled in (False, True)
        for suffix, form in {"": "reference", "_fused": "fused"}.items()
    },
    "cpu_quickstart": cpu_quickstart,
}


if __name__ == "__main__":
    main()
