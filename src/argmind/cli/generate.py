"""``argmind generate``: continue prompts, token by token."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budget_of
from argmind.cli._parser import Parsers, add_verb, whole
from argmind.cli._runs import add_checkpoint, open_text_run
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.text.generation import Step
    from argmind.text.run import Continuation, TextRun


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "generate",
        run,
        "continue a prompt, or several in one batch",
        'argmind generate runs/text_ebt-1 --prompt "The meaning of" --temperature 0.8 --top-p 0.95',
        "echo 'Once upon' | argmind generate runs/text_ebt-1 --prompt - --steps 4 --candidates 8",
        "argmind generate runs/text_ebt-1 --prompt-file prompts.txt --json",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument(
        "--prompt",
        action="append",
        metavar="TEXT",
        help="text to continue; may be repeated; - reads it from stdin",
    )
    parser.add_argument(
        "--prompt-file", metavar="FILE", help="a file with a prompt a line; - reads from stdin"
    )
    parser.add_argument(
        "--max-tokens", type=whole(1), default=64, metavar="N", help="tokens to write, at most"
    )
    parser.add_argument(
        "--temperature", type=float, default=1.0, metavar="X", help="0 takes the likeliest token"
    )
    parser.add_argument(
        "--top-p", type=float, default=1.0, metavar="X", help="mass of the nucleus drawn from"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the draws")
    add_budget(parser, several=False)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Write continuations; a single one appears as it is written."""
    from argmind.text.generation import Sampling

    sampling = Sampling(
        temperature=args.temperature,
        top_p=args.top_p,
        max_tokens=args.max_tokens,
        seed=args.seed,
    )
    prompts = read_prompts(args.prompt, args.prompt_file)
    opened = open_text_run(args.run_folder, args)
    budget = budget_of(args, opened.predictor)
    began = time.perf_counter()
    steps = opened.stream(prompts, budget, sampling)
    if len(prompts) == 1 and not args.json:
        steps = _spoken(opened, prompts[0], steps, args)
    written = opened.collect(prompts, steps)
    seconds = time.perf_counter() - began
    if len(prompts) > 1:
        for one in written:
            _say(args.screen.out, one.prompt, one.text + "\n\n")
    figures = _figures(written, seconds)
    plain = {
        "run": str(opened.run.folder),
        "step": opened.run.step,
        "seed": args.seed,
        "continuations": [one.__dict__ for one in written],
        **figures,
    }
    args.screen.result(plain)
    if not args.json:
        args.screen.err.print(_summary(figures), style="dim")
    return 0


def read_prompts(given: Sequence[str] | None, file: str | None) -> list[str]:
    """All prompts of the options.

    Raises:
        UserError: there is none, or the file cannot be read.
    """
    prompts = [sys.stdin.read().rstrip("\n") if text == "-" else text for text in given or []]
    if file is not None:
        prompts += [line for line in _read(file).splitlines() if line]
    if not prompts:
        raise UserError("there is no prompt to continue: give --prompt TEXT or --prompt-file FILE.")
    return prompts


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no UTF-8 text ({error}).") from error


def _spoken(
    opened: TextRun, prompt: str, steps: Iterator[Step], args: argparse.Namespace
) -> Iterator[Step]:
    """The same steps, each printed as it comes: a character when its last byte is there."""
    out, decoder = args.screen.out, opened.tokenizer.decoder()
    _say(out, prompt, "")
    for step in steps:
        token = int(step.tokens[0])
        if token != opened.tokenizer.end_id:
            _say(out, "", decoder.push(token))
        yield step
    _say(out, "", decoder.flush() + "\n")


def _say(out: Console, prompt: str, text: str) -> None:
    """Text as it is, at once; a prompt stands out on a terminal."""
    if prompt:
        out.print(prompt, style="bold", end="", soft_wrap=True)
    out.file.write(_harmless(text) if out.is_terminal else text)
    out.file.flush()


def _harmless(text: str) -> str:
    """Text that cannot steer a terminal: bytes of a young model may well spell escape sequences."""
    kept = (c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    return "".join(kept)


def _figures(written: Sequence[Continuation], seconds: float) -> dict[str, Any]:
    energies = [energy for one in written for energy in one.energies]
    spent = [nfe for one in written for nfe in one.nfe]
    count = len(energies)
    return {
        "tokens": count,
        "seconds": seconds,
        "tokens_per_s": count / seconds,
        "mean_energy": sum(energies) / count if count else None,
        "nfe_per_token": sum(spent) / count if count else None,
    }


def _summary(figures: dict[str, Any]) -> str:
    if not figures["tokens"]:
        return "the model ended the text at once."
    return (
        f"{figures['tokens']} tokens, {figures['tokens_per_s']:.1f} tokens/s, mean energy "
        f"{figures['mean_energy']:.3f}, NFE {figures['nfe_per_token']:.1f} per token"
    )
