"""Triton kernels run by Triton's interpreter, on the CPU.

The interpreter is chosen when Triton is imported, so that the work is done in a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="needs Triton (pip install triton); without a GPU its interpreter runs the kernels",
)


def assert_runs(script: str) -> None:
    """Run a test's own file as a script, interpreted."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, script],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "TRITON_INTERPRET": "1",
            "PYTHONWARNINGS": "ignore",
        },
        cwd=Path(script).parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
