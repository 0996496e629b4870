"""Train the classifier in whose features generated images are compared with real ones.

    python benchmarks/image_classifier.py --source 'cifar10-train*.parquet' \
        --test 'cifar10-test*.parquet' --out cifar10-features.safetensors

Images are moved by up to an eighth of their side and, with --flip, mirrored. The file holds
weights, dimensions and how good they are; nothing is downloaded. On one GPU about two minutes at
the defaults; on a CPU try --source digits --steps 300 --width 16.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.data.datasets.images import ImageData
from argmind.eval.feature_net import FeatureNet, train_feature_net
from argmind.train.distributed import resolve_device


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, measure, and write the network; returns what is known of it."""
    arguments = _arguments(words)
    device = resolve_device(arguments.device)
    config = ImageData.Config(
        source=arguments.source, eval_source=arguments.test, flip=arguments.flip
    )
    data = ImageData(config, seed=arguments.seed)
    torch.manual_seed(arguments.seed)
    net = FeatureNet(data.channels, len(data.classes), arguments.width, arguments.stages)
    net.to(device)
    began = time.monotonic()

    def batch(step: int) -> tuple[Tensor, Tensor]:
        samples = data.batch(step * arguments.batch_size, arguments.batch_size)
        images = samples["clean"].to(device)
        moved = shifted(images, images.shape[-1] // 8, step, arguments.seed)
        return moved, samples["label"].to(device)

    def report(step: int, loss: float) -> None:
        if step % 100 == 0:
            took_s = time.monotonic() - began
            print(f"step {step:5d}  loss {loss:.3f}  {took_s:.0f} s", file=sys.stderr, flush=True)

    # Casted weights are not kept: they would be those of the first step for all others.
    low = device.type == "cuda"
    with torch.autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=False):
        train_feature_net(net, batch, arguments.steps, arguments.lr, report)
    note = {
        "command": shlex.join([Path(__file__).name, *(sys.argv[1:] if words is None else words)]),
        "data": data.fingerprint,
        "accuracy": accuracy(net, data, device),
        "train_images": data.samples_per_epoch,
        "test_images": data.evaluation_samples,
    }
    net.cpu().save(arguments.out, note)
    return note


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", required=True, help="training images, as data.source")
    parser.add_argument("--test", help="test images (default: a tenth of the source)")
    parser.add_argument("--out", type=Path, default=Path("features.safetensors"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--stages", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--flip", action="store_true", help="mirror half of the images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    return parser.parse_args(words)


def shifted(images: Tensor, most: int, step: int, seed: int) -> Tensor:
    """Each batch moved by up to ``most`` pixels, edges repeated."""
    generator = torch.Generator().manual_seed(hash((seed, step)))
    down, right = torch.randint(0, 2 * most + 1, (2,), generator=generator).tolist()
    side = images.shape[-1]
    padded = F.pad(images, (most,) * 4, mode="replicate")
    return padded[..., down : down + side, right : right + side]


@torch.no_grad()
def accuracy(net: FeatureNet, data: ImageData, device: torch.device) -> float:
    """Share of held-out images told right."""
    right = total = 0
    for samples in data.evaluation(1000):
        told = net(samples["clean"].to(device)).argmax(1)
        right += int((told == samples["label"].to(device)).sum())
        total += len(told)
    return right / total


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
