"""A tiny System 1 checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from published import make_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.ckpt"
    make_checkpoint.write_checkpoint(path, make_checkpoint.s1_flags())
    return path
