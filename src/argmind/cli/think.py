"""``argmind think``: what the candidate held at every step, token by token."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budget_of
from argmind.cli._parser import Parsers, add_verb, whole
from argmind.cli._runs import add_checkpoint, open_text_run

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from argmind.predictors.base import Prediction
    from argmind.text.run import TextRun

_TOP = 5
#: Stands for the token that no text gives: what follows the prompt.
_OPEN = "…"


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "think",
        run,
        "show, token by token, what the model held likely at every thinking step, and its energy",
        'argmind think runs/text_ebt-1 --prompt "The meaning of" --steps 4',
        'argmind think runs/text_ebt-1 --prompt "The meaning of" --tokens 3 --html thinking.html',
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="text to think about")
    parser.add_argument(
        "--tokens", type=whole(1), metavar="N", help="show the last N tokens only; without it, all"
    )
    parser.add_argument("--html", metavar="FILE", help="write the same as a page")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the thinking's own draws")
    add_budget(parser, several=False)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Think about every token of the prompt, and show how."""
    from argmind.eval.results import write_atomically
    from argmind.report.thinking import thinking_page

    opened = open_text_run(args.run_folder, args)
    budget = budget_of(args, opened.predictor, trace=True)
    prediction = opened.predict(args.prompt, budget, seed=args.seed)
    thoughts = thoughts_of(opened, opened.encode(args.prompt), prediction)[-(args.tokens or 0) :]
    if args.html is not None:
        write_atomically(args.html, thinking_page(thoughts, _facts(opened, args)))
        args.screen.note(f"wrote {args.html}")
    plain = {
        "run": str(opened.run.folder),
        "step": opened.run.step,
        "prompt": args.prompt,
        "seed": args.seed,
        "tokens": thoughts,
    }
    args.screen.result(plain, lambda out: _show(thoughts, out))
    return 0


def thoughts_of(
    opened: TextRun, ids: Sequence[int], prediction: Prediction
) -> list[dict[str, Any]]:
    """What stands after each prompt token, how it was thought out, and what that cost.

    A model that does not think has one step; its energy is its entropy.
    """
    trace = prediction.trace
    outputs = trace.outputs if trace else [prediction.output]
    energies = trace.energies if trace else [prediction.energy]
    tops = [_top(opened, output[0]) for output in outputs]
    thoughts: list[dict[str, Any]] = []
    for place, index in enumerate(ids):
        last = place + 1 == len(ids)
        thoughts.append(
            {
                "token": _OPEN if last else opened.tokenizer.token_text(ids[place + 1]),
                "after": opened.tokenizer.token_text(index),
                "steps": [
                    {"energy": float(energy[0, place]), "top": top[place]}
                    for energy, top in zip(energies, tops, strict=True)
                ],
                "steps_used": int(prediction.steps[0, place]),
                "nfe": int(prediction.nfe[0, place]),
                "diverged": bool(prediction.diverged[0, place]),
            }
        )
    return thoughts


def _top(opened: TextRun, logits: Tensor) -> list[list[tuple[str, float]]]:
    """The likeliest tokens after every position, with their probabilities, from logits (S, V)."""
    known = logits.float().softmax(-1)[:, : opened.tokenizer.vocab_size]
    chances, ids = (x.tolist() for x in known.topk(min(_TOP, known.shape[-1]), dim=-1))
    return [
        [(opened.tokenizer.token_text(i), p) for i, p in zip(row, shares, strict=True)]
        for row, shares in zip(ids, chances, strict=True)
    ]


def _facts(opened: TextRun, args: argparse.Namespace) -> list[tuple[str, str]]:
    return [
        ("run", str(opened.run.folder)),
        ("checkpoint", f"step {opened.run.step}"),
        ("candidates", str(args.candidates)),
        ("prompt", args.prompt),
    ]


def _show(thoughts: Sequence[dict[str, Any]], out: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    for thought in thoughts:
        ends = [(thought[name], "bold") for name in ("after", "token")]
        title = Text.assemble("after ", ends[0], ": ", ends[1])
        if thought["diverged"]:
            title.append(" (diverged)", style="red")
        table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD)
        table.add_column("step", justify="right")
        table.add_column("energy", justify="right")
        table.add_column("likeliest tokens, per cent")
        for number, step in enumerate(thought["steps"]):
            words = [_word(word, chance, thought["token"]) for word, chance in step["top"]]
            table.add_row(str(number), f"{step['energy']:.3f}", Text("  ").join(words))
        out.print(table)


def _word(word: str, chance: float, truth: str) -> Any:
    from rich.text import Text

    style = "bold green" if word == truth else ""
    return Text.assemble((word.replace(" ", "␣"), style), (f" {100 * chance:.0f}", "dim"))
