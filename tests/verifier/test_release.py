import json
import shutil

import pytest

from verifier import InputError, Verifier
from verifier.release import FILES, SHIPPED, Release


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(SHIPPED, tmp_path / "release")


def test_the_shipped_release_is_whole_and_small():
    release = Release()
    assert all(release.checked(name) == SHIPPED / name for name in FILES)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 45e6


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused_by_name(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        Verifier(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(InputError, match=name):
        Verifier(copy)


def test_a_training_checkpoint_is_no_release(tmp_path):
    file = tmp_path / "best.ckpt"
    file.write_bytes(b"x")
    with pytest.raises(InputError, match=r"best\.ckpt: a training checkpoint, not a release"):
        Verifier(file)


def test_a_folder_without_manifest_is_no_release(tmp_path):
    with pytest.raises(InputError, match="not a release"):
        Verifier(tmp_path)


@pytest.mark.parametrize("change", [{"format": 99}, {"tags": ["O"]}, {"kinds": None}, {"unheard": 1}])
def test_a_manifest_of_another_kind_is_refused(copy, change):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | change))
    with pytest.raises(InputError):
        Verifier(copy)
