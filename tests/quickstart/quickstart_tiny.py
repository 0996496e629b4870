"""Sizes that train in well under a second."""

import os
import subprocess
import sys
from pathlib import Path

from argmind.quickstart.image import ImageSizes
from argmind.quickstart.policy import PolicySizes
from argmind.quickstart.reasoning import ReasoningSizes
from argmind.quickstart.text import TextSizes
from argmind.quickstart.video import VideoSizes

TINY = TextSizes(
    tokenizer="byte",
    context_tokens=16,
    batch_size=4,
    num_layers=1,
    num_heads=2,
    hidden_dim=16,
    sample_tokens=6,
)

TINY_IMAGES = ImageSizes(num_layers=2, num_heads=2, hidden_dim=32, batch_size=8)
TINY_CLIPS = VideoSizes(
    num_layers=2,
    num_heads=2,
    hidden_dim=32,
    batch_size=4,
    image_size=8,
    frames=10,
    eval_clips=24,
)
TINY_PUZZLES = ReasoningSizes(
    side=4,
    train_puzzles=60,
    eval_puzzles=60,
    batch_size=8,
    num_layers=1,
    num_heads=2,
    hidden_dim=16,
)
TINY_ACTIONS = PolicySizes(
    demonstrations=8,
    batch_size=8,
    num_layers=1,
    num_heads=2,
    hidden_dim=16,
    episodes=(4, 4),
)

_PROGRAM = """
import sys
from pathlib import Path
from argmind.quickstart import tour
from argmind.quickstart.image import ImageDomain
from argmind.quickstart.policy import PolicyDomain
from argmind.quickstart.reasoning import ReasoningDomain
from argmind.quickstart.video import VideoDomain
from quickstart_tiny import TINY_ACTIONS, TINY_CLIPS, TINY_IMAGES, TINY_PUZZLES

tour.LEAST_MINUTES = 0.01
domains = {
    "image": ImageDomain(TINY_IMAGES),
    "video": VideoDomain(TINY_CLIPS),
    "reasoning": ReasoningDomain(TINY_PUZZLES),
    "policy": PolicyDomain(TINY_ACTIONS),
}
tour.tour(domains[sys.argv[1]], minutes=0.02, out=Path(sys.argv[2]), seed=0)
"""


def run_tiny(domain: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A tiny quickstart as a process of its own; the last of its ``args`` is the run folder."""
    here = str(Path(__file__).parent)
    own = {"ARGMIND_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "PYTHONPATH": here}
    command = [sys.executable, "-c", _PROGRAM, domain, str(folder / "run")]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **own}, timeout=240, cwd=folder
    )
