"""Releases: whole ones are read, and whatever else is refused in one line that names the file."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import verifier.release
from verifier import InputError, Verifier
from verifier.cli import main
from verifier.release import FILES, MANIFEST, SHIPPED, Manifest, Release, digest

ROOT = Path(__file__).parents[2]
CAT = str(ROOT / "notebooks" / "cat.jpg")


@pytest.fixture
def copy(tiny_release, tmp_path):
    return shutil.copytree(tiny_release, tmp_path / "release")


def exchange(release, file, content):
    """Put another file in the place of one of a release, with the digest that fits it."""
    manifest = json.loads((release / MANIFEST).read_text())
    (release / file).write_bytes(content)
    manifest["sha256"][file] = digest(content)
    (release / MANIFEST).write_text(json.dumps(manifest))


def test_a_release_answers(copy):
    verifier = Verifier(copy)
    assert verifier.kinds == ("cat", "dog", "owl")
    assert verifier.read("no dog, a cat")


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


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": 99}, "not a manifest of format"),
        ({"tags": ["O"]}, "made for the tags O; this version has"),
        ({"tags": 3}, "wrong type"),
        ({"kinds": None}, "wrong type"),
        ({"kinds": []}, "kinds: "),
        ({"kinds": ["cat", "cat", "owl"]}, "kinds: "),
        ({"kinds": ["cat", 3, ""]}, "kinds: "),
        ({"unheard": 1}, "unheard"),
        ({"size": -1}, "size: -1 cannot be"),
        ({"size": 10**9}, "size: "),
        ({"size": "16"}, "size: "),
        ({"window": 0}, "window: 0 cannot be"),
        ({"calibration": {"scale": "1", "shift": 0.0}}, "calibration: "),
        ({"asked": {"scale": float("nan"), "shift": 0.0}}, "asked: "),
        ({"threshold": 2}, "threshold: 2 cannot be"),
        ({"seen_from": None}, "seen_from: "),
        ({"sha256": []}, "sha256: "),
        ({"language": 7}, "language: "),
    ],
)
def test_a_manifest_of_another_kind_is_refused_by_its_field(copy, change, named):
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(InputError, match=named) as caught:
        Verifier(copy)
    assert str(caught.value).startswith(str(copy))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000])
def test_a_manifest_that_is_none_is_refused_by_name(copy, content):
    (copy / MANIFEST).write_bytes(content)
    with pytest.raises(InputError, match=r"manifest\.json: cannot be read"):
        Verifier(copy)


def test_files_that_are_too_large_are_refused_unread(copy, monkeypatch):
    monkeypatch.setattr(verifier.release, "MAX_FILE_BYTES", 10)
    with pytest.raises(InputError, match="more than 10 bytes; no file of a release is that large"):
        Verifier(copy)
    monkeypatch.setattr(verifier.release, "MAX_MANIFEST_BYTES", 10)
    with pytest.raises(InputError, match=r"manifest\.json: cannot be read \(more than 10 bytes\)"):
        Verifier(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused_by_name(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-1])
    with pytest.raises(InputError, match=rf"{name}: SHA-256 differs"):
        Verifier(copy)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x08\x3a\xff\xff", b"[]"])
def test_a_file_that_is_no_model_is_refused_by_name_though_its_digest_fits(copy, name, content):
    exchange(copy, name, content)
    with pytest.raises(InputError, match=rf"{name}: not a (model|tokenizer) that can be") as caught:
        Verifier(copy)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_release_is_refused_by_name(copy):
    shutil.copy(SHIPPED / "tokenizer.json", copy)
    with pytest.raises(InputError, match=r"tokenizer\.json: SHA-256 differs"):
        Verifier(copy)


def test_models_in_each_other_s_place_are_refused_by_name(copy):
    exchange(copy, "tagger.onnx", (copy / "classifier.onnx").read_bytes())
    with pytest.raises(InputError, match=r"tagger\.onnx: takes images and gives 3 logits, not ids, mask and 9 as the manifest says"):
        Verifier(copy)


def test_a_manifest_with_other_kinds_than_the_classifier_is_refused(copy):
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {"kinds": ["cat", "dog"]}))
    with pytest.raises(InputError, match=r"classifier\.onnx: takes images and gives 3 logits, not images and 2 as the manifest says"):
        Verifier(copy)


def test_a_release_that_is_refused_is_one_line_and_exit_code_2(copy, capsys):
    exchange(copy, "classifier.onnx", b"no model")
    assert main(["--text", "a cat", "--image", CAT, "--release", str(copy)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "classifier.onnx" in err


OFFLINE = """
import sys
def refuse(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")) or event in ("os.system", "subprocess.Popen", "os.exec"):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(refuse)
from verifier.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_answer_needs_neither_network_nor_other_programs():
    command = [sys.executable, "-c", OFFLINE, "--text", "There is a cat in the picture.", "--image", CAT]
    answered = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answered.returncode, answered.stdout, answered.stderr) == (0, "true\n", "")


def test_the_hook_of_that_test_does_refuse():
    command = [
        sys.executable,
        "-c",
        OFFLINE.replace("from verifier", "import socket; socket.create_connection(('127.0.0.1', 9))\nfrom verifier"),
    ]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.stderr.startswith("socket.")


def test_a_manifest_of_before_rivals_counted_has_none():
    fields = json.loads(Release().manifest.to_json())
    del fields["asked"]["rival"]
    assert Manifest.from_json(json.dumps(fields)).asked.rival == 0
