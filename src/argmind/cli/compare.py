"""``argmind compare``: runs at equal data, parameters, FLOPs and time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budgets_of
from argmind.cli._parser import Parsers, add_verb
from argmind.cli._runs import (
    HeldOut,
    add_checkpoint,
    add_held_out,
    add_task,
    held_out,
    open_run,
    refuse_task,
)
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.cli._comparison import Contender
    from argmind.eval.curves import Axis
    from argmind.text.run import TextRun
    from argmind.thinking.budget import Budget

_AXES: dict[Axis, str] = {"tokens": "data", "flops": "FLOPs", "seconds": "time"}


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "compare",
        run,
        "compare runs with the first of them, at equal data, parameters, FLOPs and time",
        "argmind compare runs/text_transformer_pp-1 runs/text_ebt-1 --steps 0 1 2 4",
        "argmind compare runs/a runs/b --data other.txt --limit 1000",
    )
    parser.add_argument("run_folders", nargs="+", metavar="RUN", help="run folders, at least two")
    add_held_out(parser)
    add_task(parser)
    add_budget(parser, several=True)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Measure all runs and set them side by side."""
    if len(args.run_folders) < 2:
        raise UserError("compare needs at least two run folders.")
    from argmind.image.run import ImageRun
    from argmind.text.run import TextRun

    opened = [open_run(folder, args) for folder in args.run_folders]
    budgets = [budgets_of(args, one.predictor) for one in opened]
    texts = [one for one in opened if isinstance(one, TextRun)]
    images = [one for one in opened if isinstance(one, ImageRun)]
    if texts and images:
        raise UserError(
            f"{texts[0].run.folder} is a run on text and {images[0].run.folder} one on images: "
            "compare runs of one kind."
        )
    if images:
        from argmind.cli._image_eval import show_comparison

        show_comparison(images, budgets, args)
    else:
        refuse_task(args)
        _show_comparison(texts, budgets, args)
    return 0


def _show_comparison(
    opened: Sequence[TextRun], budgets: Sequence[Sequence[Budget]], args: argparse.Namespace
) -> None:
    one_tokenizer = len({one.tokenizer.fingerprint for one in opened}) == 1
    same_samples = one_tokenizer and len({one.context_tokens for one in opened}) == 1
    texts = _texts(opened, same_samples, args)

    from argmind.cli._comparison import contender
    from argmind.cli._measure import measured, say_diverged

    runs: list[Contender] = []
    for one, text, asked in zip(opened, texts, budgets, strict=True):
        rows = measured(one, text, asked, args)
        say_diverged(rows, args)
        runs.append(contender(one, rows))
    plain = _plain(runs, texts, one_tokenizer, same_samples)
    args.screen.result(plain, lambda out: _show(plain, runs, one_tokenizer, out))


def _texts(
    opened: Sequence[TextRun], same_samples: bool, args: argparse.Namespace
) -> list[HeldOut]:
    """What each run is measured on: the same samples wherever that is possible."""
    if not same_samples:
        return [held_out(one, args) for one in opened]
    return [held_out(opened[0], args)] * len(opened)


def _plain(
    runs: Sequence[Contender], texts: Sequence[HeldOut], one_tokenizer: bool, same_samples: bool
) -> dict[str, Any]:
    from argmind.cli._comparison import at_equal, parameter_ratios

    plain: dict[str, Any] = {
        "reference": runs[0].name,
        "data": [text.name for text in texts],
        "sequences": [text.sequences for text in texts],
        "comparable": "nats per token" if one_tokenizer else "bits per byte",
        "runs": [one.plain(runs[0] if same_samples else None) for one in runs],
        "equal_parameters": {"ratio": parameter_ratios(runs)},
    }
    same_data = len({one.run.run.data_fingerprint for one in runs}) == 1
    if same_samples and same_data:
        plain |= {f"equal_{name.lower()}": at_equal(axis, runs) for axis, name in _AXES.items()}
    plain["notes"] = _notes(plain, runs, one_tokenizer, same_samples, same_data)
    return plain


def _notes(
    plain: dict[str, Any],
    runs: Sequence[Contender],
    one_tokenizer: bool,
    same_samples: bool,
    same_data: bool,
) -> list[str]:
    from argmind.cli._comparison import EQUAL_PARAMETERS

    notes = [
        f"{name} has {ratio:.2f} times the parameters of {runs[0].name}: not equal."
        for name, ratio in plain["equal_parameters"]["ratio"].items()
        if abs(ratio - 1) > EQUAL_PARAMETERS
    ]
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
        notes += _notes_on_curves(plain)
    return notes


def _notes_on_curves(plain: dict[str, Any]) -> list[str]:
    found = {name: plain[f"equal_{name.lower()}"] for name in _AXES.values()}
    notes = [
        f"the held-out curves of these runs have no {name} in common: train the cheaper run for "
        "longer, or evaluate the other one more often (training.eval_every)."
        for name, equal in found.items()
        if equal["at"] is None
    ]
    if any(equal.get("from") == "training curves" for equal in found.values()):
        notes.append(
            "figures from training curves were taken along the way: a run planned to end there, "
            "with its learning rate brought down, would have done better."
        )
    return notes


def _show(plain: dict[str, Any], runs: Sequence[Contender], nats: bool, out: Console) -> None:
    from argmind.cli._measure import budget_table

    out.print(_costs(plain))
    labelled = [(one.name, row) for one in runs for row in one.rows]
    where = ", ".join(dict.fromkeys(plain["data"]))
    out.print(budget_table(labelled, f"on {where}, {max(plain['sequences'])} sequences", nats))
    if any("difference" in row for one in plain["runs"] for row in one["rows"]):
        out.print(_differences(plain))
    if "equal_data" in plain:
        out.print(_equal(plain))
    for note in plain["notes"]:
        out.print(f"note: {note}", style="yellow")


def _costs(plain: dict[str, Any]) -> Any:
    table = _table("what each run cost", "run", "step", "parameters", "tokens", "FLOPs", "seconds")
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
    title = f"nats/token minus those of {plain['reference']} as trained, same samples"
    table = _table(title, "run", "steps", "cand.", "difference", "verdict")
    for one in plain["runs"]:
        for row in (row for row in one["rows"] if "difference" in row):
            difference = _difference(row["difference"])
            asked = str(row["steps"]), str(row["candidates"])
            table.add_row(one["run"], *asked, difference, row["verdict"])
    return table


def _equal(plain: dict[str, Any]) -> Any:
    title = f"held-out nats/token at equal cost, as trained; {plain['reference']} first"
    table = _table(title, "equal", "at", "run", "nats/token", "difference", "verdict", "from")
    for name in _AXES.values():
        found = plain[f"equal_{name.lower()}"]
        if found["at"] is None:
            table.add_row(name, "–")
            continue
        for label, nats in found["nats_per_token"].items():
            against = found["difference"].get(label)
            table.add_row(
                name,
                f"{found['at']:.4g}",
                label,
                f"{nats:.4f}",
                _difference(against) if against else "",
                found["verdict"].get(label, ""),
                found["from"],
            )
    for label, ratio in plain["equal_parameters"]["ratio"].items():
        table.add_row("parameters", f"× {ratio:.3f}", label, "", "", "", "")
    return table


def _difference(plain: dict[str, float | None]) -> str:
    text = f"{plain['value']:+.4f}"
    if plain["low"] is None:
        return text
    return f"{text}\n{plain['low']:+.3f} … {plain['high']:+.3f}"


def _table(title: str, *heads: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for head in heads:
        words = head in ("run", "verdict", "equal", "from")
        table.add_column(head, justify="left" if words else "right")
    return table
