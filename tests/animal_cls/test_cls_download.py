"""Getting sets of pictures: what an archive may hold, where its pictures go, and what is said without a network."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_cls import download
from animal_cls.download import ENGLISH, SUMS, arrange, main

PICTURES = {
    "raw-img/cane/1.jpeg": b"dog 1",
    "raw-img/cane/2.jpg": b"dog 2",
    "raw-img/gatto/1.png": b"cat 1",
    "translate.py": b"translate = {}",
}


def write_zip(file: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def write_tar(file: Path, members: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return file


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """The one line that the command says of bad input; no file is left where the pictures would lie."""
    assert main([str(arg) for arg in args]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("download: ")]
    assert len(lines) == 1
    assert captured.err.endswith(f"{lines[0]}\n")
    assert captured.out == ""
    return lines[0]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != SUMS}


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_an_archive_becomes_a_folder_for_each_kind_in_english(write, tmp_path, capsys):
    archive = write(tmp_path / "set", PICTURES)
    assert main([str(archive), "--into", str(tmp_path / "animals" / "ten")]) == 0
    assert files(tmp_path / "animals" / "ten") == {"dog/1.jpeg": b"dog 1", "dog/2.jpg": b"dog 2", "cat/1.png": b"cat 1"}
    assert [path.name for path in (tmp_path / "animals").iterdir()] == ["ten"]
    assert "3 pictures of 2 kinds, SHA-256 " in capsys.readouterr().err


def test_the_record_is_one_that_sha256sum_checks(tmp_path):
    assert main([str(write_zip(tmp_path / "set.zip", PICTURES)), "--into", str(tmp_path / "ten")]) == 0
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=tmp_path / "ten", check=True)  # noqa: S607


def test_the_same_pictures_have_the_same_digest_whatever_brought_them(tmp_path, capsys):
    said = []
    for write, name in ((write_zip, "a"), (write_tar, "b")):
        assert main([str(write(tmp_path / f"{name}.set", PICTURES)), "--into", str(tmp_path / name)]) == 0
        said.append(capsys.readouterr().err.rpartition("SHA-256 ")[2])
    assert said[0] == said[1]


def test_what_is_there_is_compared_with_its_record(tmp_path, capsys):
    archive, into = write_zip(tmp_path / "set.zip", PICTURES), tmp_path / "ten"
    assert main([str(archive), "--into", str(into)]) == 0
    assert main([str(archive), "--into", str(into)]) == 0
    (into / "dog" / "1.jpeg").write_bytes(b"dog 3")
    assert f"{into / 'dog' / '1.jpeg'}: not what" in refused(capsys, archive, "--into", into)
    (into / "dog" / "1.jpeg").unlink()
    assert f"{into / 'dog' / '1.jpeg'}: missing" in refused(capsys, archive, "--into", into)


def test_a_folder_with_something_else_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    said = refused(capsys, write_zip(tmp_path / "set.zip", PICTURES), "--into", tmp_path / "mine")
    assert "holds something already" in said
    assert files(tmp_path / "mine") == {"letter.txt": b"dear"}


@pytest.mark.parametrize(
    "name", ["../out/cane/1.jpg", "/out/cane/1.jpg", "raw-img/../../cane/1.jpg", "..\\out\\1.jpg", "C:\\out\\cane\\1.jpg"]
)
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_member_that_would_leave_the_folder_is_refused(write, name, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    archive = write(tmp_path / "in" / "set", PICTURES | {name: b"bad"})
    before = set(tmp_path.rglob("*"))
    assert f"{archive}: {name!r} would lie outside" in refused(capsys, archive, "--into", tmp_path / "in" / "ten")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_a_device_in_a_tar_is_refused(kind, tmp_path, capsys):
    link = tarfile.TarInfo("raw-img/cane/passwd.jpg")
    link.type, link.linkname = kind, "/etc/passwd"
    archive = write_tar(tmp_path / "set.tar.gz", PICTURES, link)
    assert "raw-img/cane/passwd.jpg is a link or a device" in refused(capsys, archive, "--into", tmp_path / "ten")
    assert [path.name for path in tmp_path.iterdir()] == ["set.tar.gz"]


def test_a_link_in_a_zip_is_refused(tmp_path, capsys):
    archive = write_zip(tmp_path / "set.zip", PICTURES)
    with zipfile.ZipFile(archive, "a") as file:
        link = zipfile.ZipInfo("raw-img/cane/passwd.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    assert "raw-img/cane/passwd.jpg is a link or a device" in refused(capsys, archive, "--into", tmp_path / "ten")


def test_a_bomb_is_stopped_at_the_limit_whatever_it_says_of_its_size(tmp_path, capsys):
    archive = write_zip(tmp_path / "bomb.zip", PICTURES | {"raw-img/cane/bomb.jpg": bytes(8_000_000)})
    assert archive.stat().st_size < 20_000
    said = refused(capsys, archive, "--into", tmp_path / "ten", "--limit", "0.004")
    assert "more than 0.004 GB of pictures; --limit allows more" in said
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.zip"]


def test_many_empty_files_count_against_the_limit(tmp_path, capsys):
    archive = write_zip(tmp_path / "many.zip", {f"{kind}/{i}.jpg": b"" for kind in "ab" for i in range(50)})
    assert "more than 0.0001 GB" in refused(capsys, archive, "--into", tmp_path / "ten", "--limit", "0.0001")


def test_a_member_that_is_there_twice_is_refused(tmp_path, capsys):
    archive = write_zip(tmp_path / "set.zip", PICTURES)
    with zipfile.ZipFile(archive, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("raw-img/cane/1.jpeg", b"another")
    assert "raw-img/cane/1.jpeg is in it twice" in refused(capsys, archive, "--into", tmp_path / "ten")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"text", "not a .zip or .tar that can be read"), (b"PK\x05\x06" + bytes(18), "fewer than two folders")],
)
def test_a_file_that_is_no_archive_of_pictures_is_refused(content, reason, tmp_path, capsys):
    file = tmp_path / "set.zip"
    if content is not None:
        file.write_bytes(content)
    assert f"{file}: {reason}" in refused(capsys, file, "--into", tmp_path / "ten")


def test_a_broken_member_leaves_nothing_behind(tmp_path, capsys):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for name, content in PICTURES.items():
            file.writestr(name, content)
    archive.write_bytes(archive.read_bytes().replace(b"dog 2", b"dog 9"))
    assert "set.zip: not a .zip or .tar that can be read (Bad CRC-32" in refused(capsys, archive, "--into", tmp_path / "ten")
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_an_archive_needs_a_folder_to_go_to(tmp_path, capsys):
    assert "an archive needs --into DIR" in refused(capsys, write_zip(tmp_path / "set.zip", PICTURES))


class Kaggle:
    """kagglehub with one set in its cache, or without a network."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.asked: list[str] = []

    def dataset_download(self, handle: str) -> str:
        self.asked.append(handle)
        if self.folder is None:
            raise ConnectionError("no route to host")
        return str(self.folder)


def test_a_set_goes_from_the_cache_of_kagglehub_to_data(tmp_path, monkeypatch):
    for name, content in PICTURES.items():
        (tmp_path / "cache" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / name).write_bytes(content)
    (tmp_path / "cache" / "raw-img" / "cane" / "link.jpg").symlink_to("/etc/passwd")
    kaggle = Kaggle(tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "kagglehub", kaggle)
    monkeypatch.chdir(tmp_path)
    assert main(["animals10"]) == 0
    assert set(files(tmp_path / "data" / "animals10")) == {"dog/1.jpeg", "dog/2.jpg", "cat/1.png"}
    assert kaggle.asked == ["alessiocorrado99/animals10/versions/2"]
    assert main(["animals10"]) == 0
    assert len(kaggle.asked) == 1  # what is there is compared, not downloaded


@pytest.mark.parametrize("name", download.SETS)
def test_without_a_network_one_line_says_what_to_do(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "kagglehub", Kaggle(None))
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, name)
    assert f"{name}: not to be had from Kaggle (ConnectionError)" in said
    assert f"https://www.kaggle.com/datasets/{download.SETS[name].split('/versions')[0]} and give the file" in said
    assert not list(tmp_path.iterdir())


def test_without_kagglehub_one_line_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    monkeypatch.chdir(tmp_path)
    assert "pip install -e '.[download]'" in refused(capsys, "animals90")


def test_the_place_with_most_pictures_counts_and_hidden_files_do_not():
    paths = ["animals/animals/cat/1.jpg", "animals/animals/owl/2.jpg", "animals/animals/owl/3.jpg", "thumbs/cat/1.jpg", "thumbs/owl/2.jpg"]
    hidden = ["__MACOSX/animals/cat/1.jpg", "animals/animals/cat/._1.jpg", ".git/cat/1.jpg", "name of the animals.txt", "cover.jpg"]
    arranged = arrange([PurePosixPath(path) for path in paths + hidden])
    assert {str(source): str(target) for source, target in arranged.items()} == {
        "animals/animals/cat/1.jpg": "cat/1.jpg",
        "animals/animals/owl/2.jpg": "owl/2.jpg",
        "animals/animals/owl/3.jpg": "owl/3.jpg",
    }


def test_folders_that_are_not_all_italian_keep_their_names():
    arranged = arrange([PurePosixPath("cane/1.jpg"), PurePosixPath("stick/1.jpg")])
    assert {str(target) for target in arranged.values()} == {"cane/1.jpg", "stick/1.jpg"}


NAMES = st.text(st.sampled_from("ab.cé "), min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: PurePosixPath(*parts[:-1], f"{parts[-1]}.jpg")), unique=True))
def test_every_picture_that_counts_gets_a_place_of_its_own_two_deep(paths):
    arranged = arrange(paths)
    assert set(arranged) <= set(paths)
    assert len(set(arranged.values())) == len(arranged)
    assert all(len(target.parts) == 2 and target.name == source.name for source, target in arranged.items())
    assert len({target.parent for target in arranged.values()}) != 1


def test_the_kinds_of_animals10_are_names_that_the_lexicon_leads_to_themselves():
    from animal_ner.names import Names

    names = Names(ENGLISH.values())
    assert all(set(names.kinds(kind)) == {kind} for kind in ENGLISH.values())


def test_downloading_needs_no_torch():
    code = "import sys, animal_cls.download; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
