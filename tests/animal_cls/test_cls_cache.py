"""Where decoded pictures are kept, and what happens when they cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from animal_cls import cache
from animal_cls.cache import PixelCache, cache_folder, clean_up

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
GONE = 4_194_305  # no process has this number: it is more than Linux gives


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "picture.jpg"
    file.write_bytes(b"a picture")
    return file


@pytest.fixture
def kept(tmp_path):
    return PixelCache(tmp_path / "cache")


def never():
    raise AssertionError("decoded again")


def test_what_was_decoded_is_read_back_and_forms_are_kept_apart(kept, picture):
    np.testing.assert_array_equal(kept.read(picture, "whole", lambda: PIXELS), PIXELS)
    np.testing.assert_array_equal(kept.read(picture, "whole", never), PIXELS)
    np.testing.assert_array_equal(PixelCache(kept.folder).read(picture, "whole", never), PIXELS)
    np.testing.assert_array_equal(kept.read(picture, "half", lambda: PIXELS[:1]), PIXELS[:1])
    assert len(list(kept.folder.rglob("*.npy"))) == 2


@pytest.mark.parametrize("left", [b"", b"\x93NUMPY", "half"])
def test_what_was_cut_off_is_decoded_again_and_kept(kept, picture, left):
    kept.read(picture, "whole", lambda: PIXELS)
    (file,) = kept.folder.rglob("*.npy")
    file.write_bytes(file.read_bytes()[:-5] if left == "half" else left)
    np.testing.assert_array_equal(kept.read(picture, "whole", lambda: PIXELS), PIXELS)
    np.testing.assert_array_equal(kept.read(picture, "whole", never), PIXELS)


def test_a_folder_that_takes_nothing_is_told_of_once_and_pictures_are_decoded_each_time(picture, tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    kept = PixelCache(tmp_path / "file" / "cache")
    for _ in range(3):
        np.testing.assert_array_equal(kept.read(picture, "whole", lambda: PIXELS), PIXELS)
    assert caplog.text.count("cannot keep decoded pictures (Not a directory)") == 1


@pytest.mark.parametrize(
    ("place", "needed", "memory", "disk", "where"),
    [
        ("auto", 49, 100, 0, "ram"),
        ("auto", 60, 100, 100, "disk"),
        ("auto", 95, 100, 100, None),
        ("ram", 10**15, 0, 0, "ram"),
        ("disk", 10**15, 0, 0, "disk"),
    ],
)
def test_memory_comes_before_the_disk_and_the_disk_before_nothing(tmp_path, monkeypatch, caplog, place, needed, memory, disk, where):
    monkeypatch.setattr(cache, "_free_memory", lambda: memory)
    monkeypatch.setattr(cache, "_free_space", lambda folder: disk)
    folder = cache_folder(place, tmp_path / "cache", needed=needed, run=7)
    assert folder == {"ram": cache.SHARED_MEMORY / "animal_cls_7", "disk": tmp_path / "cache", None: None}[where]
    assert ("more than is free" in caplog.text) == (where is None)


def test_what_killed_runs_left_is_removed_and_what_others_use_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARED_MEMORY", tmp_path / "shm")
    for name in (f"shm/animal_cls_{GONE}", "shm/animal_cls_1", f"shm/other_{GONE}", "disk/ab"):
        (tmp_path / name).mkdir(parents=True)
    for name in (f".a.npy.{GONE}", ".b.npy.1", "c.npy"):
        (tmp_path / "disk" / "ab" / name).touch()
    clean_up(tmp_path / "disk")
    assert {folder.name for folder in (tmp_path / "shm").iterdir()} == {"animal_cls_1", f"other_{GONE}"}
    assert {file.name for file in (tmp_path / "disk" / "ab").iterdir()} == {".b.npy.1", "c.npy"}
