"""``argmind quickstart``: train, think and compare in minutes, offline."""

from __future__ import annotations

import argparse
from typing import Any

from argmind.cli._parser import Parsers, add_verb, whole
from argmind.errors import UserError


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "quickstart",
        run,
        "train an energy model and its rival on text that ships with Python, think, and compare",
        "argmind quickstart",
        "argmind quickstart --minutes 2 --out runs/first --seed 1",
    )
    parser.add_argument(
        "--domain", default="text", help="what to learn: a name of `argmind list quickstart`"
    )
    parser.add_argument("--minutes", type=float, default=6.0, metavar="X", help="at most this long")
    parser.add_argument("--out", metavar="RUN", help="run folder; without it, runs/quickstart-N")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of everything drawn")


def run(args: argparse.Namespace) -> int:
    """Run the tour of the domain."""
    from argmind import registry

    tour = registry.find("quickstart", args.domain)
    if not args.minutes > 0:
        raise UserError(f"--minutes must be above 0, got {args.minutes}.")
    results: Any = tour(minutes=args.minutes, out=args.out, seed=args.seed, silent=args.json)
    plain = results.to_plain() if hasattr(results, "to_plain") else dict(results)
    args.screen.result(plain, lambda out: None)
    return 0
