"""Patches, positions, and the transformer in which every row sees every row."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import from_dict, part_config
from argmind.errors import UserError
from argmind.nn.bidirectional import BidirectionalConfig, BidirectionalTransformer
from argmind.nn.condition import LabelEmbedding, LevelEmbedding
from argmind.nn.patches import PatchEmbedding, patchify, positions_2d, unpatchify

DIM, ROWS = 16, 5


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def trunk(**options: object) -> BidirectionalTransformer:
    """Two blocks, with no weight left at zero."""
    torch.manual_seed(0)
    dims = {"num_layers": 2, "num_heads": 2, "hidden_dim": DIM}
    built = BidirectionalTransformer(from_dict(BidirectionalConfig, {**dims, **options})).double()
    with torch.no_grad():
        for index, weight in enumerate(built.parameters()):
            weight += 0.2 * normal(*weight.shape, seed=index)
    return built


# ---------------------------------------------------------------------- patches


def test_patches_hold_their_own_pixels() -> None:
    images = normal(2, 3, 4, 6, 6)
    rows = patchify(images, 2)
    assert rows.shape == (2, 3, 9, 16)
    for place in range(9):
        top, left = 2 * (place // 3), 2 * (place % 3)
        part = images[..., top : top + 2, left : left + 2].flatten(-3)
        assert torch.equal(rows[:, :, place], part)
    assert torch.equal(unpatchify(rows, 2, 4), images)


def test_positions_say_row_and_column() -> None:
    waves = positions_2d(4, DIM).unflatten(0, (4, 4))
    half = DIM // 2
    assert torch.equal(waves[:, 0, :half], waves[:, 3, :half])
    assert torch.equal(waves[0, :, half:], waves[3, :, half:])
    assert torch.equal(waves[:, 0, :half], waves[0, :, half:])
    assert len(waves.flatten(0, 1).unique(dim=0)) == 16
    torch.testing.assert_close(waves[3, 0, 0], torch.tensor(3.0, dtype=torch.float64).sin())


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="6×6 pixels do not divide into patches of 4"):
        PatchEmbedding(6, 4, 1, DIM)
    with pytest.raises(ValueError, match="width in fours, got 6"):
        positions_2d(2, 6)


# ---------------------------------------------------------------------- the trunk


def published(model: BidirectionalTransformer, x: Tensor, condition: Tensor) -> Tensor:
    """The published blocks, written down once more with PyTorch's own parts."""
    told = F.silu(condition)

    def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return F.layer_norm(x, (DIM,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None]

    for block, modulation in zip(model.blocks, model.modulations, strict=True):
        shift, scale, gate, shift_2, scale_2, gate_2 = modulation(told).chunk(6, dim=1)
        attention = block.attention
        qkv = attention.qkv(modulated(x, shift, scale))
        q, k, v = qkv.view(*x.shape[:2], 3, 2, DIM // 2).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + gate[:, None] * attention.wo(seen)
        hidden = block.feed_forward.w1(modulated(x, shift_2, scale_2))
        x = x + gate_2[:, None] * block.feed_forward.w2(F.gelu(hidden, approximate="tanh"))
    assert model.last is not None
    shift, scale = model.last(told).chunk(2, dim=1)
    return modulated(x, shift, scale)


def test_the_defaults_are_the_published_blocks() -> None:
    model, x, condition = trunk(), normal(3, ROWS, DIM), normal(3, DIM, seed=1)
    torch.testing.assert_close(model(x, condition), published(model, x, condition))


def test_a_fresh_model_lets_rows_through_whatever_the_condition() -> None:
    model = BidirectionalTransformer(
        BidirectionalConfig(num_layers=2, num_heads=2, hidden_dim=DIM)
    ).double()
    x = normal(2, ROWS, DIM)
    expected = F.layer_norm(x, (DIM,), eps=1e-6)
    for seed in range(2):
        torch.testing.assert_close(model(x, normal(2, DIM, seed=seed)), expected)


HOUSE = {
    "modulation": "added",
    "qkv_bias": False,
    "qk_norm": True,
    "norm": "rms",
    "feedforward": "swiglu",
}


@pytest.mark.parametrize("options", [{}, HOUSE], ids=["published", "house"])
def test_rows_have_no_order_and_problems_do_not_mix(options: dict[str, object]) -> None:
    model, x, condition = trunk(**options), normal(2, 3, ROWS, DIM), normal(2, DIM, seed=1)
    told = model.told(condition)
    together = model.under(x, told)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(model.under(x[:, :, order], told), together[:, :, order])
    for problem in range(2):
        for candidate in range(3):
            alone = model(x[problem, candidate][None], condition[problem][None])
            torch.testing.assert_close(alone[0], together[problem, candidate])
        only = told.pick(torch.tensor([problem]))
        torch.testing.assert_close(model.under(x[problem][None], only)[0], together[problem])
    assert not torch.allclose(model(x[:, 0], condition), model(x[:, 0], condition.flip(0)))


def test_house_blocks_have_no_biases() -> None:
    linears = [layer for layer in trunk(**HOUSE).modules() if isinstance(layer, nn.Linear)]
    assert linears
    assert all(layer.bias is None for layer in linears)


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        ({"hidden_dim": 10, "num_heads": 4}, "multiple of num_heads 4"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"modulation": "film"}, "modulation"),
    ],
)
def test_dimensions_that_cannot_be(plain: dict[str, object], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        from_dict(BidirectionalConfig, plain)


# ---------------------------------------------------------------------- conditions and parts


def test_labels_have_a_vector_each_and_one_for_any() -> None:
    table = LabelEmbedding(3, DIM)
    got = table(torch.tensor([0, 1, 2, -1]))
    assert torch.equal(got, table.table.weight)


def test_levels_are_told_apart_and_do_not_mix() -> None:
    embed = LevelEmbedding(DIM).double()
    levels = torch.tensor([0.0, 0.01, 0.5, 1.0], dtype=torch.float64)
    got = embed(levels)
    assert torch.pdist(got.detach()).min() > 1e-4
    torch.testing.assert_close(embed(levels[2:3]), got[2:3])


@pytest.mark.parametrize("affine", [False, True])
def test_layer_norm(affine: bool) -> None:
    norm = part_config("norm", "layer", affine=affine).build(DIM)
    assert len(list(norm.parameters())) == 2 * affine
    x = normal(3, DIM)
    torch.testing.assert_close(norm(x), F.layer_norm(x, (DIM,), eps=1e-6))
    assert norm(x).dtype == torch.float64
