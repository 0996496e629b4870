"""Codes of vectors: to the network's scale and back, and their file."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from argmind.data.normaliser import NORMALISER_FILE, Normaliser, picture_code
from argmind.errors import UserError

KINDS = ("min_max", "gaussian")
kinds = pytest.mark.parametrize("kind", KINDS)


def rows(seed: int = 0, count: int = 50) -> np.ndarray:
    """Three scales, and one element that never changes."""
    random = np.random.default_rng(seed)
    drawn = random.normal(size=(count, 4)) * [1.0, 1e3, 1e-2, 0.0] + [0.0, 500.0, -3.0, 7.0]
    return drawn.astype(np.float32)


def fitted(kind: str, values: np.ndarray | None = None) -> Normaliser:
    return Normaliser.fit(kind, {"actions": rows() if values is None else values})  # type: ignore[arg-type]


def test_min_max_spans_minus_one_to_one():
    code = fitted("min_max").encode("actions", rows())
    np.testing.assert_allclose(code[:, :3].min(0), -1, atol=1e-5)
    np.testing.assert_allclose(code[:, :3].max(0), 1, atol=1e-5)


def test_gaussian_has_mean_zero_and_deviation_one():
    code = fitted("gaussian").encode("actions", rows())
    np.testing.assert_allclose(code[:, :3].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(code[:, :3].std(0), 1, atol=1e-4)


@kinds
def test_what_never_changes_is_moved_to_zero_and_back(kind):
    normaliser = fitted(kind)
    code = normaliser.encode("actions", rows())
    assert (code[:, 3] == 0).all()
    back = normaliser.decode("actions", np.zeros((1, 4), np.float32))
    assert back[0, 3] == 7


@given(
    values=arrays(np.float32, (6, 2), elements=st.floats(-1e4, 1e4, width=32)),
    kind=st.sampled_from(KINDS),
)
def test_decoding_undoes_encoding(values, kind):
    normaliser = fitted(kind, values)
    back = normaliser.decode("actions", normaliser.encode("actions", values))
    reach = np.abs(values).max() + 1
    np.testing.assert_allclose(back, values, atol=1e-5 * reach)
    assert back.dtype == np.float32


@kinds
def test_tensors_and_arrays_are_coded_alike(kind):
    normaliser, values = fitted(kind), rows(1).reshape(5, 10, 4)
    tensor = torch.from_numpy(values)
    for name in ("encode", "decode"):
        array = getattr(normaliser, name)("actions", values)
        coded = getattr(normaliser, name)("actions", tensor)
        assert coded.dtype == torch.float32
        torch.testing.assert_close(coded, torch.from_numpy(array))
        wide = getattr(normaliser, name)("actions", tensor.double())
        assert wide.dtype == torch.float64


@kinds
def test_its_file_gives_it_back_bit_by_bit(kind, tmp_path):
    normaliser = Normaliser.fit(kind, {"actions": rows(), "state": rows(1)[:, :2]})
    normaliser.save_assets(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NORMALISER_FILE]
    loaded = Normaliser.load(tmp_path)
    assert loaded.sizes == normaliser.sizes == {"actions": 4, "state": 2}
    for name, size in loaded.sizes.items():
        values = rows(2)[:, :size]
        assert np.array_equal(loaded.encode(name, values), normaliser.encode(name, values))


def test_a_missing_cut_or_changed_file_is_said(tmp_path):
    with pytest.raises(UserError, match=re.escape(f"has no {NORMALISER_FILE}")):
        Normaliser.load(tmp_path)
    fitted("min_max").save_assets(tmp_path)
    path = tmp_path / NORMALISER_FILE
    content = path.read_bytes()
    path.write_bytes(content[:20])
    with pytest.raises(UserError, match="cannot be read"):
        Normaliser.load(tmp_path)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="damaged"):
        Normaliser.load(tmp_path)


def test_unknown_names_and_other_sizes_are_said():
    normaliser = fitted("min_max")
    with pytest.raises(UserError, match=r"unknown normalised vector 'action'.*'actions'"):
        normaliser.encode("action", rows())
    with pytest.raises(UserError, match=r"'actions' has 3 numbers, where the policy.* 4"):
        normaliser.decode("actions", rows()[:, :3])


def test_pictures_are_planes_within_one():
    image = np.zeros((2, 5, 7, 3), np.uint8)
    image[..., 2] = 255
    code = picture_code(image)
    assert code.shape == (2, 3, 5, 7)
    assert code.dtype == torch.float32
    assert (code[:, :2] == -1).all()
    assert (code[:, 2] == 1).all()
