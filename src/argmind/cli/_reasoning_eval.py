"""Reasoning runs measured on held-out problems: how many they solve, by how much they think."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from argmind.cli._measure import plain_interval
from argmind.errors import UserError
from argmind.eval.problems import Solved, solve
from argmind.reasoning.run import ReasoningRun
from argmind.thinking.budget import Budget


def refuse_data(args: argparse.Namespace) -> None:
    """Reasoning runs are measured on the problems that they held out.

    Raises:
        UserError: other data, or another task, is named.
    """
    for name, given in (("data", args.data), ("field", args.field), ("set", args.set)):
        if given:
            raise UserError(
                f"--{name} means nothing to a run on reasoning problems: it is measured on those "
                "that it held out. `argmind solve` reads puzzles from a file."
            )


def show_budgets(run: ReasoningRun, budgets: Sequence[Budget], args: argparse.Namespace) -> None:
    """Measure every budget on every split and give the table."""
    refuse_data(args)
    data, rows = run.data(), list[Solved]()
    with args.screen.counting("measuring", len(budgets) * len(data.splits)) as done:
        for split in data.splits:
            for budget in budgets:
                rows.append(
                    solve(
                        run.predictor,
                        data,
                        split,
                        budget,
                        limit=args.limit,
                        batch_size=args.batch_size,
                        seed=args.seed,
                    )
                )
                done(len(rows))
    trained = run.predictor.trained_steps
    plain = {
        "run": str(run.run.folder),
        "step": run.run.step,
        "parameters": run.run.parameters,
        "problem": run.problem.part_name,
        "seed": args.seed,
        "device": str(run.run.device),
        "rows": [_plain_row(row, trained) for row in rows],
    }
    title = (
        f"{run.run.folder}, step {run.run.step}, {run.run.parameters:,} parameters; "
        f"{run.problem.part_name}: {len(rows[0].solved)} problems of each split"
    )
    args.screen.result(plain, lambda out: out.print(_table(rows, trained, title)))


def _plain_row(row: Solved, trained: int) -> dict[str, Any]:
    return {
        "split": row.split,
        "steps": _steps(row, trained),
        "candidates": row.budget.candidates,
        "problems": len(row.solved),
        "solved": plain_interval(row.accuracy()),
        "loss": float(row.evaluation.losses.mean()),
        "verifier_auroc": row.verifier_auroc,
        "nfe": row.mean_nfe,
        "mean_steps": float(row.evaluation.steps.mean()),
        "steps_difficulty_rank": row.steps_follow_difficulty,
        "ms_per_problem": row.evaluation.ms_per_prediction,
        "diverged": int(row.evaluation.diverged.sum()),
    }


def _steps(row: Solved, trained: int) -> int:
    return trained if row.budget.steps is None else row.budget.steps


def _table(rows: Sequence[Solved], trained: int, title: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="ranges: 95 %, over problems; AUROC: does low energy tell right from wrong",
        caption_justify="left",
    )
    for head in ("split", "steps", "cand.", "solved / %", "NFE", "ms", "AUROC"):
        table.add_column(head, justify="left" if head == "split" else "right", overflow="fold")
    for row in rows:
        share = row.accuracy()
        ends = "" if share.low is None else f"\n{100 * share.low:.1f}–{100 * (share.high or 0):.1f}"
        table.add_row(
            row.split,
            str(_steps(row, trained)),
            str(row.budget.candidates),
            f"{100 * share.value:.1f}{ends}",
            f"{row.mean_nfe:.1f}",
            f"{row.evaluation.ms_per_prediction:.3f}",
            f"{row.verifier_auroc:.3f}",
        )
    return table
