"""Images as training data: order, split, problems, and what a resumed run is promised."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

from argmind.config import override, part_config
from argmind.data.base import TrainingData
from argmind.data.datasets.images import ImageData, pixels_of, scaled
from argmind.errors import UserError


def data(seed=0, given=None, labels=None, settings=(), **config) -> ImageData:
    chosen = override(part_config("dataset", "images", **config), list(settings))
    return ImageData(chosen, seed=seed, given=given, labels=labels)


def numbered(count=40, size=4) -> np.ndarray:
    """Images that say which they are: all pixels of image n are n."""
    return np.repeat(np.arange(count, dtype=np.uint8), size * size).reshape(count, size, size)


def numbers(batch) -> list[int]:
    return pixels_of(batch["clean"])[:, 0, 0, 0].tolist()


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_it_is_training_data():
    made = data()
    assert isinstance(made, TrainingData)
    assert made.model_inputs == {"image_size": 8, "channels": 1, "classes": 10}
    assert made.samples_per_epoch + made.evaluation_samples == 1797
    batch = made.batch(0, 3)
    shapes = {name: tuple(x.shape) for name, x in batch.items()}
    image = (3, 1, 8, 8)
    assert shapes == {"clean": image, "given": image, "level": (3,), "label": (3,)}
    assert batch["clean"].dtype == torch.float32
    assert batch["label"].dtype == torch.int64
    assert batch["clean"].min() == -1
    assert batch["clean"].max() == 1


def test_some_labels_are_withheld_in_training_alone():
    plain, held = data(), data(withheld_labels=0.25)
    batch, told = held.batch(3, 400), plain.batch(3, 400)
    withheld = batch["label"] == -1
    assert withheld.double().mean().item() == pytest.approx(0.25, abs=0.07)
    assert torch.equal(batch["label"][~withheld], told["label"][~withheld])
    assert torch.equal(batch["clean"], told["clean"])
    parts = [held.batch(first, 200)["label"] for first in (3, 203)]
    assert torch.equal(torch.cat(parts), batch["label"])
    shown = next(iter(held.evaluation(50)))["label"]
    assert (shown >= 0).all()
    with pytest.raises(ValueError, match="withheld_labels must lie"):
        data(withheld_labels=1.5)


def test_scaling_comes_back_exactly():
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert (pixels_of(scaled(every)) == every).all()


@pytest.mark.parametrize("task", ["denoise", "inpaint", "generate"])
def test_batches_are_a_pure_function_of_seed_and_place(task):
    settings = [f"task={task}", "flip=true"]
    whole = data(settings=settings).batch(7, 12)
    again = data(settings=settings)
    again.batch(100, 5)
    parts = [again.batch(first, 4) for first in (7, 11, 15)]
    joined = {name: torch.cat([part[name] for part in parts]) for name in whole}
    assert same(whole, joined)
    assert not same(whole, data(seed=1, settings=settings).batch(7, 12))


def test_every_epoch_shows_every_training_image_once_with_other_noise():
    made = data(given=numbered())
    size = made.samples_per_epoch
    first, second = made.batch(0, size), made.batch(size, size)
    assert len(set(numbers(first))) == size
    assert set(numbers(first)) == set(numbers(second))
    assert numbers(first) != numbers(second)
    noise = [batch["given"] - batch["clean"] for batch in (first, second)]
    again = {number: one for number, one in zip(numbers(second), noise[1], strict=True)}
    assert not any(
        torch.equal(one, again[number])
        for number, one in zip(numbers(first), noise[0], strict=True)
    )


def test_the_split_is_spread_and_does_not_depend_on_the_seed():
    made = [data(seed=seed, given=numbered(200)) for seed in (0, 1)]
    held = [numbers(next(iter(one.evaluation(200)))) for one in made]
    assert held[0] == held[1]
    assert len(held[0]) == 20
    trained = set(numbers(made[0].batch(0, 180)))
    assert trained | set(held[0]) == set(range(200))
    assert not trained & set(held[0])
    assert {number // 50 for number in held[0]} == {0, 1, 2, 3}


@pytest.mark.parametrize("task", ["denoise", "inpaint"])
def test_evaluation_is_fixed(task):
    settings = [f"task={task}"]
    whole = next(iter(data(seed=0, settings=settings).evaluation(60, 60)))
    other = list(data(seed=5, settings=settings).evaluation(7, 60))
    joined = {name: torch.cat([batch[name] for batch in other]) for name in whole}
    assert same(whole, joined)
    assert [len(batch["clean"]) for batch in other] == [7] * 8 + [4]


def test_an_evaluation_source_of_its_own(tmp_path):
    for name, count, kind in (("train", 6, 0), ("test", 3, 100)):
        for number in range(count):
            folder = tmp_path / name / ("even" if number % 2 == 0 else "odd")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.full((4, 4), number + kind, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    made = data(source=str(tmp_path / "train"), eval_source=str(tmp_path / "test"))
    assert made.samples_per_epoch == 6
    held = next(iter(made.evaluation(9)))
    assert sorted(numbers(held)) == [100, 101, 102]
    assert [number % 2 for number in numbers(held)] == held["label"].tolist()
    with pytest.raises(UserError, match="is what is trained on"):
        data(source=str(tmp_path / "train"), eval_source=str(tmp_path / "train"))
    (tmp_path / "test" / "odd").rename(tmp_path / "test" / "strange")
    with pytest.raises(UserError, match=r"unknown class of .* 'strange'\. Known: even, odd"):
        data(source=str(tmp_path / "train"), eval_source=str(tmp_path / "test"))


def test_half_of_the_training_images_are_mirrored_and_no_other():
    images = np.zeros((400, 4, 4), dtype=np.uint8)
    images[:, :, 0] = 255  # white at the left
    made = data(given=images, flip=True)
    left = made.batch(0, 360)["clean"][:, 0, 0, 0] == 1
    assert 130 < int(left.sum()) < 230
    again = made.batch(360, 360)["clean"][:, 0, 0, 0] == 1
    assert not torch.equal(left, again)
    assert all((batch["clean"][:, 0, :, 0] == 1).all() for batch in made.evaluation(40))


def test_a_problem_does_not_change_when_flips_do():
    plain, mirrored = data(flip=False).batch(0, 8), data(flip=True).batch(0, 8)
    noise = [batch["given"] - batch["clean"] for batch in (plain, mirrored)]
    torch.testing.assert_close(noise[0], noise[1], atol=1e-6, rtol=0)


def test_the_fingerprint_follows_images_split_flip_and_task():
    base = data()
    others = [
        data(flip=True),
        data(settings=["task.level=0.7"]),
        data(settings=["task=inpaint"]),
        data(image_size=16),
        data(eval_fraction=0.2),
        data(limit=100),
    ]
    assert data(seed=3).fingerprint == base.fingerprint
    assert len({one.fingerprint for one in (base, *others)}) == 7
    assert others[1].images_fingerprint == base.images_fingerprint


def test_labels_stay_with_their_images():
    labels = [f"class {number % 3}" for number in range(40)]
    made = data(given=numbered(), labels=labels)
    assert made.classes == ("class 0", "class 1", "class 2")
    batch = made.batch(0, 60)
    assert [number % 3 for number in numbers(batch)] == batch["label"].tolist()
    assert "label" not in data(given=numbered()).batch(0, 2)


def test_a_batch_of_256_colour_images_is_fast():
    images = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 3), dtype=np.uint8)
    made = data(given=images)
    made.batch(0, 256)
    times = []
    for turn in range(12):
        began = time.perf_counter()
        made.batch(256 * turn, 256)
        times.append(time.perf_counter() - began)
    # 6 ms on one core; a slip into drawing number by number costs a hundred times that.
    assert min(times) < 0.05
