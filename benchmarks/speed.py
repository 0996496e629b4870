"""Speed and memory of training and decoding on one GPU; writes ``docs/results/speed.json``.

Every case is a process of its own, so that one that runs out of memory takes nothing with it.
Finished cases stand in ``<out>.runs`` and are not measured again; ``--only`` chooses some.

    python benchmarks/speed.py --out docs/results/speed.json
    python benchmarks/speed.py --only decode small_s256_b32

Training is the recipe ``text_ebt`` (objective ``thinking``, T = 2) beside ``text_transformer_pp``,
with synthetic tokens, V = 50,277, bf16, forward and backward; decoding continues 512 tokens by 128.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

SHAPES = {
    "small_s256_b32": ("small", 256, 32),
    "small_s1024_b8": ("small", 1024, 8),
    "small_s4096_b2": ("small", 4096, 2),
    "small_s16384_b1": ("small", 16384, 1),
    "xxs_s256_b32": ("xxs", 256, 32),
}
#: Step conditionings and geometry as published: their contexts see the step.
PUBLISHED = {
    "published_time_embed": [],
    "published_adaln": ["predictor.body.conditioning=adaln"],
    "published_shared": ["predictor.body.conditioning=candidate"],
}
STEPS = (1, 2, 3, 8)
LENGTHS = (4096, 8192, 16384, 32768)
RIVAL = "text_transformer_pp"
ATTENTION = "predictor.body.transformer.attention"


def main() -> None:
    """Measure what is missing, and write the results."""
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(CASES[arguments.one](arguments)))
        return
    began = time.monotonic()
    rows = run_all(arguments)
    write(rows, arguments, time.monotonic() - began)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/results/speed.json"))
    parser.add_argument("--only", nargs="+", choices=list(CASES), help="measure these cases only")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--compile", default="auto", choices=("auto", "on", "off"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", nargs="+", default=[], help="further settings of text_ebt")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one case")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


# ---------------------------------------------------------------------- cases


def train(
    size: str,
    context: int,
    batch: int,
    recipe: str,
    settings: list[str],
    rival: str | None,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Training steps of a recipe, and of its rival in the same run."""
    from argmind.bench.measure import Options, measure

    own = arguments.set if recipe == "text_ebt" else []
    options = Options(
        setting=_setting(arguments, size, context, batch),
        recipe=recipe,
        rival=rival,
        what="train",
        settings=(*settings, *own),
    )
    return measure(options).plain()


def decode(batch: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """New tokens by one candidate, unscored and scored, by sixteen, and by the rival, in turns."""
    from argmind.bench import ceilings
    from argmind.bench.decoding import Asked, measure_decoding
    from argmind.bench.timing import ratio

    setting = _setting(arguments, "small", 512, batch)
    ours, theirs = setting.recipe("text_ebt", arguments.set), setting.recipe(RIVAL)
    subjects = [
        (theirs, Asked()),
        (ours, Asked()),
        (ours, Asked(score=True)),
        (ours, Asked(candidates=16)),
    ]
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


def gradients(arguments: argparse.Namespace) -> dict[str, Any]:
    """Gradients of the whole small model, by engine and precision, against float64 eager."""
    from argmind.bench.gradients import Engine, agreements

    setting = _setting(arguments, "small", 128, 2)
    forms = {"": ("reference",), "_fused": ("fused",)}
    engines = {
        f"{precision}_{'compiled' if compiled else 'eager'}{name}": Engine(
            precision=precision, compiled=compiled, settings=(f"{ATTENTION}={form}",)
        )
        for precision in ("fp32", "bf16")
        for compiled in (False, True)
        for name, (form,) in forms.items()
        if not (compiled and arguments.compile == "off")
    }
    found = agreements(setting, setting.recipe("text_ebt", arguments.set), engines)
    return {"agreements": {name: one.plain() for name, one in found.items()}}


def cpu_quickstart(arguments: argparse.Namespace) -> dict[str, Any]:
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
    )


CASES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    **{name: partial(train, *shape, "text_ebt", [], RIVAL) for name, shape in SHAPES.items()},
    "decode_b1": partial(decode, 1),
    "decode_b64": partial(decode, 64),
    **{
        f"steps_{steps}{suffix}": partial(
            train, "small", 256, 32, "text_ebt", [f"thinking.steps={steps}", *objective], None
        )
        for steps in STEPS
        for suffix, objective in {"": [], "_s1": ["objective=s1"]}.items()
    },
    **{
        f"length_{length}": partial(train, "small", length, 1, "text_ebt", [], None)
        for length in LENGTHS
    },
    **{
        name: partial(train, "small", 256, 32, "text_published_s1", settings, None)
        for name, settings in PUBLISHED.items()
    },
    "gradients": gradients,
    "cpu_quickstart": cpu_quickstart,
}


# ---------------------------------------------------------------------- all cases


def run_all(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Every case that is asked for and not there yet, as a process of its own."""
    kept = arguments.out.with_suffix(".runs")
    kept.parent.mkdir(parents=True, exist_ok=True)
    lines = kept.read_text().splitlines() if kept.exists() else []
    rows = {row["case"]: row for row in map(json.loads, lines)}
    for case in arguments.only or CASES:
        if case in rows:
            continue
        row = _process(case, arguments.timeout)
        if row is None:
            continue
        rows[case] = {"case": case, **row}
        with kept.open("a") as file:
            file.write(json.dumps(rows[case]) + "\n")
    return rows


def _process(case: str, timeout_s: int) -> dict[str, Any] | None:
    began = time.monotonic()
    command = [sys.executable, *sys.argv, "--one", case]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        print(f"{case}: not done after {timeout_s} s", flush=True)
        return None
    if done.returncode:
        print(f"{case} failed:\n{done.stderr[-3000:]}", flush=True)
        return None
    print(f"{case}: {time.monotonic() - began:.0f} s", flush=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


# ---------------------------------------------------------------------- results


def write(rows: dict[str, dict[str, Any]], arguments: argparse.Namespace, seconds: float) -> None:
    """All figures of the cases that are there, in the layout that all results use."""
    from argmind.eval.results import Results, git_commit, machine_description, write_results

    figures = dict(_figures(rows))
    results = Results(
        command=shlex.join(["python", *sys.argv]),
        commit=os.environ.get("ARGMIND_COMMIT") or git_commit(),
        machine=machine_description(),
        seeds=(0,),
        figures=figures,
        extra={"cases": list(rows.values()), "wall_clock_s": round(seconds)},
    )
    write_results(arguments.out, results)
    for name, figure in figures.items():
        print(name, figure.to_plain())


def _figures(rows: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for case, row in rows.items():
        if case.startswith("decode_"):
            yield from _decoded(case, row)
        elif case == "gradients":
            for engine, found in row["agreements"].items():
                for name in ("worst_error", "median_error", "worst_cosine", "median_cosine"):
                    yield f"gradient_{engine}_{name}", _figure(found[name], "1")
        elif case == "cpu_quickstart":
            yield "cpu_quickstart_ratio", _figure(row["ratios"][case], "1")
        else:
            yield from _trained(case, row)


def _trained(case: str, row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    by_model = {one["model"]: one for one in row["rows"]}
    theirs = by_model.pop(RIVAL, None)
    (ours,) = by_model.values()
    yield f"{case}_ms", _figure(ours["ms"], "ms", ours["status"])
    reason = ours.get("peak_gib_reason") or ours["status"]
    yield f"{case}_gib", _figure(ours["peak_gib"], "GiB", reason)
    floors = [ours[name] for name in ("flop_floor_ms", "byte_floor_ms") if ours[name] is not None]
    yield f"{case}_floor_ms", _figure(max(floors, default=None), "ms", ours["status"])
    if theirs is not None:
        yield f"{case}_tpp_ms", _figure(theirs["ms"], "ms", theirs["status"])
        ratio = row["ratios"].get("train")
        yield f"{case}_ratio", _figure(ratio, "1", "one of the two did not fit")


def _decoded(case: str, row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    names = (f"{case}_ratio", f"{case}_scored_ratio", f"{case}_16_candidates_ratio")
    for name, key in zip(names, ("ratio", "scored_ratio", "16_candidates_ratio"), strict=True):
        figure = _figure(row["ratios"].get(key), "1", "one of the two did not fit")
        yield name, figure
        if name == "decode_b1_16_candidates_ratio":
            yield "decode_16_candidates_ratio", figure
    for one in row["rows"]:
        kind = "tpp" if one["model"] == RIVAL else f"{one.get('candidates')}_candidates"
        scored = "_scored" if one.get("scored") and one.get("candidates") == 1 else ""
        yield f"{case}_{kind}{scored}_ms", _figure(one["ms"], "ms", one["status"])


def _figure(value: Any, unit: str, reason: str = "") -> Any:
    from argmind.eval.results import Figure

    if value is None:
        return Figure(value=None, unit=unit, reason=reason)
    if isinstance(value, dict):
        return Figure(**value, unit=unit)
    return Figure(value=value, unit=unit)


if __name__ == "__main__":
    main()
