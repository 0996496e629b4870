"""``argmind demos``: episodes of an expert, to train policies on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parsers, add_verb, whole

if TYPE_CHECKING:
    from rich.console import Console

#: Settings that begin so are the expert's.
_EXPERT = "expert."
_TEACHES = """
environments: `argmind list environment` shows them all; all but point need
  pip install 'argmind[policy]'

settings: --set NAME=VALUE ..., such as task=door-open-v3 (metaworld), pixels=true (pictures beside
  the state) or max_steps=200; those of the expert begin with 'expert.', such as
  expert.noise_std=0.2; a wrong name lists the right ones

the folder: Parquet tables in LeRobot's columns (observation.state, action, next.reward, ...) and
  meta/info.json. It appears when all episodes are there; Ctrl-C leaves nothing. Train on it with
  argmind train policy_point_ebt --data FOLDER
"""


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "demos",
        run,
        "record demonstrations: episodes of an environment's scripted expert",
        "argmind demos point --episodes 200 --out demos/point",
        "argmind demos metaworld --set task=door-open-v3 --episodes 50 --out demos/door",
        "argmind demos pusht --episodes 200 --out demos/pusht --workers 4 --seed 7",
        "argmind demos point --episodes 50 --out demos/pixels --set pixels=true image_size=64",
    )
    parser.epilog = f"{parser.epilog}\n{_TEACHES}"
    parser.add_argument("environment", metavar="ENV", help="a name of `argmind list environment`")
    parser.add_argument(
        "--episodes", type=whole(1), required=True, metavar="N", help="episodes to keep"
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="new folder for them")
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of the environment, and of its expert after 'expert.'",
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of all episodes")
    parser.add_argument(
        "--workers", type=whole(1), default=1, metavar="W", help="processes that work at once"
    )
    parser.add_argument(
        "--keep-failures", action="store_true", help="keep episodes without success too"
    )


def run(args: argparse.Namespace) -> int:
    """Record demonstrations and say how good the expert was."""
    from argmind.policy.demos import record

    settings, expert = _settings(args)
    with args.screen.counting("recording episodes", args.episodes) as on_done:
        made = record(
            *(Path(args.out), args.environment, settings, args.episodes, args.seed),
            expert=expert,
            keep_failures=args.keep_failures,
            workers=args.workers,
            on_done=on_done,
        )
    tally = made.tally
    plain: dict[str, Any] = {
        "command": args.command,
        "folder": str(made.folder),
        "environment": args.environment,
        "settings": settings,
        "expert": expert,
        "seed": args.seed,
        "episodes": tally.kept,
        "steps": made.steps,
        "attempts": tally.attempts,
        "expert_success_rate": tally.success_rate,
        "expert_mean_score": tally.mean_score,
        "routes": dict(sorted(tally.routes.items())),
        "seconds": made.seconds,
    }
    args.screen.result(plain, lambda out: _show(plain, out))
    return 0


def _show(plain: dict[str, Any], out: Console) -> None:
    out.print(
        f"{plain['episodes']} episodes, {plain['steps']:,} steps, in {plain['folder']} "
        f"({plain['seconds']:.1f} s)"
    )
    out.print(
        f"expert: {plain['expert_success_rate']:.1%} of {plain['attempts']} attempts succeeded, "
        f"mean score {plain['expert_mean_score']:.3f}"
    )
    if plain["routes"]:
        shares = [f"{name} {number}" for name, number in plain["routes"].items()]
        out.print(f"ways taken: {', '.join(shares)}")


def _settings(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the environment and of the expert, read strictly before anything begins.

    Raises:
        UserError: one without '=', an unknown one, a wrong value.
    """
    experts = [text for text in args.set if text.startswith(_EXPERT)]
    own = [text for text in args.set if text not in experts]
    return (
        _changed("environment", args.environment, own),
        _changed("expert", args.environment, [text.removeprefix(_EXPERT) for text in experts]),
    )


def _changed(kind: str, name: str, settings: list[str]) -> dict[str, Any]:
    """The settings that were given, as plain data of the right types."""
    from argmind.config import override, part_config, to_dict

    plain = to_dict(override(part_config(kind, name), settings))
    given = {text.partition("=")[0].strip() for text in settings}
    return {key: value for key, value in plain.items() if key in given}
