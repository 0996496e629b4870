"""The Triton kernels of normalisation run by Triton's interpreter, on the CPU.

The interpreter is chosen when Triton is imported, so that the work is done in a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="needs Triton (pip install triton); without a GPU its interpreter runs the kernels",
)


def test_kernels_compute_what_the_plain_form_does() -> None:
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONWARNINGS": "ignore"},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def main() -> None:
    from norm_cases import assert_kernels_agree

    from argmind.kernels.norms import triton_rows

    assert_kernels_agree(triton_rows, "cpu", 1e-5)


if __name__ == "__main__":
    main()
