"""What every report says of its run: command, machine, seed, sizes, times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argmind.eval.results import Results
from argmind.report.markup import duration


def run_facts(
    results: Results, parameters: Mapping[str, int], phases_s: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Names and values for the head of a page; parameters by model, seconds by phase."""
    return [
        ("command", results.command),
        ("machine", machine(results.machine)),
        ("commit", results.commit[:12] + ("+dirty" if "+dirty" in results.commit else "")),
        ("seed" if len(results.seeds) == 1 else "seeds", ", ".join(map(str, results.seeds))),
        *((f"parameters, {model}", f"{count:,}") for model, count in parameters.items()),
        *((phase, duration(seconds)) for phase, seconds in phases_s.items()),
    ]


def machine(facts: Mapping[str, Any]) -> str:
    """The machine in words: ``2 cores, 15.6 GiB memory``; unknown facts as ``name value``."""
    wording = {"cpu": "{}", "cores": "{} cores", "ram_gib": "{} GiB memory", "gpus": "{}"}
    told = []
    for name, item in facts.items():
        text = " + ".join(map(str, item)) if isinstance(item, (list, tuple)) else item
        if text not in (None, ""):
            told.append(wording.get(name, f"{name} {{}}").format(text))
    return ", ".join(told)
