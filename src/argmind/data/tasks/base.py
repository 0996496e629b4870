"""What a task is: from clean images to problems, the same ones for every model."""

from __future__ import annotations

from torch import Tensor

from argmind.data.base import Batch
from argmind.data.draws import RowDraws


class Task:
    """Makes problems out of clean images (B, C, H, W) in [-1, 1].

    All randomness comes from ``draws``, one stream per image, so that a problem is a pure function
    of the data's seed and the sample's index.
    """

    def problems(self, clean: Tensor, draws: RowDraws) -> Batch:
        """What a batch holds beside the clean images: ``given``, and what is known about it."""
        raise NotImplementedError
