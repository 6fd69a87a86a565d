"""Which pictures a folder or a table lists, and what is said of one that cannot be used."""

from __future__ import annotations

import shutil

import pytest

from animal_cls.data import NO_CLASS, PictureDataModule
from animal_cls.examples import DataError, read_examples
from animal_cls.split import Side


def test_a_folder_s_sub_folders_are_the_classes(picture_folder):
    examples = read_examples(picture_folder)
    assert len(examples) == 36
    assert all(example.path.parent.name == example.label for example in examples)
    assert PictureDataModule(root=str(picture_folder)).classes == ["cat", "dog", "owl"]


def test_hidden_folders_and_other_files_are_no_classes(picture_folder, tmp_path):
    shutil.copytree(picture_folder, tmp_path / "pictures")
    (tmp_path / "pictures" / ".thumbnails").mkdir()
    shutil.copy(picture_folder / "cat" / "0.jpg", tmp_path / "pictures" / ".thumbnails" / "0.jpg")
    (tmp_path / "pictures" / "notes.txt").write_text("notes")
    (tmp_path / "pictures" / "cat" / "notes.txt").write_text("notes")
    (tmp_path / "pictures" / "empty").mkdir()
    assert [(e.label, e.path.name) for e in read_examples(tmp_path / "pictures")] == [
        (e.label, e.path.name) for e in read_examples(picture_folder)
    ]


def test_a_table_gives_paths_labels_and_groups(picture_folder, tmp_path, write_table):
    table = write_table(tmp_path / "table.csv", [["cat/0.jpg", "acme lamps", "a"], ["dog/0.jpg", "zenith lamps", ""]])
    examples = read_examples(picture_folder, table)
    assert [(e.path, e.label, e.group) for e in examples] == [
        (picture_folder / "cat" / "0.jpg", "acme lamps", "a"),
        (picture_folder / "dog" / "0.jpg", "zenith lamps", ""),
    ]


def test_a_table_from_a_spreadsheet_with_a_byte_order_mark_and_without_groups_is_read(picture_folder, tmp_path, write_table):
    rows = [["cat/0.jpg", "Ä"], ["dog/0.jpg", "狗"]]
    table = write_table(tmp_path / "table.csv", rows, header=("path", "label"), encoding="utf-8-sig")
    assert [(e.label, e.group) for e in read_examples(picture_folder, table)] == [("Ä", ""), ("狗", "")]


def test_a_table_tells_pictures_of_no_animal_and_leaves_out_with_a_count_what_waits_for_a_person(
    picture_folder, negatives_folder, tmp_path, caplog, write_table
):
    rows = [
        ["cat/0.jpg", "cat", "", "0.9"],
        ["cat/1.jpg", " cat ", "no", ""],
        ["dog/0.jpg", "dog", "yes", ""],
        ["dog/1.jpg", "dog", "", ""],
        ["dog/2.jpg", "dog", "?", ""],
        ["gone.jpg", "", "yes", "no such file"],
        [str(negatives_folder / "0.jpg"), "-", "", ""],
    ]
    table = write_table(tmp_path / "table.csv", rows, header=("path", "label", "uncertain", "others"))
    data = PictureDataModule(root=str(picture_folder), table=str(table), split_file=str(tmp_path / "s.csv"), val=0.3, test=0.3)
    assert [(e.path.name, e.label) for e in data.examples] == [("0.jpg", "cat"), ("1.jpg", "cat"), ("1.jpg", "dog"), ("0.jpg", "")]
    assert data.classes == ["cat", "dog"]
    assert f"{table}: rows left out: 2 still marked uncertain, 1 without a label" in caplog.text
    data.prepare_data()
    data.setup("fit")
    served = [(e.label, pictures.label(i)) for side in Side for pictures in [data.pictures(side)] for i, e in enumerate(pictures.examples)]
    assert sorted(served) == [("", NO_CLASS), ("cat", 0), ("cat", 0), ("dog", 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,kind\ncat/0.jpg,cat\n", "columns are ['path', 'kind']; path and label are needed"),
        ("", "columns are None; path and label are needed"),
        ("path,label\n", "no picture found"),
        ("path,label\ncat/0.jpg,cat\ncat/1.jpg,cat\n", "only 'cat' found; at least two classes"),
        ("path,label\ncat/0.jpg,cat\nowl/99.jpg,owl\n", "line 3: "),
        ("path,label\ncat/0.jpg,cat\nowl,owl\n", "owl: no such file"),
        ("path,label\n,cat\n", "line 2: path is empty"),
        ("path,label\ncat/0.jpg,\ncat/1.jpg\n", "no picture found"),
        ("path,label\ncat/0.jpg,cat\ndog/0.jpg,-\n", "only 'cat' found; at least two classes"),
        ("path,label\ncat/0.jpg,cat\ndog/0.jpg,dog\ncat/0.jpg,dog\n", "line 4: "),
        ("path,label\ncat/0.jpg,k\xe4tzchen\n".encode("latin-1"), "not UTF-8 text (invalid continuation byte at byte 22)"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_the_line(picture_folder, tmp_path, content, message):
    table = tmp_path / "table.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_examples(picture_folder, table)
    assert str(caught.value).startswith(str(table))
    assert message in str(caught.value)


def test_missing_folders_and_tables_are_named(picture_folder, tmp_path):
    with pytest.raises(DataError, match=r"absent: no such folder; data\.root must be"):
        read_examples(tmp_path / "absent")
    with pytest.raises(DataError, match=r"absent\.csv: no such file; data.table must be"):
        read_examples(picture_folder, tmp_path / "absent.csv")
    with pytest.raises(DataError, match="no picture found; at least two classes"):
        read_examples(tmp_path)
