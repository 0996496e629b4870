"""``argmind compare``: runs at equal data, parameters, FLOPs and time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budgets_of
from argmind.cli._parser import Parsers, add_verb
from argmind.cli._runs import (
    add_changes,
    add_checkpoint,
    add_held_out,
    kind_of,
    open_comparable_run,
    refuse_changes,
)
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.cli._comparison import Contender, Measure
    from argmind.cli._text_data import HeldOutText
    from argmind.eval.budgets import Measured
    from argmind.text.run import TextRun
    from argmind.thinking.budget import Budget


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "compare",
        run,
        "compare runs with the first of them, at equal data, parameters, FLOPs and time",
        "argmind compare runs/text_transformer_pp-1 runs/text_ebt-1 --steps 0 1 2 4",
        "argmind compare runs/a runs/b --data other.txt --limit 1000",
        "argmind compare runs/video_transformer_pp-1 runs/video_ebt-1 --steps 0 1 2 4",
    )
    parser.add_argument("run_folders", nargs="+", metavar="RUN", help="run folders, at least two")
    add_held_out(parser)
    add_changes(parser)
    add_budget(parser, several=True)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Measure all runs and set them side by side."""
    if len(args.run_folders) < 2:
        raise UserError("compare needs at least two run folders.")
    from argmind.text.run import TextRun

    opened = [open_comparable_run(folder, args) for folder in args.run_folders]
    first = opened[0]
    for one in opened:
        if kind_of(one) != kind_of(first):
            raise UserError(
                f"{first.run.folder} is a run on {kind_of(first)} and {one.run.folder} one on "
                f"{kind_of(one)}: compare runs of one kind."
            )
    budgets = [budgets_of(args, one.predictor) for one in opened]
    texts = [one for one in opened if isinstance(one, TextRun)]
    pictures = [one for one in opened if not isinstance(one, TextRun)]
    if pictures:
        from argmind.cli._picture_compare import show_comparison

        show_comparison(pictures, budgets, args)
    else:
        refuse_changes(args)
        _show_comparison(texts, budgets, args)
    return 0


def _show_comparison(
    opened: Sequence[TextRun], budgets: Sequence[Sequence[Budget]], args: argparse.Namespace
) -> None:
    one_tokenizer = len({one.tokenizer.fingerprint for one in opened}) == 1
    same_samples = one_tokenizer and len({one.context_tokens for one in opened}) == 1
    texts = _texts(opened, same_samples, args)

    from argmind.cli._comparison import Measure
    from argmind.cli._measure import measured, say_diverged

    nats = Measure(
        key="nats_per_token",
        unit="nats/token",
        logged="nats",
        value=lambda row: row.loss,
        minus=lambda row, other: row.minus(other),
    )
    runs: list[Contender] = []
    for one, text, asked in zip(opened, texts, budgets, strict=True):
        rows = measured(one, text, asked, args)
        say_diverged(rows, args)
        runs.append(_contender(one, rows, nats))
    plain = _plain(runs, texts, nats, one_tokenizer, same_samples)
    args.screen.result(plain, lambda out: _show(plain, runs, nats, one_tokenizer, out))


def _contender(one: TextRun, rows: Sequence[Measured], nats: Measure) -> Contender:
    import torch

    from argmind.cli._comparison import contender

    batch_size = one.run.recipe.training.batch_size
    blank = {"tokens": torch.zeros(batch_size, one.context_tokens + 1, dtype=torch.long)}
    return contender(one.run, rows, nats, blank, batch_size * one.context_tokens)


def _texts(
    opened: Sequence[TextRun], same_samples: bool, args: argparse.Namespace
) -> list[HeldOutText]:
    """What each run is measured on: the same samples wherever that is possible."""
    from argmind.cli._text_data import held_out_text

    if not same_samples:
        return [held_out_text(one, args) for one in opened]
    return [held_out_text(opened[0], args)] * len(opened)


def _plain(
    runs: Sequence[Contender],
    texts: Sequence[HeldOutText],
    nats: Measure,
    one_tokenizer: bool,
    same_samples: bool,
) -> dict[str, Any]:
    from argmind.cli._comparison import at_equal_costs, parameter_ratios

    plain: dict[str, Any] = {
        "reference": runs[0].name,
        "data": [text.name for text in texts],
        "sequences": [text.sequences for text in texts],
        "comparable": "nats per token" if one_tokenizer else "bits per byte",
        "runs": [_plain_run(one, runs[0] if same_samples else None, nats) for one in runs],
        "equal_parameters": {"ratio": parameter_ratios(runs)},
    }
    same_data = len({one.run.data_fingerprint for one in runs}) == 1
    if same_samples and same_data:
        plain |= at_equal_costs(nats, runs)
    plain["notes"] = _notes(plain, one_tokenizer, same_samples, same_data)
    return plain


def _plain_run(one: Contender, reference: Contender | None, nats: Measure) -> dict[str, Any]:
    """Differences from ``reference`` if it was measured on the same samples."""
    from argmind.cli._measure import plain_row

    rows = [plain_row(row) for row in one.rows]  # type: ignore[arg-type]
    if reference is not None:
        for plain, row in zip(rows, one.rows, strict=True):
            if row is not reference.trained:
                plain["difference"], plain["verdict"] = nats.against(row, reference.trained)
    return {
        "run": one.name,
        "step": one.run.step,
        "parameters": one.run.parameters,
        "tokens": one.costs["data"],
        "training_flops": one.costs["flops"],
        "training_seconds": one.costs["seconds"],
        "rows": rows,
    }


def _notes(
    plain: dict[str, Any], one_tokenizer: bool, same_samples: bool, same_data: bool
) -> list[str]:
    from argmind.cli._comparison import notes_on_curves, notes_on_parameters

    notes = notes_on_parameters(plain)
    if not one_tokenizer:
        notes.append(
            "the runs have different tokenizers, so nats per token mean different things: only "
            "bits per byte are compared, each run on its own windows of the text."
        )
    elif not same_samples:
        notes.append(
            "the runs have contexts of different lengths: each was measured on its own windows, "
            "and there are no paired differences."
        )
    elif not same_data:
        notes.append(
            "the runs were trained on different data, or hold out different parts of it: nothing "
            "is said about equal data, FLOPs or time, and what one held out another may have seen."
        )
    else:
        notes += notes_on_curves(plain)
    return notes


def _show(
    plain: dict[str, Any], runs: Sequence[Contender], nats: Measure, comparable: bool, out: Console
) -> None:
    from argmind.cli._comparison import equal_table
    from argmind.cli._measure import budget_table

    out.print(_costs(plain))
    labelled: list[Any] = [(one.name, row) for one in runs for row in one.rows]
    where = ", ".join(dict.fromkeys(plain["data"]))
    title = f"on {where}, {max(plain['sequences'])} sequences"
    out.print(budget_table(labelled, title, comparable))
    if any("difference" in row for one in plain["runs"] for row in one["rows"]):
        out.print(_differences(plain))
    if "equal_data" in plain:
        out.print(equal_table(plain, nats))
    for note in plain["notes"]:
        out.print(f"note: {note}", style="yellow")


def _costs(plain: dict[str, Any]) -> Any:
    from argmind.cli._comparison import plain_table

    heads = ("run", "step", "parameters", "tokens", "FLOPs", "seconds")
    table = plain_table("what each run cost", *heads)
    for one in plain["runs"]:
        figures = (one["tokens"], one["training_flops"], one["training_seconds"])
        table.add_row(
            one["run"],
            str(one["step"]),
            f"{one['parameters']:,}",
            *(f"{figures[0]:,.0f}", f"{figures[1]:.3g}", f"{figures[2]:,.1f}"),
        )
    return table


def _differences(plain: dict[str, Any]) -> Any:
    from argmind.cli._comparison import plain_table, told_difference

    title = f"nats/token minus those of {plain['reference']} as trained, same samples"
    table = plain_table(title, "run", "steps", "cand.", "difference", "verdict")
    for one in plain["runs"]:
        for row in (row for row in one["rows"] if "difference" in row):
            difference = told_difference(row["difference"])
            asked = str(row["steps"]), str(row["candidates"])
            table.add_row(one["run"], *asked, difference, row["verdict"])
    return table
