"""Every way in which a file is refused, with its message."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from argmind.convert import read_published
from argmind.errors import UserError
from published.make_checkpoint import rewrite, with_flags

Stored = dict[str, Any]


def refusal(path: Path) -> str:
    """The message of the refusal, which names the file."""
    with pytest.raises(UserError) as caught:
        read_published(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.ckpt")
    assert "folder" in refusal(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
def test_random_bytes(tmp_path: Path, size: int) -> None:
    path = tmp_path / "noise.ckpt"
    path.write_bytes(random.Random(size).randbytes(size))
    assert "not a checkpoint" in refusal(path)


def test_a_checkpoint_cut_short_anywhere(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    for part in range(20):
        checkpoint.write_bytes(whole[: len(whole) * part // 20])
        assert "cut short" in refusal(checkpoint)


def test_flipped_bytes_are_refused_or_change_nothing(checkpoint: Path) -> None:
    whole, generator = checkpoint.read_bytes(), random.Random(0)
    expected = read_published(checkpoint)
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        checkpoint.write_bytes(damaged)
        try:
            found = read_published(checkpoint)
        except UserError:
            refused += 1
        else:  # between the parts of the archive
            assert found.thinking == expected.thinking
            for name, value in expected.state_dict.items():
                assert torch.equal(found.state_dict[name], value)
    assert refused > 40


def test_a_flipped_byte_of_a_weight_is_noticed(checkpoint: Path) -> None:
    weight = torch.load(checkpoint, weights_only=True)["state_dict"]["model.embeddings.weight"]
    whole, raw = bytearray(checkpoint.read_bytes()), weight.numpy().tobytes()
    whole[whole.index(raw) + len(raw) // 2] ^= 1
    checkpoint.write_bytes(whole)
    assert "checksum" in refusal(checkpoint)


class Trap:
    """Unpickling this creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("place", ["hyper_parameters", "state_dict", "callbacks"])
def test_a_booby_trapped_pickle_is_refused_and_not_run(
    checkpoint: Path, tmp_path: Path, place: str
) -> None:
    marker = tmp_path / "sprung"
    stored: Stored = torch.load(checkpoint, weights_only=True)
    stored[place]["trap"] = Trap(marker)
    torch.save(stored, checkpoint)
    message = refusal(checkpoint)
    assert "refused" in message
    assert "plain data" in message
    assert not marker.exists()
    torch.load(checkpoint, weights_only=False)  # the trap is real
    assert marker.exists()


def test_the_advice_for_checkpoints_with_objects_works(checkpoint: Path) -> None:
    expected = read_published(checkpoint)
    stored: Stored = torch.load(checkpoint, weights_only=True)
    stored["hyper_parameters"]["log_folder"] = Path("logs")
    torch.save(stored, checkpoint)
    message = refusal(checkpoint)
    assert "pathlib" in message
    assert "save plain data alone" in message
    plain = checkpoint.with_name("plain.ckpt")
    flags = stored["hyper_parameters"].items()
    kept = {name: value for name, value in flags if isinstance(value, (str, int, float))}
    torch.save({"state_dict": stored["state_dict"], "hyper_parameters": kept}, plain)
    found = read_published(plain)
    assert found.predictor_config == expected.predictor_config
    assert found.state_dict.keys() == expected.state_dict.keys()


@pytest.mark.parametrize("key", ["state_dict", "hyper_parameters"])
def test_a_part_of_the_checkpoint_is_missing(checkpoint: Path, key: str) -> None:
    assert f"no '{key}'" in refusal(rewrite(checkpoint, lambda stored: stored.pop(key)))


def test_other_things_that_torch_saves(tmp_path: Path) -> None:
    path = tmp_path / "tensor.pt"
    torch.save(torch.zeros(3), path)
    assert "it holds a Tensor" in refusal(path)
    torch.save({"weight": torch.zeros(3)}, path)
    assert "found: weight" in refusal(path)


@pytest.mark.parametrize(
    "flag", ["ebt_type", "embedding_dim", "mcmc_num_steps", "normalize_initial_condition"]
)
def test_a_flag_is_missing(checkpoint: Path, flag: str) -> None:
    rewrite(checkpoint, lambda stored: stored["hyper_parameters"].pop(flag))
    assert f"missing {flag}" in refusal(checkpoint)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("ebt_norm", "layer"),
        ("ebt_act_func", "gelu"),
        ("num_modality_processing_mlp_layers", 3),
        ("learnable_process_memory", True),
        ("clamp_futures_grad", True),
        ("absolute_clamp", 2.0),
        ("sharpen_predicted_distribution", 0.5),
        ("normalize_initial_condition", False),
        ("denoising_initial_condition", "most_recent_embedding"),
        ("model_name", "baseline_transformer"),
        ("modality", "VID"),
        ("ebt_type", "time_embedding"),
        ("embedding_dim", "wide"),
    ],
)
def test_a_flag_without_counterpart_is_named_with_its_value(
    checkpoint: Path, flag: str, value: Any
) -> None:
    message = refusal(with_flags(checkpoint, **{flag: value}))
    assert flag in message
    assert str(value) in message


def test_a_misspelt_ebt_type_gets_the_nearest_right_one(checkpoint: Path) -> None:
    assert "Did you mean 'time_embed'?" in refusal(with_flags(checkpoint, ebt_type="time_embd"))


@pytest.mark.parametrize(
    "flags", [{"multiheaded_attention_heads": 3}, {"mcmc_num_steps": 0}, {"embedding_dim": 0}]
)
def test_flags_that_no_model_can_have(checkpoint: Path, flags: dict[str, Any]) -> None:
    assert "hyper_parameters" in refusal(with_flags(checkpoint, **flags))


@pytest.mark.parametrize(
    "name",
    ["alpha", "embeddings.weight", "transformer.norm.weight", "transformer.time_embeddings.weight"],
)
def test_a_weight_is_missing(checkpoint: Path, name: str) -> None:
    rewrite(checkpoint, lambda stored: stored["state_dict"].pop(f"model.{name}"))
    assert f"missing: {name}" in refusal(checkpoint)


@pytest.mark.parametrize("name", ["model.transformer.layers.2.extra", "ema.alpha"])
def test_a_weight_is_left_over(checkpoint: Path, name: str) -> None:
    rewrite(checkpoint, lambda stored: stored["state_dict"].update({name: torch.zeros(2)}))
    assert name.removeprefix("model.") in refusal(checkpoint)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("transformer.layers.1.attention.wq.weight", torch.zeros(8, 4)),
        ("transformer.layers.1.attention.wq.weight", torch.zeros(8, 8, dtype=torch.int32)),
        ("embeddings.weight", torch.zeros(())),
        ("alpha", torch.zeros(2)),
        ("alpha", torch.zeros(0)),
    ],
)
def test_a_weight_has_the_wrong_shape_or_type(checkpoint: Path, name: str, value: Any) -> None:
    rewrite(checkpoint, lambda stored: stored["state_dict"].update({f"model.{name}": value}))
    message = refusal(checkpoint)
    assert name in message
    assert str(tuple(value.shape)) in message


def test_a_weight_that_is_no_tensor(checkpoint: Path) -> None:
    rewrite(checkpoint, lambda stored: stored["state_dict"].update({"model.alpha": 2.0}))
    assert "'model.alpha'" in refusal(checkpoint)


def test_flags_of_another_model_than_the_weights(checkpoint: Path) -> None:
    assert "transformer.layers.2" in refusal(with_flags(checkpoint, num_transformer_blocks=3))
    assert "transformer.layers.1" in refusal(with_flags(checkpoint, num_transformer_blocks=1))
