"""Where an encoder comes from."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from animal_ner import encoder
from animal_ner.encoder import FILES, PACKAGE, PACKAGED_ENCODER, EncoderError, find_encoder


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub that cannot be reached; the names it was asked for."""
    asked: list[str] = []

    def unreachable(name: str, **_: object) -> str:
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setattr(encoder, "snapshot_download", unreachable)
    return asked


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without the packaged encoder."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoder_folder: Path) -> Path:
    """A Python whose packaged encoder is that of the tests; the folder of its files."""
    shutil.copytree(encoder_folder, tmp_path / PACKAGE / "model")
    spec = ModuleSpec(PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / PACKAGE)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == PACKAGE else None)
    return tmp_path / PACKAGE / "model"


def test_a_local_folder_comes_first(encoder_folder: Path, no_hub: list[str]) -> None:
    found = find_encoder(str(encoder_folder))
    assert (found.folder, found.source) == (encoder_folder, "folder")
    assert no_hub == []


def test_a_local_folder_named_like_an_encoder_of_the_hub_comes_first(
    encoder_folder: Path, tmp_path: Path, no_hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(encoder_folder, tmp_path / PACKAGED_ENCODER)
    monkeypatch.chdir(tmp_path)
    assert find_encoder(PACKAGED_ENCODER).source == "folder"
    assert no_hub == []


@pytest.mark.parametrize("missing", FILES)
def test_an_incomplete_folder_names_the_missing_file(encoder_folder: Path, tmp_path: Path, missing: str, no_hub: list[str]) -> None:
    folder = tmp_path / "incomplete"
    shutil.copytree(encoder_folder, folder)
    (folder / missing).unlink()
    with pytest.raises(EncoderError) as caught:
        find_encoder(str(folder))
    assert str(caught.value) == f"encoder {folder}: {missing} missing in that folder"
    assert no_hub == []


def test_the_hub_comes_before_the_package(monkeypatch: pytest.MonkeyPatch, encoder_folder: Path, package: Path) -> None:
    monkeypatch.setattr(encoder, "snapshot_download", lambda name, **_: str(encoder_folder))
    found = find_encoder(PACKAGED_ENCODER)
    assert (found.folder, found.source) == (encoder_folder, "hub")


def test_the_package_serves_without_the_hub(monkeypatch: pytest.MonkeyPatch, package: Path, no_hub: list[str]) -> None:
    digest = hashlib.sha256((package / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(encoder, "PACKAGED_SHA256", digest)
    found = find_encoder(PACKAGED_ENCODER)
    assert (found.folder, found.source) == (package, "package")
    assert no_hub == [PACKAGED_ENCODER]


def test_a_package_with_other_weights_is_refused(package: Path, no_hub: list[str]) -> None:
    with pytest.raises(EncoderError, match=r"model\.safetensors: SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}; the package was changed"):
        find_encoder(PACKAGED_ENCODER)


def test_an_incomplete_package_names_the_missing_file(package: Path, no_hub: list[str]) -> None:
    (package / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"model: model\.safetensors missing in that folder"):
        find_encoder(PACKAGED_ENCODER)


def test_an_encoder_of_the_hub_without_safetensors_names_the_missing_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(encoder, "snapshot_download", lambda name, **_: str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match=r"tokenizer\.json, model\.safetensors missing"):
        find_encoder("somebody/other")


def test_without_hub_and_package_the_error_names_the_extra(no_package: None, no_hub: list[str]) -> None:
    with pytest.raises(EncoderError, match=r"no such folder, and the hub could not be reached.*\.\[offline\]"):
        find_encoder(PACKAGED_ENCODER)


def test_the_package_stands_for_no_other_encoder(package: Path, no_hub: list[str]) -> None:
    with pytest.raises(EncoderError, match=r"encoder 'somebody/other': .*give a local folder"):
        find_encoder("somebody/other")
