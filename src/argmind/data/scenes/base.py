"""What a scene is: a world that clips are made of, each a pure function of (seed, index)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


class Clips(NamedTuple):
    """Clips of T frames."""

    frames: Floats  # (B, T, C, H, W) in [-1, 1]
    #: (B, T, A) in [-1, 1]: what is done at a frame, whose effect the next one shows.
    actions: Floats | None
    #: (B, T): the frame after this one is not decided by the frames so far.
    random: NDArray[np.bool_]


class Scene:
    """Makes clips of square frames.

    A scene is built from its config, the side of a frame in pixels and the number of frames.
    """

    #: Grey (1) or RGB (3).
    channels: ClassVar[int] = 1
    #: Numbers of an action; 0: nobody acts.
    action_dim: int = 0
    #: Too slow to be made when asked for: a fixed number of clips is made once and kept.
    stored: ClassVar[bool] = False

    @property
    def fingerprint(self) -> str:
        """Of what the clips are made from beside the config."""
        raise NotImplementedError

    def clips(self, seed: int, index: NDArray[np.int64], held_out: bool) -> Clips:
        """The clips of these numbers; held-out ones show what no other clip does, where they can.

        Each is a pure function of seed and its number.
        """
        raise NotImplementedError
