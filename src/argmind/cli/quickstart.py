"""``argmind quickstart``: train, think and compare in minutes, offline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from argmind.cli._parser import Parsers, add_verb, whole


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "quickstart",
        run,
        "train an energy model and its rivals on built-in data, think, and compare",
        "argmind quickstart",
        "argmind quickstart --domain image",
        "argmind quickstart --domain reasoning",
        "argmind quickstart --domain policy",
        "argmind quickstart --minutes 2 --out runs/first --seed 1",
    )
    parser.add_argument(
        "--domain", default="text", help="what to learn: a name of `argmind list quickstart`"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="X",
        help="at most this long; text, reasoning and policy 6, others 5",
    )
    parser.add_argument(
        "--out", metavar="RUN", help="run folder; without it, the next free runs/quickstart-N"
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of everything drawn")


def run(args: argparse.Namespace) -> int:
    """Run the tour of the domain."""
    from argmind import registry

    tour = registry.find("quickstart", args.domain)
    out = None if args.out is None else Path(args.out)
    limit = {} if args.minutes is None else {"minutes": args.minutes}
    results: dict[str, Any] = tour(**limit, out=out, seed=args.seed, silent=args.json)
    args.screen.result(results)
    return 0
