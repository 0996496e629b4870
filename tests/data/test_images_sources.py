"""Where images come from, and what is said of those that cannot be used."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argmind.config import part_config
from argmind.data.datasets.images import ImageData
from argmind.data.images import open_image_source
from argmind.data.images.arrays import ArraySource
from argmind.data.images.decode import Shape, decode
from argmind.data.images.store import Wanted, stored_images
from argmind.errors import UserError

SHARED = Path(__file__).parents[2].parent / "shared/data/image/cifar10-test.parquet"


def image(size=8, mode="RGB", seed=0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size, size) if bands == 1 else (size, size, bands)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def png(picture: Image.Image, form="PNG") -> bytes:
    content = io.BytesIO()
    picture.save(content, form)
    return content.getvalue()


def folder_of(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def store(spec, **wanted):
    return stored_images(open_image_source(spec), Wanted(**wanted))


def error_of(spec, **wanted) -> str:
    with pytest.raises(UserError) as caught:
        store(spec, **wanted)
    return str(caught.value)


# Sources --------------------------------------------------------------------


def test_digits_at_their_own_size_and_at_any():
    own, large = store("digits"), store("digits", image_size=16)
    assert own.pixels.shape == (1797, 1, 8, 8)
    assert large.pixels.shape == (1797, 1, 16, 16)
    assert own.classes == tuple("0123456789")
    assert (own.labels == large.labels).all()
    assert own.pixels.min() == 0
    assert own.pixels.max() == 255
    # Up-scaling keeps what is seen: averaged down again the digit is the same.
    down = large.pixels[:50].reshape(50, 8, 2, 8, 2).mean((2, 4))
    assert np.abs(down - own.pixels[:50, 0]).mean() < 12


def test_a_folder_per_class(tmp_path):
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    files = {"b__1_dot_png": png(blue), "a__x_dot_png": png(red), "a__deep__2_dot_png": png(red)}
    found = store(str(folder_of(tmp_path, **files)))
    assert found.classes == ("a", "b")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.pixels[:, :, 0, 0].tolist() == [[255, 0, 0], [255, 0, 0], [0, 0, 255]]


def test_a_flat_folder_a_glob_and_a_file_have_no_classes(tmp_path):
    folder_of(tmp_path, a_dot_png=png(image()), b_dot_jpg=png(image(), "JPEG"), notes=b"no image")
    for spec, count in ((tmp_path, 2), (tmp_path / "*.png", 1), (tmp_path / "b.jpg", 1)):
        found = store(str(spec))
        assert len(found.pixels) == count
        assert found.labels is None
        assert found.classes == ()


def test_one_folder_inside_another_is_no_class(tmp_path):
    assert store(str(folder_of(tmp_path, a__1_dot_png=png(image())))).classes == ()


def test_images_beside_and_inside_folders(tmp_path):
    folder_of(tmp_path, a_dot_png=png(image()), b__c_dot_png=png(image()))
    assert "beside folders and inside them" in error_of(str(tmp_path))


def parquet(path: Path, **columns) -> Path:
    arrow, tables = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    tables.write_table(arrow.table(columns), path)
    return path


@pytest.mark.parametrize("form", ["struct", "bytes", "lists", "path"])
def test_parquet_in_every_layout(tmp_path, form):
    pictures = [image(seed=n) for n in range(3)]
    column = {
        "struct": [{"bytes": png(one), "path": "x.png"} for one in pictures],
        "bytes": [png(one) for one in pictures],
        "lists": [np.asarray(one).tolist() for one in pictures],
        "path": [{"bytes": None, "path": f"{n}.png"} for n in range(3)],
    }[form]
    if form == "path":
        for number, one in enumerate(pictures):
            (tmp_path / f"{number}.png").write_bytes(png(one))
    found = store(str(parquet(tmp_path / "a.parquet", image=column, label=[2, 0, 1])))
    expected = np.stack([np.asarray(one).transpose(2, 0, 1) for one in pictures])
    assert (found.pixels == expected).all()
    assert found.labels.tolist() == [2, 0, 1]
    assert found.classes == ("0", "1", "2")


def test_parquet_with_other_columns(tmp_path):
    path = parquet(tmp_path / "a.parquet", img=[png(image())] * 2, fine=["cat", "ant"])
    assert "no field 'image'. Did you mean 'img'? Fields there: img, fine" in error_of(str(path))
    source = open_image_source(str(path), "img", "fine")
    found = stored_images(source, Wanted())
    assert found.classes == ("ant", "cat")
    assert found.labels.tolist() == [1, 0]
    assert stored_images(open_image_source(str(path), "img"), Wanted()).labels is None
    with pytest.raises(UserError, match="no field 'coarse'"):
        open_image_source(str(path), "img", "coarse")


def test_parquet_written_by_the_datasets_library(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    rows = {"image": [image(seed=n) for n in range(4)], "label": [0, 1, 1, 0]}
    made = datasets.Dataset.from_dict(rows, features=features)
    (tmp_path / "data").mkdir()
    made.to_parquet(str(tmp_path / "data" / "train-0.parquet"))
    found = store(str(tmp_path / "data"))
    assert found.classes == ("no", "yes")
    assert found.labels.tolist() == [0, 1, 1, 0]


def test_the_hub_reads_a_local_dataset_offline(tmp_path):
    pytest.importorskip("datasets")
    parquet(tmp_path / "train.parquet", image=[{"bytes": png(image(seed=n))} for n in range(3)])
    script = (
        "import sys; from argmind.data.images import open_image_source as o;"
        "from argmind.data.images.store import stored_images as s, Wanted;"
        "print(s(o(sys.argv[1]), Wanted()).pixels.shape)"
    )
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", script, f"hf:{tmp_path}"],
        capture_output=True,
        text=True,
        env={**os.environ, **offline},
    )
    assert done.stdout.strip() == "(3, 3, 8, 8)", done.stderr


def test_the_hub_tells_classes_and_names_damaged_images(monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    images = [{"bytes": png(image()), "path": None}, {"bytes": b"broken", "path": None}]
    made = datasets.Dataset.from_dict({"image": images, "label": [1, 0]}, features=features)

    def load_dataset(name, config, *, split, streaming):
        assert (name, config, split, streaming) == ("some/pets", None, "test", True)
        return made.to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert "hf:some/pets:test, row 1: no image that can be read" in error_of("hf:some/pets:test")
    found = store("hf:some/pets:test", skip_bad=True)
    assert found.classes == ("no", "yes")
    assert found.labels.tolist() == [1]


@pytest.mark.skipif(not SHARED.is_file(), reason="the shared CIFAR-10 files are not here")
def test_cifar10():
    found = store(str(SHARED), limit=500)
    assert found.pixels.shape == (500, 3, 32, 32)
    assert set(found.labels.tolist()) == set(range(10))


def test_arrays_from_python():
    whole = np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4)
    found = stored_images(ArraySource(whole, [1, 0]), Wanted())
    assert (found.pixels[:, 0] == whole).all()
    floats = stored_images(ArraySource(whole / 255.0), Wanted())
    assert (floats.pixels == found.pixels).all()
    assert (stored_images(ArraySource(whole[..., None]), Wanted()).pixels == found.pixels).all()
    with pytest.raises(UserError, match="2 images and 3 labels"):
        ArraySource(whole, [1, 2, 3])


# Bad input ------------------------------------------------------------------


GREY16 = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)
HOLE = Image.new("RGBA", (8, 8), (255, 0, 0, 0))

#: Bytes of an image, and what is said of it. The last word: does ``convert`` make it usable?
BAD = {
    "alpha": (png(HOLE), {}, "has transparent pixels (an alpha channel)", True),
    "sixteen": (png(GREY16), {}, "has more than 8 bits a channel", True),
    "grey": (png(image(mode="L")), {"channels": 3}, "is greyscale, where data.channels=3", True),
    "colour": (png(image()), {"channels": 1}, "has colours, where data.channels=1", True),
    "cmyk": (png(image(mode="RGB").convert("CMYK"), "JPEG"), {}, "is in the colours CMYK", True),
    "size": (png(image(9)), {"image_size": 8}, "is 9x9, where images of 8x8 are needed", False),
    "oblong": (png(image(9).resize((9, 5))), {}, "is 9x5, where square images", False),
    "text": (b"no image at all", {}, "no image that can be read (no known image format)", False),
    "empty": (b"", {}, "is empty: there is no image in it", False),
    "cut": (png(image(64))[:-200], {}, "no image that can be read", False),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_image(name, tmp_path):
    content, wanted, said, mended = BAD[name]
    path = folder_of(tmp_path, **{f"{name}_dot_png": content})
    message = error_of(str(path), **wanted)
    assert said in message
    assert f"{name}.png" in message
    if mended:
        assert "data.convert=true" in message
        assert len(store(str(path), convert=True, **wanted).pixels) == 1


def test_pixels_of_a_file_that_are_not_finite(tmp_path):
    """Said first: no leave to give up bits makes them usable."""
    hole = np.full((8, 8), 0.5, np.float32)
    good = folder_of(tmp_path, b_dot_tiff=png(Image.fromarray(hole), "TIFF"))
    hole[0, 0] = np.nan
    folder_of(tmp_path, a_dot_tiff=png(Image.fromarray(hole), "TIFF"))
    assert "a.tiff: 1 of its pixels are NaN" in error_of(str(good))
    assert store(str(good), convert=True, skip_bad=True).skipped == 1


def test_several_frames(tmp_path):
    frames = [image(mode="L", seed=n) for n in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert "holds 3 frames" in error_of(str(tmp_path))
    assert len(store(str(tmp_path), convert=True).pixels) == 1


def test_sixteen_bits_of_colour_are_seen(tmp_path):
    """Pillow reads them as 8 bits without a word."""
    header = b"\x89PNG\r\n\x1a\n"
    body = zlib_rows(np.full((4, 4, 3), 40000, dtype=">u2"))
    folder_of(tmp_path, a_dot_png=header + body)
    assert "more than 8 bits" in error_of(str(tmp_path))
    assert (store(str(tmp_path), convert=True).pixels == 40000 // 256).all()


def zlib_rows(pixels) -> bytes:
    """The chunks of a 16-bit RGB PNG."""
    import struct
    import zlib

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width, _ = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_lossless_kinds_need_no_leave(tmp_path):
    opaque = image().convert("RGBA")
    folder_of(
        tmp_path,
        a_dot_png=png(image()),
        b_dot_png=png(opaque),
        c_dot_png=png(image().convert("P")),
    )
    found = store(str(tmp_path))
    assert found.pixels.shape == (3, 3, 8, 8)
    assert (found.pixels[0] == found.pixels[1]).all()


def test_images_of_unequal_size(tmp_path):
    folder_of(tmp_path, a_dot_png=png(image(8)), b_dot_png=png(image(6)))
    assert "b.png is 6x6, where images of 8x8 are needed" in error_of(str(tmp_path))
    for fit in ("crop", "stretch", "pad"):
        assert store(str(tmp_path), fit=fit).pixels.shape == (2, 3, 8, 8)


def test_how_images_are_made_to_fit(tmp_path):
    wide = Image.new("L", (24, 8), 0)
    wide.paste(255, (8, 0, 16, 8))  # white in the middle, black at both sides
    folder_of(tmp_path, a_dot_png=png(wide))
    cropped, stretched, padded = (
        store(str(tmp_path), fit=fit, image_size=8).pixels[0, 0]
        for fit in ("crop", "stretch", "pad")
    )
    assert (cropped == 255).all()
    assert stretched[:, 0].max() < 30
    assert stretched[:, 4].min() > 200
    assert (padded[0] == 0).all()
    assert padded[4, 4] > 200


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.full((4, 4), np.nan), "16 of its pixels are NaN or infinite"),
        (np.full((4, 4), 2.5), "pixels from 2.5 to 2.5, where floats must lie in [0, 1]"),
        (np.full((4, 4), 300), "more than 8 bits"),
        (np.full((4, 4), -1), "must lie in [0, 255]"),
        (np.zeros((3, 5, 5)), "has the shape (3, 5, 5)"),
        (np.zeros((0, 4)), "has the shape (0, 4)"),
        (np.zeros((4, 4), dtype=complex), "holds complex128"),
    ],
)
def test_bad_arrays(pixels, said):
    good = np.zeros((4, 4), dtype=np.uint8)
    with pytest.raises(UserError) as caught:
        stored_images(ArraySource([good, pixels]), Wanted())
    assert said in str(caught.value)
    assert "images[1]" in str(caught.value)


def test_damaged_images_are_left_out_and_counted(tmp_path, cache):
    files = {f"{n}_dot_png": png(image(seed=n)) for n in range(8)}
    folder_of(tmp_path, **files, x_dot_png=b"broken", y_dot_png=png(image(64))[:-99])
    assert "x.png: no image that can be read" in error_of(str(tmp_path))
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]
    for _ in range(2):  # made, and found again
        found = store(str(tmp_path), skip_bad=True)
        assert len(found.pixels) == 8
        assert found.skipped == 2
        assert "2 of 10 images left out as damaged" in found.note("it")
        assert "x.png" in found.note("it")


def test_leaving_damaged_images_out_excuses_nothing_else(tmp_path):
    folder_of(tmp_path, a_dot_png=png(image(8)), b_dot_png=png(image(6)))
    assert "is 6x6" in error_of(str(tmp_path), skip_bad=True)
    only = folder_of(tmp_path / "only", a_dot_png=b"broken")
    assert "all 1 images in it are damaged" in error_of(str(only), skip_bad=True)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{}", "no usable file in the folder"),
        ("{}/absent", "no such file"),
        ("digitz", "no such file: digitz. Did you mean 'digits'?"),
        ("digits:3", "takes no argument"),
        ("arrays:x", "given from Python"),
        ("", "no images given"),
        ("hf:", "write hf:NAME"),
    ],
)
def test_nothing_there(spec, said, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    assert said in error_of(spec.format(tmp_path))


def test_a_parquet_file_that_is_none(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    assert "not a readable Parquet file" in error_of(str(tmp_path / "a.parquet"))
    path = parquet(tmp_path / "b.parquet", image=["a word"], label=[0])
    assert "row 0 holds str, not an image" in error_of(str(path))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, "a"], "label all images in one way"),
        ([0.5, 0.5], "where a class number or name is needed"),
        ([0, -3], "class numbers begin at 0"),
        ([0, -1], "label all images in one way"),
    ],
)
def test_bad_labels(labels, said):
    with pytest.raises(UserError, match=said):
        stored_images(ArraySource(np.zeros((2, 4, 4), np.uint8), labels), Wanted())


# Cache ----------------------------------------------------------------------


def test_images_are_decoded_once(monkeypatch):
    first = store("digits")
    monkeypatch.setattr("argmind.data.images.store.decode", lambda *_: pytest.fail("decoded again"))
    again = store("digits")
    assert (again.pixels == first.pixels).all()
    assert again.fingerprint == first.fingerprint


def test_the_fingerprint_follows_what_is_asked_and_the_content(tmp_path):
    folder_of(tmp_path, a_dot_png=png(image(8)))
    kinds = [{}, {"image_size": 4, "fit": "crop"}, {"image_size": 4, "fit": "pad"}]
    prints = {store(str(tmp_path), **wanted).fingerprint for wanted in kinds}
    folder_of(tmp_path, a_dot_png=png(image(8, seed=1)))
    assert len(prints | {store(str(tmp_path)).fingerprint}) == 4


def test_a_damaged_cache_is_made_again(cache, caplog):
    expected = store("digits").pixels.copy()
    path = next(cache.glob("images-*.bin"))
    raw = bytearray(path.read_bytes())
    raw[1000] ^= 1
    path.write_bytes(raw)
    assert (store("digits").pixels == expected).all()
    assert "image cache" in caplog.text


def test_decode_does_not_change_what_fits():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = next(ArraySource([pixels]).pictures())
    same = decode(picture, Shape(image_size=8, channels=3))
    assert (same == pixels.transpose(2, 0, 1)).all()


def test_options_that_cannot_be():
    for options in ({"channels": 2}, {"image_size": 0}, {"eval_fraction": 1.0}, {"limit": 1}):
        with pytest.raises(ValueError):
            part_config("dataset", "images", **options)
    with pytest.raises(UserError, match="at least 2 are needed"):
        ImageData(part_config("dataset", "images"), seed=0, given=np.zeros((1, 4, 4), np.uint8))
