import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from verifier import InputError
from verifier.cost import in_turns, installed_size, required, run_command, size


def test_a_command_takes_its_time_and_the_memory_that_it_fills():
    run = run_command(sys.executable, "-c", "import time; time.sleep(0.3); x = b'x' * 300_000_000")
    assert run.seconds >= 0.3
    assert 300 < run.memory < 400


def test_a_command_that_fails_is_named_with_its_exit_code():
    with pytest.raises(InputError, match=r"exit code 3 of: .*sys\.exit\(3\)"):
        run_command(sys.executable, "-c", "import sys; sys.exit(3)")


def test_ways_take_turns_of_some_pairs_each_begun_with_one_that_does_not_count():
    log: list[tuple[str, str]] = []

    def way(name):
        def answer(text: str, image: Path) -> float:
            log.append((name, text))
            return float(len(log))

        return answer

    pairs = [("a cat", Path("1.jpg")), ("a dog", Path("2.jpg")), ("a cow", Path("3.jpg"))]
    times = in_turns([way("ours"), way("theirs")], pairs, turn=2)
    turns = [("ours", "a cat a cat a dog"), ("theirs", "a cat a cat a dog"), ("ours", "a cow a cow"), ("theirs", "a cow a cow")]
    assert [f"{name} {text}" for name, text in log] == [f"{name} a {text}" for name, texts in turns for text in texts[2:].split(" a ")]
    assert times == [[2.0, 3.0, 8.0], [5.0, 6.0, 10.0]]


def test_turns_are_apart_so_that_threads_which_wait_for_work_have_gone_to_sleep():
    begin = time.perf_counter()
    in_turns([lambda text, image: 0.0], [("a cat", Path("1.jpg"))] * 3, turn=1)
    assert time.perf_counter() - begin >= 0.06


def test_requirements_of_extras_and_of_other_systems_are_left_out():
    lines = ["numpy>=2.0", "torch>=2.11; extra == 'train'", "colorama; platform_system == 'Nowhere'", "tqdm; python_version >= '3'"]
    assert required(lines) == ["numpy", "tqdm"]


def test_what_is_installed_counts_with_all_that_it_requires_and_each_once():
    numpy, pillow, tokenizers = (installed_size([name]) for name in ("numpy", "Pillow", "tokenizers"))
    assert 10 < numpy < 200
    assert installed_size(["numpy", "Pillow", "NumPy"]) == pytest.approx(numpy + pillow)
    hub = installed_size(["huggingface-hub"])
    assert "huggingface-hub" in " ".join(metadata.requires("tokenizers"))
    assert tokenizers > hub > 1


def test_what_is_not_installed_takes_no_room():
    assert installed_size(["no-such-distribution"]) == 0


def test_a_size_is_that_of_the_files_that_are_there_each_once(tmp_path):
    (tmp_path / "weights").write_bytes(b"x" * 2_000_000)
    assert size([tmp_path / "weights", tmp_path / "weights", tmp_path / "missing", tmp_path]) == 2
