"""The notebooks run from top to bottom on any data, and what is stored of them is whole and holds no picture."""

from __future__ import annotations

import re
import shutil
from itertools import cycle, islice
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from animal_cls.picture import find_pictures
from animal_cls.split import Example, Side, write_split
from animal_ner.grammar import generate
from animal_ner.sentences import Sentence, write_sentences
from animal_ner.tags import Claim, Span

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = ("pictures", "texts")
LARGEST = 1_500_000  # bytes


def read(name: str) -> NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def run(name: str, *, within: Path) -> dict[str, list[NotebookNode]]:
    """Execute a notebook in a folder, without a warning; the outputs of its code cells by their ids."""
    notebook = read(name)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(within)}}).execute()
    cells = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert not [output.text for outputs in cells.values() for output in outputs if output.output_type == "stream"]
    return cells


def text_of(outputs: list[NotebookNode]) -> str:
    return "\n".join(output.data["text/html"] if "text/html" in output.data else output.data["text/plain"] for output in outputs)


def value_of(row: str, outputs: list[NotebookNode]) -> str:
    """What a table says in the first column of a row."""
    return re.search(rf"<th>{row}</th>\s*<td>(.*?)</td>", text_of(outputs))[1]


@pytest.fixture(autouse=True)
def no_traces(monkeypatch, tmp_path):
    """Keep what a kernel writes, and what the notebooks' settings are, out of the user's environment."""
    for name in ("PICTURES", "PICTURES_NEGATIVES", "PICTURES_SPLIT", "SHOW_PICTURES", "TEXTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))


@pytest.fixture
def photos(picture_folder, negatives_folder, tmp_path) -> Path:
    """Cats, dogs, owls and lamps with a table of sources, pictures without an animal and a split; some of it is wrong."""
    root = tmp_path / "photos"
    shutil.copytree(picture_folder, root)
    shutil.copytree(negatives_folder, root / "zenith lamp")
    shutil.copytree(negatives_folder, tmp_path / "nonanimal")
    with Image.open(root / "cat" / "0.jpg") as image:
        image.resize((90, 80)).save(root / "dog" / "cat.png")
    (root / "owl" / "broken.jpg").write_bytes(b"no picture")
    (root / "owl" / "notes.txt").write_text("three owls")
    animals = [path for folder in sorted(root.iterdir()) for path in find_pictures(folder)]
    lines = [f"{path.relative_to(root).as_posix()},{source}" for path, source in zip(animals, cycle(["web", "zoo"]), strict=False)]
    (tmp_path / "photos.csv").write_text("\n".join(["file,source", *lines]))
    examples = [Example(path, path.parent.name) for path in animals] + [Example(path, "") for path in find_pictures(tmp_path / "nonanimal")]
    write_split(tmp_path / "split.csv", examples, list(islice(cycle(Side), len(examples))))
    return root


def test_pictures_tells_what_is_wrong_with_a_folder(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("PICTURES", str(photos))
    monkeypatch.setenv("PICTURES_SPLIT", str(tmp_path / "split.csv"))
    monkeypatch.setenv("SHOW_PICTURES", "1")
    cells = run("pictures", within=tmp_path)
    assert value_of("pictures of them", cells["unreadable"]) == "48"
    assert value_of("files that are no pictures by their suffix", cells["unreadable"]) == "1"
    assert "owl/broken.jpg" in text_of(cells["unreadable"])
    assert value_of("sources", cells["sources"]) == "3"
    assert value_of("groups with two labels", cells["duplicates"]) == "11"
    assert "cat/0.jpg, dog/cat.png" in text_of(cells["duplicates"])
    assert value_of("classes that the release does not know", cells["look"]) == "zenith lamp"
    assert value_of("groups of near duplicates on two sides", cells["sides"]) != "0"
    assert all("image/png" in cells[name][0].data for name in ("show-samples", "show-duplicates", "show-suspects"))


def test_pictures_needs_nothing_but_a_folder_of_classes(picture_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PICTURES", str(picture_folder))
    monkeypatch.setenv("PICTURES_SPLIT", str(tmp_path / "none.csv"))
    cells = run("pictures", within=tmp_path)
    assert "No split to go by" in text_of(cells["measure"])
    assert value_of("pictures without an animal", cells["unreadable"]) == "0"
    assert not cells["show-samples"]


def test_texts_finds_near_duplicates_and_mistakes(monkeypatch, tmp_path):
    for seed, side in enumerate(("train", "val", "test")):
        animal = "cat" if side == "train" else "dog"
        twin = Sentence(f"There is a {animal} asleep on my keyboard", (Span(11, 14, Claim.PRESENT),), "plain")
        wrong = Sentence("There is no cow in the picture.", (Span(12, 15, Claim.PRESENT),), "negation")
        write_sentences(tmp_path / f"{side}.jsonl", [twin, wrong, *islice(generate(seed), 60)])
    monkeypatch.setenv("TEXTS", str(tmp_path))
    cells = run("texts", within=tmp_path)
    assert "there is a x asleep on my keyboard" in text_of(cells["near-duplicates"][2:])
    assert "There is no [cow]P in the picture." in text_of(cells["mistakes"])
    assert "There is no [cow]A in the picture." in text_of(cells["mistakes"])


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_notebook_is_small_and_was_run_from_top_to_bottom(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST
    code = [cell for cell in read(name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(output.output_type != "error" for cell in code for output in cell.outputs)


def test_no_picture_of_others_is_stored():
    drawing = [cell for cell in read("pictures").cells if re.search(r"(?<!\.)\bshow\(", cell.source)]
    assert drawing
    for cell in drawing:
        assert cell.metadata.tags == ["pictures"]
        assert not cell.outputs
