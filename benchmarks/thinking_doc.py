"""Fill the figures of ``docs/thinking.md`` in from results files, so that none is typed by hand.

    python benchmarks/thinking_doc.py            # rewrite the page
    python benchmarks/thinking_doc.py --check    # fail if that would change it

``<!--FILE NAME FORM-->…<!---->`` holds the figure NAME of ``docs/results/FILE.json``, FORM being
``%`` or a number of digits; ``<!--table WHAT-->…<!--/table-->`` holds one of :data:`TABLES`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from argmind.eval.results import Figure, read_results, write_atomically

PAGE, RESULTS = Path("docs/thinking.md"), Path("docs/results")
ABSENT = "not measured"
_FIGURE = re.compile(r"<!--([\w-]+) (\w+) (%|\d)-->.*?<!---->", re.DOTALL)
_TABLE = re.compile(r"<!--table (\w+)-->.*?<!--/table-->", re.DOTALL)
MODELS = {
    "ebt": "EBT",
    "ebt_4T_best_of_8": "EBT, best of 8",
    "loop": "loop",
    "recursive": "recursive",
    "onepass": "one pass",
    "diffusion": "diffusion",
    "ired": "IRED",
    "tpp": "Transformer++ (text)",
}
TASKS = {
    "sudoku": "Sudoku 6 × 6",
    "sudoku9": "Sudoku 9 × 9",
    "path": "shortest path",
    "connectivity": "connectivity",
    "sorting": "sorting",
    "addition": "addition",
    "multiplication": "multiplication",
    "dyck": "Dyck words",
    "inverse": "matrix inverse",
    "completion": "completion",
    "sum": "vector sum",
}
BUDGETS = ("T", "2T", "4T", "8T")
ABLATIONS = {
    "": "all",
    "_without_random_step_size": "without random step size",
    "_without_random_steps": "without random number of steps",
    "_without_langevin": "without Langevin noise",
    "_without_replay": "without replay buffer",
}

VARIANTS = {
    "sudoku": {
        "ebt": "thoughts of up to eight steps carried from batch to batch",
        "ebt_longest_4": "of up to four",
        "ebt_longest_16": "of up to sixteen",
        "ebt_two_at_once": "two steps learnt at a time",
        "ebt_unrolled": "four steps unrolled in every batch",
        "ebt_unrolled_apart": "the same, every step learning for itself",
        "ebt_euclidean": "Euclidean descent through the softmax",
        "ebt_quadratic": "quadratic head",
        "ebt_noisy_starts": "half of the starts noisy",
    },
    "inverse": {"ebt": "quadratic head", "ebt_bilinear": "bilinear head"},
    "completion": {"ebt": "bilinear head", "ebt_quadratic": "quadratic head"},
    "sum": {"ebt": "bilinear head", "ebt_quadratic": "quadratic head"},
}
#: Where they are compared: smaller models than in ``reasoning.json``.
CHANGED = "reasoning-variants"


class Filled:
    """A page's places, and what the results files say."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._files: dict[str, dict[str, Figure]] = {}

    def page(self, text: str) -> str:
        """The same page with the figures of today."""
        text = _TABLE.sub(self._table, text)
        return _FIGURE.sub(self._figure, text)

    def said(self, file: str, name: str, form: str) -> str:
        """One figure with its range, in words."""
        figure = self._read(file).get(name)
        if figure is None or not isinstance(figure.value, float | int):
            return ABSENT
        value = _number(figure.value, form)
        if not isinstance(figure.low, float | int) or not isinstance(figure.high, float | int):
            return value
        low, high = _number(figure.low, form), _number(figure.high, form)
        return value if low == high else f"{value} ({low} – {high})"

    def has(self, file: str, name: str) -> bool:
        """Was it measured?"""
        return name in self._read(file)

    def _read(self, file: str) -> dict[str, Figure]:
        if file not in self._files:
            path = self.results / f"{file}.json"
            self._files[file] = dict(read_results(path).figures) if path.exists() else {}
        return self._files[file]

    def _figure(self, match: re.Match[str]) -> str:
        file, name, form = match.groups()
        return f"<!--{file} {name} {form}-->{self.said(file, name, form)}<!---->"

    def _table(self, match: re.Match[str]) -> str:
        name = match[1]
        return f"<!--table {name}-->\n{TABLES[name](self)}\n<!--/table-->"


def _number(value: float, form: str) -> str:
    return f"{100 * value:.1f} %" if form == "%" else f"{value:.{form}f}"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---------------------------------------------------------------------- tables


def by_task(filled: Filled, split: str) -> str:
    """Every task by every model that was trained on it."""
    tasks = [task for task in TASKS if filled.has("reasoning", f"{task}_{split}_ebt")]
    models = [
        model
        for model in MODELS
        if any(filled.has("reasoning", f"{task}_{split}_{model}") for task in tasks)
    ]
    if not tasks:
        return ABSENT
    rows = [
        [TASKS[task], *(_cell(filled, f"{task}_{split}_{model}", task) for model in models)]
        for task in tasks
    ]
    return _rows(["", *(MODELS[model] for model in models)], rows)


def by_budget(filled: Filled, task: str, split: str) -> str:
    """One task's models by how much they think."""
    models = [m for m in MODELS if filled.has("reasoning", f"{task}_{split}_{m}_T")]
    if not models:
        return ABSENT
    names = [*BUDGETS, "T_best_of_8", "4T_best_of_8"]
    rows = [
        [MODELS[model], *(_cell(filled, f"{task}_{split}_{model}_{name}", task) for name in names)]
        for model in models
    ]
    heads = [*BUDGETS, "T, best of 8", "4T, best of 8"]
    return _rows(["", *heads], rows)


def judges(filled: Filled) -> str:
    """What the energy model's energies tell, and what stopping by itself saves."""
    tasks = [task for task in TASKS if filled.has("reasoning", f"{task}_hard_ebt_energy_auroc")]
    columns = {
        "right from wrong (AUROC)": ("{}_hard_ebt_energy_auroc", "3"),
        "energy and loss (rank)": ("{}_hard_ebt_energy_loss_rank", "2"),
        "evaluations of a stop, of 8T's": ("{}_ebt_adaptive_nfe_ratio", "%"),
        "solved so": ("{}_ebt_adaptive_solved", "%"),
        "solved at 8T": ("{}_ebt_adaptive_solved_longest", "%"),
        "steps and difficulty (rank)": ("{}_ebt_adaptive_steps_difficulty_rank", "2"),
    }
    rows = [
        [TASKS[task], *(_maybe(filled, n.format(task), form) for n, form in columns.values())]
        for task in tasks
    ]
    return _rows(["", *columns], rows) if rows else ABSENT


def variants(filled: Filled) -> str:
    """Energy models with one thing changed, on harder problems."""
    names = [*BUDGETS, "4T_best_of_8"]
    rows = [
        [
            TASKS[task],
            words,
            *(_cell(filled, f"{task}_hard_{model}_{name}", task, CHANGED) for name in names),
        ]
        for task, models in VARIANTS.items()
        for model, words in models.items()
        if filled.has(CHANGED, f"{task}_hard_{model}_T")
    ]
    return _rows(["", "", *BUDGETS, "4T, best of 8"], rows) if rows else ABSENT


def ablations(filled: Filled) -> str:
    """What the parts of text's System 2 recipe are for."""
    if not filled.has("system2", "text_think_gain_percent"):
        return ABSENT
    rows = [
        [
            words,
            filled.said("system2", f"text_think_gain_percent{end}", "2"),
            filled.said("system2", f"text_verify_gain_percent{end}", "2"),
        ]
        for end, words in ABLATIONS.items()
    ]
    return _rows(["trained", "thinking longer", "and the best of several"], rows)


def _cell(filled: Filled, name: str, task: str, file: str = "reasoning") -> str:
    form = "4" if task in ("inverse", "completion", "sum") else "%"
    return filled.said(file, name, form) if filled.has(file, name) else ""


def _maybe(filled: Filled, name: str, form: str) -> str:
    return filled.said("reasoning", name, form) if filled.has("reasoning", name) else ""


TABLES: dict[str, Callable[[Filled], str]] = {
    "hard": lambda filled: by_task(filled, "hard"),
    "id": lambda filled: by_task(filled, "id"),
    "sudoku": lambda filled: by_budget(filled, "sudoku", "hard"),
    "sudoku9": lambda filled: by_budget(filled, "sudoku9", "hard"),
    "inverse": lambda filled: by_budget(filled, "inverse", "hard"),
    "variants": variants,
    "judges": judges,
    "ablations": ablations,
}


def main() -> None:
    """Rewrite the page, or say whether it is as the results are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if it would")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    before = arguments.page.read_text(encoding="utf-8")
    after = Filled(arguments.results).page(before)
    if arguments.check:
        sys.exit(f"{arguments.page} is not as its results are" if after != before else 0)
    write_atomically(arguments.page, after)


if __name__ == "__main__":
    main()
