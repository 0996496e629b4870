"""What next-frame predictors without an energy share: a context stream over frames."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from argmind.config import PartConfig
from argmind.nn.conditioning.none import NoConditioning
from argmind.nn.context import ContextState, ContextStream
from argmind.nn.flops import TRAINED, context_flops
from argmind.nn.frames import FrameContext, asked_after, frames_and_changes
from argmind.nn.transformer import TransformerConfig
from argmind.predictors.base import Predictor
from argmind.spaces.image import PixelLoss, pixel_loss, psnr


@dataclass(frozen=True, kw_only=True)
class FrameConfig(PartConfig):
    """The stream's transformer, patches of a frame, and how frames are judged."""

    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    patch: int = 4
    loss: PixelLoss = "smooth_l1"

    def __post_init__(self) -> None:
        if self.patch < 1:
            raise ValueError(f"patch must be at least 1, got {self.patch}")


class FramePredictor(Predictor):
    """Problems as :class:`argmind.spaces.frames.FrameSpace` knows them; answers are changes too."""

    def __init__(self, config: FrameConfig, image_size: int, channels: int, actions: int) -> None:
        super().__init__()
        dims = config.transformer
        self.settings, self.metric = config, config.loss
        self.shape = (channels, image_size, image_size)
        self.context = FrameContext(image_size, channels, actions, config.patch, dims.hidden_dim)
        none = NoConditioning(NoConditioning.Config(), dims.hidden_dim, dims.num_layers, 1)
        self.stream = ContextStream(dims, none, output=True)

    def encode(
        self, context: dict[str, Tensor], first: Tensor | None = None, last_only: bool = False
    ) -> ContextState:
        """Encode frames and actions; see :class:`Predictor`."""
        after = asked_after(context, last_only)
        return self.stream.encode(self.context(context), first, after)

    def hidden(self, state: ContextState) -> Tensor:
        """The stream's output after every frame asked about, (B, P, D)."""
        hidden = self.stream.hidden(state)
        assert hidden is not None  # the stream is built with its output
        return hidden

    def keep(self, state: ContextState, rows: Tensor) -> ContextState:
        """The state of some of its problems, by index."""
        return state.rows(rows)

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Every frame but the last, and the change after each."""
        return frames_and_changes(batch)

    def extent(self, problem: dict[str, Tensor]) -> tuple[int, int]:
        """How many clips, and frames each."""
        count, length = problem["frames"].shape[:2]
        return count, length

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over the pixels of each frame."""
        return pixel_loss(output, target, self.settings.loss)

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Peak signal-to-noise ratio in dB."""
        return {"psnr": psnr(output, target)}

    def stream_flops(self, length: int) -> float:
        """A pass of the stream over one clip."""
        passed = context_flops(self.stream.transformer, length, output=True)
        return passed + length * self.context.flops()

    def frame_flops(self) -> float:
        """What one frame costs beside the stream, once."""
        raise NotImplementedError

    def training_flops(self, sequences: int, length: int) -> float:
        """Three forward passes."""
        return TRAINED * sequences * (self.stream_flops(length) + length * self.frame_flops())
