"""What produced a figure: the machine and the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any


def machine_description() -> dict[str, Any]:
    """Processor, cores, memory (GiB), GPUs and versions; no names of hosts, users or folders."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "ram_gib": _ram_gib(),
        "gpus": gpus,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def git_commit() -> str:
    """The commit of the checkout argmind runs from, ``+dirty`` when its code was changed since.

    ``"unknown"`` when argmind was installed as a package or there is no git.
    """
    package = Path(__file__).resolve().parents[1]
    # An installed copy may lie inside somebody else's repository; its commit would be a lie.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return "unknown"
    commit = _git(package, "rev-parse", "HEAD")
    root = _git(package, "rev-parse", "--show-toplevel")
    if not commit or not root:
        return "unknown"
    # Results and notes are written between runs and change no figure.
    changed = _git(Path(root), "status", "--porcelain", "--", ".", ":(exclude)docs")
    return commit if changed == "" else f"{commit}+dirty"


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _ram_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
