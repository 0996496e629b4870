"""A small convolutional classifier, whose features say what an image shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.errors import UserError


class FeatureNet(nn.Module):
    """Stages of two 3×3 convolutions, each halving the side; features are the last one's means.

    Runs in ``eval()`` mode: a batch's images do not see each other. Trained by
    ``benchmarks/image_classifier.py``.
    """

    def __init__(self, channels: int, classes: int, width: int = 64, stages: int = 3) -> None:
        super().__init__()
        self.shape = {"channels": channels, "classes": classes, "width": width, "stages": stages}
        widths = [width * 2**stage for stage in range(stages)]
        before = [channels, *widths[:-1]]
        pairs = zip(before, widths, strict=True)
        self.stages = nn.ModuleList(_Stage(narrow, wide) for narrow, wide in pairs)
        self.readout = nn.Linear(widths[-1], classes)

    def features(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] → (B, D)."""
        for index, stage in enumerate(self.stages):
            images = stage(images if not index else F.max_pool2d(images, 2, ceil_mode=True))
        return images.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Class logits."""
        return self.readout(self.features(images))

    def save(self, path: Path, note: dict[str, Any]) -> None:
        """Write weights, dimensions and a note (how it was trained, how good it is)."""
        described = {"shape": json.dumps(self.shape), "note": json.dumps(note)}
        save_file(self.state_dict(), path, metadata=described)


class _Stage(nn.Module):
    """``relu(norm(conv))``, then the same with a residual."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(narrow, wide, 3, padding=1, bias=False)
        self.deepen = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norms[0](self.widen(x)))
        return x + F.relu(self.norms[1](self.deepen(x)))


def load_feature_net(path: Path) -> tuple[FeatureNet, dict[str, Any]]:
    """A saved network in ``eval()`` mode, and its note.

    Raises:
        UserError: no such file, or it holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            described = file.metadata() or {}
            net = FeatureNet(**json.loads(described["shape"]))
            net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(
            f"there is no feature network {path}: train one with benchmarks/image_classifier.py."
        ) from error
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} holds no feature network ({error}).") from error
    return net.eval(), json.loads(described["note"])


def train_feature_net(
    net: FeatureNet,
    batch: Callable[[int], tuple[Tensor, Tensor]],
    steps: int,
    lr: float = 0.01,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Cross-entropy with a one-cycle learning rate; ``batch(step)`` gives images and labels."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.05)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.2)
    net.train()
    for step in range(steps):
        images, labels = batch(step)
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        cycle.step()
        if progress is not None:
            progress(step, float(loss.detach()))
    net.eval()
