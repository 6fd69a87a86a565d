import configparser
import csv
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import skimage

from verifier import __version__
from verifier.cli import main
from verifier.release import Release

PHOTOS = Path(skimage.__file__).parent / "data"
CAT = str(PHOTOS / "chelsea.png")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("text", "printed"), [("There is a cat in the picture.", "true\n"), ("There is a dog.", "false\n")])
def test_stdout_is_true_or_false_and_nothing_else(capfd, text, printed):
    assert main(["--text", text, "--image", CAT]) == 0
    assert capfd.readouterr() == (printed, "")


def test_the_exit_code_tells_a_false_answer_only_when_asked(capsys):
    assert main(["--text", "a dog", "--image", CAT, "--exit-code"]) == 1
    assert main(["--text", "a cat", "--image", CAT, "--exit-code"]) == 0


def test_json_explains_the_verdict(capsys):
    main(["--text", "no dog, a cat", "--image", CAT, "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["answer"] is True
    assert record["reason"] == "agrees"
    assert 0.5 < record["probability"] <= 1
    dog = record["mentions"][0]
    assert {"text": "dog", "start": 3, "end": 6, "claim": "ABSENT", "kinds": ["dog"], "holds": True, "instead": []}.items() <= dog.items()
    assert 0.5 < dog["probability"] <= 1
    assert dog["likeliest"]["kind"] == "dog"
    assert record["animals"][0]["kind"] == "cat"


def test_json_says_which_mention_failed_and_what_was_seen_instead(capsys):
    main(["--text", "a cat and a dog, as big as a horse", "--image", CAT, "--json"])
    record = json.loads(capsys.readouterr().out)
    assert [(each["text"], each["holds"]) for each in record["mentions"]] == [("cat", True), ("dog", False), ("horse", None)]
    assert record["mentions"][1]["instead"][0] == record["animals"][0]
    assert record["mentions"][2]["probability"] is None


def test_json_suggests_a_name_for_a_mention_that_nobody_knows(capsys):
    main(["--text", "There is a wonbat and an aardvark in the picture.", "--image", CAT, "--json"])
    mentions = json.loads(capsys.readouterr().out)["mentions"]
    assert [(mention["text"], mention.get("suggestion")) for mention in mentions] == [("wonbat", "wombat"), ("aardvark", None)]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--text", "a cat", "--image", "missing.jpg"], "missing.jpg"),
        (["--text", "", "--image", CAT], "empty"),
        (["--text", "a cat"], "--image"),
        ([], "--text"),
        (["--text", "a cat", "--pairs", "x.csv"], "either"),
        (["--text", "a cat", "--kinds"], "either"),
        (["--kinds", "--json"], "--json"),
        (["--kinds", "--workers", "2"], "--workers"),
        (["--kinds", "--cls-checkpoint", "x.ckpt"], "--cls-checkpoint"),
        (["--pairs", "x.csv", "--output", "y.csv", "--json"], "--json"),
        (["--text", "a cat", "--image", CAT, "--output", "y.csv"], "--output"),
        (["--text", "a cat", "--image", ""], "image"),
        (["--pairs", "missing.csv", "--output", "out.csv"], "missing.csv"),
        (["--pairs", "missing.csv"], "--output"),
        (["--text", "a cat", "--image", CAT, "--release", "missing"], "missing"),
        (["--text", "a cat", "--image", CAT, "--ner-checkpoint", "missing.ckpt"], "missing.ckpt"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(capsys, arguments, named):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert named in err


def test_a_broken_picture_gives_one_line(capsys, tmp_path):
    file = tmp_path / "broken.jpg"
    file.write_bytes(b"\xff\xd8\xff\xe0 and then nothing")
    assert main(["--text", "a cat", "--image", str(file)]) == 2
    assert "broken.jpg" in capsys.readouterr().err


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "pairs.csv"
    rows = [["id", "text", "image"], ["1", "a cat", CAT], ["2", "a cat", "none.jpg"], ["3", "not a cat, is it", CAT], ["4", "", CAT]]
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return file


def test_a_table_keeps_its_columns_and_bad_rows_get_their_error(capsys, table, tmp_path):
    assert main(["--pairs", str(table), "--output", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["answer"] for row in rows] == ["true", "", "false", ""]
    assert "none.jpg" in rows[1]["error"]
    assert "empty" in rows[3]["error"]
    assert not list(tmp_path.glob(".*"))
    assert capsys.readouterr().err.endswith(
        f"verify: 2 of 4 rows could not be verified; see the column 'error' of {tmp_path / 'out.csv'}\n"
    )


def test_a_table_of_which_no_row_could_be_verified_is_bad_input(capsys, tmp_path):
    file, output = tmp_path / "pairs.csv", tmp_path / "out.csv"
    file.write_text("text,image\na cat,none.jpg\n")
    assert main(["--pairs", str(file), "--output", str(output)]) == 2
    assert capsys.readouterr().err.endswith(f"verify: no row could be verified; see the column 'error' of {output}\n")
    assert "none.jpg: no such file" in output.read_text()


def test_a_table_without_rows_is_answered(capsys, tmp_path):
    (tmp_path / "pairs.csv").write_text("text,image\n")
    assert main(["--pairs", str(tmp_path / "pairs.csv"), "--output", str(tmp_path / "out.csv")]) == 0


def test_a_table_can_be_written_as_json_lines(table, tmp_path):
    assert main(["--pairs", str(table), "--output", str(tmp_path / "out.jsonl")]) == 0
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [record["answer"] for record in records] == [True, None, False, None]


@pytest.mark.parametrize(("header", "named"), [("text,picture", "image"), ("text,image,answer", "answer"), ("text,image,text", "text")])
def test_a_table_with_other_columns_is_refused(capsys, tmp_path, header, named):
    file = tmp_path / "pairs.csv"
    file.write_text(header + "\n")
    assert main(["--pairs", str(file), "--output", str(tmp_path / "out.csv")]) == 2
    assert named in capsys.readouterr().err


def test_the_table_is_never_written_over(capsys, table):
    content = table.read_bytes()
    (table.parent / "link.csv").symlink_to(table)
    for output in (table, table.parent / "link.csv"):
        assert main(["--pairs", str(table), "--output", str(output)]) == 2
        assert f"{output}: the table itself" in capsys.readouterr().err
    assert table.read_bytes() == content


def test_what_is_no_table_is_refused_in_a_line_that_one_can_read(capsys, tmp_path):
    file = tmp_path / "film.csv"
    file.write_bytes(bytes(range(32, 127)) * 10_000)
    assert main(["--pairs", str(file), "--output", str(tmp_path / "out.csv")]) == 2
    told = capsys.readouterr().err
    assert "no column 'text'" in told
    assert len(told) < 500


def test_cells_that_no_file_system_and_no_reader_takes_get_their_error_and_the_others_go_on(tmp_path):
    file = tmp_path / "pairs.csv"
    long_name, long_text = "x" * 400 + ".jpg", "cat " * 50_000
    rows = [f"a cat,{long_name},1", f"{long_text},{CAT},2", f"a cat,{CAT},caf\u00e9"]
    file.write_bytes(b"text,image,note\n" + "\n".join(rows).encode("latin-1") + b"\n")
    assert main(["--pairs", str(file), "--output", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open(encoding="latin-1") as stream:
        out = list(csv.DictReader(stream))
    assert [row["answer"] for row in out] == ["", "", "true"]
    assert "200,000 characters" in out[1]["error"]
    assert out[2]["note"] == "caf\u00e9"


def test_an_answer_that_cannot_be_printed_is_no_answer():
    command = [sys.executable, "scripts/verify.py", "--text", "a cat", "--image", CAT, "--exit-code"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1


def test_a_verifier_loads_neither_torch_nor_transformers_nor_what_only_tables_and_rare_pictures_need():
    heavy = {"torch", "transformers", "lightning", "onnx", "tqdm", "PIL.AvifImagePlugin"}
    code = f"import sys, verifier, verifier.cli; verifier.Verifier(); print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout == "[]\n"


def test_the_kinds_of_the_release_are_told_one_a_line(capsys):
    assert main(["--kinds"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == list(Release().manifest.kinds)
    assert said.err == ""


def test_the_installed_command_says_which_version_it_is(capsys):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    name, value = config["options.entry_points"]["console_scripts"].strip().split(" = ")
    command = EntryPoint(name=name, value=value, group="console_scripts").load()
    with pytest.raises(SystemExit) as caught:
        command(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{name} {__version__}\n"


@pytest.mark.parametrize("flags", [["--frobnicate"], ["--text", "a cat", "--image", "cat.jpg", "--workers", "x"]])
def test_flags_that_nobody_knows_are_one_line_too(capsys, flags):
    with pytest.raises(SystemExit) as caught:
        main(flags)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("verify: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize("flag", ["--release", "--pairs", "--output", "--image-root", "--image"])
def test_a_path_that_no_file_system_takes_is_one_line(capsys, tmp_path, flag):
    (tmp_path / "pairs.csv").write_text("text,image\na cat,cat.jpg\n")
    table = {"--pairs": str(tmp_path / "pairs.csv"), "--output": str(tmp_path / "out.csv")}
    flags = {"--text": "a cat", "--image": "cat.jpg"} if flag in ("--image", "--release") else table
    assert main([each for pair in (flags | {flag: "x" * 5000 + ".csv"}).items() for each in pair]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_picture_without_a_text_names_what_is_missing(capsys):
    assert main(["--image", "cat.jpg"]) == 2
    assert capsys.readouterr().err.startswith("verify: --text: missing")
