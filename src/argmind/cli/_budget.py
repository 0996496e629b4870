"""Options that say how much thinking a prediction may cost."""

from __future__ import annotations

import argparse
from itertools import product
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parser, one_of, whole
from argmind.errors import UserError

if TYPE_CHECKING:
    from argmind.predictors.base import Predictor
    from argmind.thinking.budget import Budget


def add_budget(parser: Parser, several: bool) -> None:
    """``--steps --candidates --select --stop --tolerance --accept-lower``.

    ``several``: ``--steps`` and ``--candidates`` take lists, and every combination is meant.
    """
    shape: dict[str, Any] = {"nargs": "+"} if several else {}
    parser.add_argument(
        "--steps",
        type=whole(0),
        metavar="T",
        help="thinking steps; else as trained",
        **shape,
    )
    parser.add_argument(
        "--candidates",
        type=whole(1),
        metavar="N",
        default=[1] if several else 1,
        help="start this many and keep one per prediction",
        **shape,
    )
    parser.add_argument(
        "--select",
        type=one_of("--select", "min_energy", "max_drop"),
        default="min_energy",
        metavar="HOW",
        help="which candidate is kept: min_energy or max_drop",
    )
    parser.add_argument(
        "--stop",
        default="fixed",
        metavar="RULE",
        help="when a prediction is finished: fixed, plateau or gradient_norm",
    )
    parser.add_argument(
        "--tolerance", type=float, metavar="X", help="below this the stop rule calls it finished"
    )
    parser.add_argument(
        "--accept-lower",
        action="store_true",
        help="take back and halve a step that does not lower the energy",
    )


def budget_of(args: argparse.Namespace, predictor: Predictor, **changes: Any) -> Budget:
    """The one budget that the options mean, checked against the model."""
    return _checked([_budget(args, args.steps, args.candidates, **changes)], predictor)[0]


def budgets_of(args: argparse.Namespace, predictor: Predictor) -> list[Budget]:
    """Every combination of steps and candidates, checked against the model.

    A model that does not think has one.
    """
    if not predictor.thinks:
        return [_budget(args, None, 1)]
    steps: list[int | None] = args.steps or [None]
    counts: list[int] = args.candidates
    asked = [_budget(args, step, count) for step, count in product(steps, counts)]
    return _checked(asked, predictor)


def _checked(budgets: list[Budget], predictor: Predictor) -> list[Budget]:
    for budget in budgets:  # before any of them is measured
        predictor.check(budget)
    return budgets


def _budget(args: argparse.Namespace, steps: int | None, candidates: int, **changes: Any) -> Budget:
    from argmind.thinking.budget import Budget

    return Budget(
        steps=steps,
        candidates=candidates,
        select=args.select,
        stop=_stop(args.stop, args.tolerance),
        accept_lower=args.accept_lower,
        **changes,
    )


def _stop(name: str, tolerance: float | None) -> Any:
    from argmind.config import from_dict
    from argmind.registry import find

    config = find("stop", name).Config
    if tolerance is None:
        return config()
    if "tolerance" not in config.__dataclass_fields__:
        raise UserError(f"--tolerance means nothing to --stop {name}: add --stop plateau.")
    return from_dict(config, {"tolerance": tolerance}, "--stop")
