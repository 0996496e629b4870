"""``argmind rollout``: a policy in its environment, episode after episode."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budgets_of
from argmind.cli._parser import Parsers, add_verb, whole
from argmind.cli._runs import add_checkpoint
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.policy.environments.base import EnvironmentConfig
    from argmind.policy.gauge import Recovery, Summary
    from argmind.policy.policy import Policy
    from argmind.policy.rollout import Rollout
    from argmind.thinking.budget import Budget


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "rollout",
        run,
        "let a policy act in its environment, and tell how often it succeeds and at what cost",
        "argmind rollout runs/policy_pusht_ebt-1 --episodes 50 --steps 1 2 4 8",
        "argmind rollout runs/policy_point_ebt-1 --steps 2 --render out.gif",
        "argmind rollout runs/policy_pusht_ebt-1 --deadline-ms 20 --perturb-at 100 --json",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument("--episodes", type=whole(1), default=50, metavar="N", help="how many")
    parser.add_argument(
        "--seed",
        type=whole(0),
        default=100_000,
        help="of the first episode; the others have the numbers that follow",
    )
    parser.add_argument(
        "--env", metavar="NAME", help="environment; else that of the run's demonstrations"
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="X=VALUE",
        help="settings of the environment, such as max_steps=200",
    )
    parser.add_argument(
        "--execute", type=whole(1), metavar="N", help="actions taken of every plan; else as trained"
    )
    parser.add_argument(
        "--deadline-ms",
        type=_positive,
        metavar="MS",
        help="think about each plan for so long, at most, and take the best so far",
    )
    parser.add_argument(
        "--perturb-at", type=whole(0), metavar="STEP", help="disturb every episode before this step"
    )
    parser.add_argument(
        "--noise",
        type=_positive,
        metavar="STD",
        help="normal noise on the states seen, where what the demonstrations show spans 2",
    )
    parser.add_argument(
        "--batch-size", type=whole(1), default=50, metavar="B", help="episodes side by side"
    )
    parser.add_argument(
        "--render", type=Path, metavar="FILE", help="film of episodes (.gif, .mp4), or strip (.png)"
    )
    parser.add_argument(
        "--render-episodes", type=whole(1), default=1, metavar="N", help="the first N are rendered"
    )
    add_budget(parser, several=True)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Roll out every budget, and show the table."""
    from argmind.policy.gauge import recovery, summary
    from argmind.policy.origin import environment_of
    from argmind.policy.render import render, require_renderable

    if args.render is not None:
        require_renderable(args.render)
    policy = _opened(args)
    world = environment_of(policy.run, args.env, args.set)
    budgets = budgets_of(args, policy.predictor)
    if args.render is not None and len(budgets) > 1:
        raise UserError("--render shows one budget: give one number of --steps and --candidates.")
    rows: list[tuple[Budget, Summary, Recovery | None, Sequence[Rollout]]] = []
    for budget in budgets:
        episodes = _episodes(policy, world, budget, args)
        hit = any(one.perturbed_at is not None for one in episodes)
        found = summary(episodes), recovery(episodes) if hit else None
        rows.append((budget, *found, episodes))
        if args.render is not None:
            render(args.render, episodes, world.owner.fps)
    _notes(rows, args)
    plain = {**_head(policy, world, args), "rows": [_plain(args, policy, *row) for row in rows]}
    args.screen.result(plain, lambda out: _show(plain, out))
    return 0


def _opened(args: argparse.Namespace) -> Policy:
    from argmind.policy.policy import Policy

    policy = Policy.load(
        args.run_folder, which=args.which, device=args.device, execute=args.execute
    )
    for note in policy.run.notes:
        args.screen.note(note)
    return policy


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from error
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0, got {text}")
    return value


def _episodes(
    policy: Policy, world: EnvironmentConfig, budget: Budget, args: argparse.Namespace
) -> list[Rollout]:
    from argmind.policy.corruption import state_noise
    from argmind.policy.rollout import rollouts

    drawn = 0 if args.render is None else args.render_episodes
    with args.screen.counting("acting", args.episodes) as done:
        return rollouts(
            policy,
            world.build,
            range(args.seed, args.seed + args.episodes),
            budget,
            deadline_ms=args.deadline_ms,
            at_once=args.batch_size,
            perturb_at=args.perturb_at,
            pictures=drawn,
            corrupt=state_noise(policy, args.noise) if args.noise else None,
            on_done=done,
        )


def _notes(rows: Sequence[Any], args: argparse.Namespace) -> None:
    if args.perturb_at is not None and any(hit is None for _, _, hit, _ in rows):
        args.screen.note(f"no episode lasted to step {args.perturb_at}: none was disturbed.")
    diverged = sum(found.diverged for _, found, _, _ in rows)
    if diverged:
        args.screen.note(f"{diverged} episodes ended because thinking left the finite numbers.")


# ------------------------------------------------------------------ told


def _head(policy: Policy, world: EnvironmentConfig, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "run": str(policy.run.folder),
        "step": policy.run.step,
        "environment": world.part_name,
        "episodes": args.episodes,
        "seed": args.seed,
        "execute": policy.execute,
        "deadline_ms": args.deadline_ms,
        "perturb_at": args.perturb_at,
        "noise": args.noise,
        "side_by_side": 1 if args.deadline_ms is not None else min(args.batch_size, args.episodes),
        "render": None if args.render is None else str(args.render),
    }


def _plain(
    args: argparse.Namespace,
    policy: Policy,
    budget: Budget,
    found: Summary,
    hit: Recovery | None,
    episodes: Sequence[Rollout],
) -> dict[str, Any]:
    thinks = policy.predictor.thinks
    # With a deadline and no number, they are as many as there is time for.
    usual = None if args.deadline_ms is not None else policy.predictor.trained_steps
    steps = usual if budget.steps is None else budget.steps
    return {
        "steps": steps if thinks else None,
        "candidates": budget.candidates if thinks else None,
        "success": found.success._asdict(),
        "score": found.score._asdict(),
        "nfe_per_action": found.nfe_per_action,
        "ms_per_action": found.ms_per_action,
        "energy_start": found.energy_start,
        "energy": found.energy,
        "left_share": None if found.left_share is None else found.left_share._asdict(),
        "diverged": found.diverged,
        "recovery": None
        if hit is None
        else {**hit.rate._asdict(), "disturbed": hit.disturbed, "median_steps": hit.steps},
        "rollouts": [one.plain() for one in episodes],
    }


def _show(plain: Mapping[str, Any], out: Console) -> None:
    from rich import box
    from rich.table import Table

    title = f"{plain['run']} in {plain['environment']}, {plain['episodes']} episodes"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    shown = {
        "steps": lambda row: _count(row["steps"]),
        "cand.": lambda row: _count(row["candidates"]),
        "success": lambda row: _interval(row["success"]),
        "max score (mean)": lambda row: _interval(row["score"]),
        "left": lambda row: _interval(row["left_share"]),
        "recovered": lambda row: _interval(row["recovery"]),
        "energy": lambda row: _energies(row),
        "NFE/action": lambda row: f"{row['nfe_per_action']:.2f}",
        "ms/action": lambda row: f"{row['ms_per_action']:.3f}",
    }
    asked = {name: [cell(row) for row in plain["rows"]] for name, cell in shown.items()}
    kept = {name: cells for name, cells in asked.items() if any(cells)}
    for name in kept:
        table.add_column(name, justify="right")
    for cells in zip(*kept.values(), strict=True):
        table.add_row(*cells)
    out.print(table)
    many = plain["side_by_side"]
    out.print(f"plans were made {many} at a time; ms are of planning alone", style="dim")
    if plain["render"] is not None:
        out.print(f"wrote {plain['render']}")


def _count(number: int | None) -> str:
    return "" if number is None else str(number)


def _interval(plain: Mapping[str, Any] | None) -> str:
    if plain is None:
        return ""
    text = f"{plain['value']:.2f}"
    return text if plain["low"] is None else f"{text} ({plain['low']:.2f}-{plain['high']:.2f})"


def _energies(row: Mapping[str, Any]) -> str:
    before, after = row["energy_start"], row["energy"]
    return f"{before:.3g} to {after:.3g}" if before == before and after == after else ""
