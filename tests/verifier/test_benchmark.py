import os
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from transformers import DistilBertConfig

from animal_cls.module import Classifier
from verifier import benchmark, training_speed
from verifier.baseline import Baseline, save_baseline
from verifier.benchmark import INGREDIENTS, KEEPS_FREED, TRAINED, Benchmark, Row, _process_with, as_table, main
from verifier.release import SHIPPED
from verifier.training_speed import time_training

ROOT = Path(__file__).parents[2]
NOTHING = ["--starts", "0", "--pairs", "0", "--rows", "0", "--steps", "0"]


def test_a_ratio_says_how_many_times_better_ours_is_whether_more_or_less_is_better():
    assert Row("cold start", "s", ours=0.5, other=4.0).ratio == 8
    assert Row("table", "pairs/s", ours=160, other=20, more_is_better=True).ratio == 8


def test_the_table_has_a_line_for_each_row_with_both_figures_and_the_ratio():
    lines = as_table([Row("cold start", "s", 0.412, 4.4), Row("table", "pairs/s", 1234.5, 20, more_is_better=True)]).splitlines()
    assert lines[0].split() == ["ours", "obvious", "way", "times", "better"]
    assert [line.split() for line in lines[1:]] == [
        ["cold", "start,", "s", "0.412", "4.4", "10.7"],
        ["table,", "pairs/s", "1,234", "20", "61.7"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_what_is_to_be_measured_no_time_gives_no_row(capsys):
    assert main(NOTHING) == 0
    table, surroundings = capsys.readouterr().out.split("\n\n")
    assert [line.split(",")[0] for line in table.splitlines()[1:]] == ["installed"]
    assert re.match(r"\d+ cores, load .* torch \d", surroundings)


def test_without_the_extra_train_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(NOTHING) == 2
    assert re.fullmatch(r"benchmark: transformers is missing; .*pip install -e '\.\[train\]'\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--pairs", "-1"], "--pairs -1"),
        (["--workers", "1", "0"], "--workers 0"),
        (["--image", "missing.jpg"], "missing.jpg: no such file"),
    ],
)
def test_what_cannot_be_measured_is_one_line(capsys, more, named):
    assert main([*NOTHING, *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    folder, config = tmp_path_factory.mktemp("baseline"), DistilBertConfig(dim=16, hidden_dim=16, n_layers=1, n_heads=2)
    save_baseline(folder, tokenizer=SHIPPED / "tokenizer.json", classes=["cat", "dog"], config=config)
    return folder


def test_the_obvious_way_compares_the_likeliest_class_with_the_words_that_are_found(baseline, tmp_path, monkeypatch):
    Image.new("RGB", (40, 30)).save(tmp_path / "picture.png")
    obvious = Baseline(baseline)
    likeliest = next(kind for kind in ("cat", "dog") if said(obvious, monkeypatch, kind, tmp_path / "picture.png"))
    other = {"cat": "dog", "dog": "cat"}[likeliest]
    assert not said(obvious, monkeypatch, other, tmp_path / "picture.png")
    assert not said(obvious, monkeypatch, "nothing", tmp_path / "picture.png")


def said(obvious, monkeypatch, word, image):
    """The answer if the tagger finds this one word."""
    monkeypatch.setattr(obvious, "_tagger", lambda text: [{"word": word}])
    return obvious.verify("any text", image)


def test_the_obvious_way_reads_a_text_with_its_own_tagger(baseline, tmp_path):
    Image.new("L", (40, 30)).save(tmp_path / "grey.png")
    assert Baseline(baseline).verify("There is a cat in the picture.", tmp_path / "grey.png") in (True, False)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_training_steps_are_timed_under_lightning_and_in_a_bare_loop(precision, channels_last):
    way = {"side": 32, "batch_size": 2, "steps": 3, "precision": precision, "channels_last": channels_last}
    ours, bare = time_training("mobilenet_v3_small", **way, beside_loop=True)
    assert len(ours) == len(bare) == 3
    assert min(*ours, *bare) > 0
    assert time_training("mobilenet_v3_small", **way)[1] == []


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_bare_loop_does_exactly_what_lightning_does(precision, monkeypatch):
    built = []
    monkeypatch.setattr(training_speed, "Classifier", lambda *args, **more: built.append(Classifier(*args, **more)) or built[-1])
    time_training("mobilenet_v3_small", side=32, batch_size=2, steps=2, precision=precision, channels_last=True, beside_loop=True)
    bare, ours = (model.state_dict() for model in built)
    torch.manual_seed(0)
    before = Classifier([f"kind {k}" for k in range(10)], "mobilenet_v3_small", weights="none").state_dict()
    assert all(torch.equal(bare[name], ours[name]) for name in ours)
    assert not all(torch.equal(before[name], ours[name]) for name in ours)


def test_the_overlay_for_cpus_is_what_is_measured():
    overlay = ROOT / "configs" / "overlays" / "cpu.yaml"
    precision, channels_last, allocator = INGREDIENTS["cpu.yaml"]
    assert yaml.safe_load(overlay.read_text())["trainer"]["precision"] == precision
    assert Classifier(["cat", "dog"], weights="none").hparams["channels_last"] == channels_last
    assert "export " + " ".join(f"{name}={value}" for name, value in allocator.items()) in overlay.read_text()
    config = yaml.safe_load((ROOT / "configs" / "animal_cls" / "mobilenet_v2.yaml").read_text())
    assert (config["model"]["backbone"], config["data"]["train_size"], config["data"]["batch_size"]) == TRAINED


def test_only_a_process_that_is_to_keep_freed_memory_is_told_so(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    told = []
    for allocator in ({}, KEEPS_FREED):
        with _process_with(allocator) as process:
            told.append([process.submit(os.getenv, name).result() for name in KEEPS_FREED])
    assert told == [[None, None], list(KEEPS_FREED.values())]
    assert os.environ["MALLOC_TRIM_THRESHOLD_"] == "1"


@pytest.mark.slow
def test_the_rows_of_training_name_the_overlay_beside_the_defaults_and_lightning_beside_a_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "TRAINED", ("mobilenet_v3_small", 32, 2))
    monkeypatch.setattr(benchmark, "INGREDIENTS", {name: INGREDIENTS[name] for name in ("defaults", "cpu.yaml")})  # each starts a process
    bench = Benchmark(tmp_path, ROOT / "notebooks" / "cat.jpg", starts=0, pairs=0, rows=0, workers=(1,), steps=1)
    rows = {row.name: row for row in bench.measure()}
    assert [name.removeprefix("training, ") for name in rows] == [
        "installed",
        "cpu.yaml, beside defaults",
        "Lightning beside a bare loop",
    ]
    assert all(row.ours > 0 and row.other > 0 for row in rows.values())


@pytest.mark.slow
def test_a_short_run_measures_starts_memory_and_warm_pairs(tmp_path):
    bench = Benchmark(tmp_path, ROOT / "notebooks" / "cat.jpg", starts=1, pairs=1, rows=0, workers=(1,), steps=0)
    rows = {row.name: row for row in bench.measure()}
    assert list(rows)[:3] == ["installed", "cold start, VGA", "peak memory of it"]
    assert {"VGA, short text, p50", "12 MP, long text, p95"} < rows.keys()
    assert all(row.ours > 0 and row.other > 0 for row in rows.values())
    assert Image.open(tmp_path / "12 MP" / "0.jpg").size == (4000, 3000)
