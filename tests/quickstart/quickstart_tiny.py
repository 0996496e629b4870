"""Sizes that train in well under a second."""

import os
import subprocess
import sys
from pathlib import Path

from argmind.quickstart.text import TextSizes

TINY = TextSizes(
    tokenizer="byte",
    context_tokens=16,
    batch_size=4,
    num_layers=1,
    num_heads=2,
    hidden_dim=16,
    sample_tokens=6,
)

_PROGRAM = """
import sys
from pathlib import Path
from argmind.quickstart import tour
from argmind.quickstart.image import ImageDomain, ImageSizes

tour.LEAST_MINUTES = 0.01
domains = {
    "image": lambda: ImageDomain(
        ImageSizes(num_layers=2, num_heads=2, hidden_dim=32, batch_size=8)
    ),
}
tour.tour(domains[sys.argv[1]](), minutes=0.02, out=Path(sys.argv[2]), seed=0)
"""


def run_tiny(domain: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A tiny quickstart as a process of its own; the last of its ``args`` is the run folder."""
    environment = {**os.environ, "ARGMIND_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _PROGRAM, domain, str(folder / "run")]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=240, cwd=folder
    )
