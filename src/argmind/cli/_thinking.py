"""``argmind eval --thinking``: any run's study of thinking, as text, page or plain data."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from argmind.cli._budget import budget_of
from argmind.cli._measure import plain_interval
from argmind.cli._picture_eval import PictureRun, held_out
from argmind.cli._pictures import measure_of
from argmind.cli._runs import refuse_changes
from argmind.cli._text_data import held_out_text
from argmind.data.base import Batch, optional_module
from argmind.errors import UserError
from argmind.eval.evaluate import Evaluation
from argmind.eval.problems import solve
from argmind.eval.results import write_atomically
from argmind.eval.statistics import Interval
from argmind.eval.thinking import CANDIDATES, study
from argmind.eval.thinking_data import Quality, Row, Subject, ThinkingStudy
from argmind.reasoning.run import ReasoningRun
from argmind.report.thinking_study import thinking_study_page
from argmind.report.thinking_words import findings, warnings
from argmind.text.run import TextRun
from argmind.thinking.budget import Budget

#: Images: the split out of distribution has noise of this many times the trained std.
_FACTOR = 2.0
Opened = TextRun | PictureRun | ReasoningRun


def show_thinking(opened: Opened, args: argparse.Namespace) -> None:
    """Study a run, and give what was found.

    Raises:
        UserError: options that do not go with this, or held-out data that cannot be used.
    """
    if args.stop != "fixed":
        raise UserError("--thinking tries stops of its own: leave out --stop.")
    if args.html is not None:
        optional_module("matplotlib", "--html", "report")
    predictor = opened.predictor
    base = replace(budget_of(_single(args), predictor), steps=None)
    found = study(
        subject_of(opened, args),
        base,
        steps=args.steps,
        candidates=CANDIDATES if args.candidates == [1] else args.candidates,
        tell=lambda what: args.screen.err.print(f"measuring: {what}", style="dim"),
    )
    facts = _facts(opened, found)
    if args.html is not None:
        write_atomically(args.html, thinking_study_page(found, facts))
        args.screen.note(f"wrote {args.html}")
    for warning in warnings(found):
        args.screen.note(warning)
    plain = {**dict(facts), "seed": args.seed, **_plain(found)}
    args.screen.result(plain, lambda out: _show(found, out))


def _single(args: argparse.Namespace) -> argparse.Namespace:
    """The options of a budget of one candidate, as trained."""
    return argparse.Namespace(**{**vars(args), "steps": None, "candidates": 1})


def _facts(opened: Opened, found: ThinkingStudy) -> list[tuple[str, str]]:
    samples = ", ".join(f"{count} of '{split}'" for split, count in found.samples.items())
    return [
        ("run", str(opened.run.folder)),
        ("step", str(opened.run.step)),
        ("parameters", str(opened.run.parameters)),
        ("trained_steps", str(found.trained_steps)),
        ("samples", samples),
    ]


# ------------------------------------------------------------------ subjects


def subject_of(opened: Opened, args: argparse.Namespace) -> Subject:
    """The run, what it is asked, and what is good about an answer of it."""
    if isinstance(opened, ReasoningRun):
        return _reasoning(opened, args)
    if not isinstance(opened, TextRun):
        return _pictures(opened, args)
    refuse_changes(args)
    data = held_out_text(opened, args)
    quality = Quality(name="nats per token", unit="nats/token", more_is_better=False)
    return Subject(
        predictor=opened.predictor,
        splits={data.name: data.batches},
        quality=quality,
        symbols=True,
        seed=args.seed,
    )


def _pictures(opened: PictureRun, args: argparse.Namespace) -> Subject:
    data = held_out(opened, args)
    splits: dict[str, list[Batch]] = {data.name: data.batches}
    level = getattr(getattr(opened, "task", None), "level", None)
    if not args.set and isinstance(level, float):
        further = {**vars(args), "set": [f"data.task.level={_FACTOR * level!r}"]}
        harder = held_out(opened, argparse.Namespace(**further))
        splits[harder.name] = harder.batches
    quality = (
        Quality(name="PSNR / dB", unit="dB", score="psnr")
        if measure_of(opened.predictor, data.batches).key == "psnr"
        else Quality(name="loss", unit="1", more_is_better=False)
    )
    return Subject(predictor=opened.predictor, splits=splits, quality=quality, seed=args.seed)


def _reasoning(opened: ReasoningRun, args: argparse.Namespace) -> Subject:
    from argmind.cli._reasoning_eval import refuse_data

    refuse_data(args)
    data, predictor = opened.data(), opened.predictor
    symbols = "symbols" in data.model_inputs

    def judge(split: str, budget: Budget) -> Evaluation:
        found = solve(
            predictor,
            data,
            split,
            budget,
            limit=args.limit,
            batch_size=args.batch_size,
            seed=args.seed,
        )
        solved = found.solved.astype(float)
        return replace(found.evaluation, scores={**found.evaluation.scores, "solved": solved})

    quality = (
        Quality(name="share solved", unit="1", score="solved")
        if symbols
        else Quality(name="squared error", unit="1", more_is_better=False)
    )
    return Subject(
        predictor=predictor,
        splits={
            split: list(data.evaluation(args.batch_size, args.limit, split))
            for split in data.splits
        },
        quality=quality,
        symbols=symbols,
        seed=args.seed,
        judge=judge,
    )


# ------------------------------------------------------------------ shown


def _plain(found: ThinkingStudy) -> dict[str, Any]:
    """For ``--json``; predictions one by one are left out."""
    rank, right = found.calibration.rank, found.calibration.auroc
    return {
        "quality": found.quality.name,
        "more_is_better": found.quality.more_is_better,
        "thinks": found.thinks,
        "rows": [_plain_row(row) for row in found.rows],
        "gains": [_flat(vars(gain)) for gain in found.gains],
        "adaptive": [_flat(vars(row)) for row in found.adaptive],
        "calibration": {
            "rank_correlation": plain_interval(rank),
            "auroc": None if right is None else plain_interval(right),
            "tenths": [_flat(tenth._asdict()) for tenth in found.calibration.tenths],
        },
        "share_of_steps_lowering_energy": list(found.falling),
        "curvature": [
            {
                "steps": row.steps,
                "median": float(np.nanmedian(row.values)),
                "percentile_95": float(np.nanpercentile(row.values, 95)),
                "share_above_2": float((row.values > 2).mean()),
            }
            for row in found.steepness
        ],
        "diversity": [_flat(vars(row)) for row in found.spreads],
        "findings": findings(found),
        "warnings": warnings(found),
    }


def _plain_row(row: Row) -> dict[str, Any]:
    return {name: item for name, item in _flat(vars(row)).items() if name != "values"}


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: plain_interval(item) if isinstance(item, Interval) else item
        for name, item in fields.items()
    }


def _show(found: ThinkingStudy, out: Console) -> None:
    from rich import box

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for head in ("split", "steps", "cand.", found.quality.name, "95 %", "NFE", "ms"):
        table.add_column(head, justify="left" if head == "split" else "right", overflow="fold")
    for row in found.rows:
        low, high = row.quality.low, row.quality.high
        ends = "" if low is None or high is None else f"{low:.3f}–{high:.3f}"
        figures = (
            f"{row.quality.value:.3f}",
            ends,
            f"{row.nfe:.1f}",
            f"{row.ms_per_prediction:.3f}",
        )
        table.add_row(row.split, str(row.steps), str(row.candidates), *figures)
    out.print(table)
    for sentence in findings(found):
        out.print(f"• {sentence}")
