"""``argmind convert``: a checkpoint of the public EBT code as a run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parsers, add_verb
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.convert.published import ConvertedCheckpoint
    from argmind.data.tokenizers import Tokenizer
    from argmind.recipes.base import Recipe


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "convert",
        run,
        "turn a text checkpoint of the public EBT code into a run folder",
        "argmind convert ebt.ckpt --out runs/published --tokenizer hf:EleutherAI/gpt-neox-20b",
    )
    parser.add_argument("checkpoint", metavar="CKPT", help="a Lightning .ckpt; read as data only")
    parser.add_argument("--out", required=True, metavar="RUN", help="run folder to make")
    parser.add_argument(
        "--tokenizer",
        required=True,
        metavar="T",
        help="the one it was trained with: hf:NAME, or the path of a tokenizer.json",
    )


def run(args: argparse.Namespace) -> int:
    """Read, check, and write the run folder."""
    from argmind.convert.published import read_published
    from argmind.data.tokenizers import open_tokenizer
    from argmind.train.runfolder import RunFolder

    folder = RunFolder(Path(args.out))
    folder.require_fresh()
    converted = read_published(Path(args.checkpoint))
    tokenizer = open_tokenizer(args.tokenizer)
    notes = [*converted.notes, *_check_vocabulary(converted, tokenizer)]
    recipe = _recipe(converted, args.tokenizer)
    _write(folder, converted, recipe, tokenizer, args.command)
    for note in notes:
        args.screen.note(note)
    plain: dict[str, Any] = {
        "run": args.out,
        "parameters": sum(weight.numel() for weight in converted.state_dict.values()),
        "vocab_size": converted.vocab_size,
        "notes": notes,
    }
    args.screen.result(plain, lambda out: _show(plain, out))
    return 0


def _check_vocabulary(converted: ConvertedCheckpoint, tokenizer: Tokenizer) -> list[str]:
    """What to know of two vocabularies that differ.

    Raises:
        UserError: the tokenizer has ids that the model does not know.
    """
    known, read = converted.vocab_size, tokenizer.vocab_size
    if read > known:
        raise UserError(
            f"the tokenizer has {read:,} ids and the checkpoint {known:,}: it is not the one the "
            f"checkpoint was trained with ({converted.tokenizer})."
        )
    if read == known:
        return []
    return [
        f"the checkpoint has {known:,} ids and the tokenizer {read:,}: the others stand for no "
        "text and are never written."
    ]


def _recipe(converted: ConvertedCheckpoint, tokenizer: str) -> Recipe:
    from argmind.config import part_config
    from argmind.recipes.base import Recipe

    recipe = Recipe(
        name="converted",
        data=part_config("dataset", "text", tokenizer=tokenizer),
        predictor=converted.predictor_config,
        thinking=converted.thinking,
        objective=converted.objective_config,
    )
    if converted.context_length is None:
        return recipe
    data: Any = recipe.data
    return replace(recipe, data=replace(data, context_tokens=converted.context_length))


def _write(
    folder: Any, converted: ConvertedCheckpoint, recipe: Recipe, tokenizer: Tokenizer, command: str
) -> None:
    """The run folder, its checkpoint last: without one there is no run."""
    from argmind.assembly import run_description
    from argmind.train.files import explained

    with folder.locked():
        inputs = {"vocab_size": converted.vocab_size}
        folder.write_json("recipe.json", run_description(recipe, inputs, command))
        with explained(f"run folder {folder.path}"):
            tokenizer.save(folder.path)
        with folder.store.draft(converted.step) as draft:
            draft.write("model", converted.state_dict)
            draft.commit({"step": converted.step, "data_fingerprint": "converted"})


def _show(plain: dict[str, Any], out: Console) -> None:
    where = plain["run"]
    out.print(f"converted {plain['parameters']:,} parameters: {where}", soft_wrap=True)
    out.print(
        f'next:\n  argmind eval {where} --data FILE\n  argmind generate {where} --prompt "The"',
        soft_wrap=True,
    )
