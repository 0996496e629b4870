"""``argmind eval``: what a run reaches on held-out data, by how much it thinks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from argmind.cli._budget import add_budget, budgets_of
from argmind.cli._parser import Parsers, add_verb
from argmind.cli._runs import (
    add_changes,
    add_checkpoint,
    add_held_out,
    open_any_run,
    refuse_changes,
)
from argmind.errors import UserError

if TYPE_CHECKING:
    from argmind.text.run import TextRun
    from argmind.thinking.budget import Budget


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "eval",
        run,
        "measure a run on held-out data, at any number of thinking steps and candidates",
        "argmind eval runs/text_ebt-1 --steps 0 1 2 4 --candidates 1 4",
        "argmind eval runs/text_ebt-1 --data other.txt --steps 8 --stop plateau --tolerance 0.01",
        "argmind eval runs/image_denoise_ebt-1 --steps 1 3 10 --set data.task.level=1.0",
        "argmind eval runs/video_ebt-1 --steps 0 1 2 4 --set data.scene=turning",
        "argmind eval runs/reasoning_sudoku_ebt-1 --thinking --html thinking.html",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    add_held_out(parser)
    add_changes(parser)
    add_budget(parser, several=True)
    parser.add_argument(
        "--thinking",
        action="store_true",
        help="study the thinking: steps x candidates, stopping, calibration, curvature, diversity",
    )
    parser.add_argument("--html", metavar="FILE", help="with --thinking: write it as a page")
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Measure every budget and print the table, or study the thinking."""
    from argmind.reasoning.run import ReasoningRun
    from argmind.text.run import TextRun

    if args.html is not None and not args.thinking:
        raise UserError("--html is the page of --thinking: add that.")
    opened = open_any_run(args.run_folder, args)
    if args.thinking:
        from argmind.cli._thinking import show_thinking

        show_thinking(opened, args)
        return 0
    budgets = budgets_of(args, opened.predictor)
    if isinstance(opened, TextRun):
        _show_budgets(opened, budgets, args)
    elif isinstance(opened, ReasoningRun):
        from argmind.cli._reasoning_eval import show_budgets as show_solved

        show_solved(opened, budgets, args)
    else:
        from argmind.cli._picture_eval import show_budgets

        show_budgets(opened, budgets, args)
    return 0


def _show_budgets(opened: TextRun, budgets: Sequence[Budget], args: argparse.Namespace) -> None:
    from argmind.cli._measure import budget_table, measured, plain_row, say_diverged
    from argmind.cli._text_data import held_out_text

    refuse_changes(args)
    data = held_out_text(opened, args)
    rows = measured(opened, data, budgets, args)
    say_diverged(rows, args)
    plain = {
        "run": str(opened.run.folder),
        "step": opened.run.step,
        "parameters": opened.run.parameters,
        "data": data.name,
        "sequences": data.sequences,
        "tokens": data.tokens,
        "seed": args.seed,
        "device": str(opened.run.device),
        "rows": [plain_row(row) for row in rows],
    }
    title = (
        f"{opened.run.folder}, step {opened.run.step}, {opened.run.parameters:,} parameters; "
        f"{data.name}: {data.sequences} sequences, {data.tokens:,} tokens"
    )
    table = budget_table([("", row) for row in rows], title)
    args.screen.result(plain, lambda out: out.print(table))
