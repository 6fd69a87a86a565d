import pytest
import torch

from verifier.averaging import OF_ITS_TRAINING, average_checkpoints, main
from verifier.decision import InputError


@pytest.fixture(params=["animal_cls", "animal_ner"])
def ends(request, tmp_path):
    """Two checkpoints of one network with different weights: tuned and start."""
    chance = torch.Generator().manual_seed(0)
    for name in ("tuned", "start"):
        weights = {"layer.weight": torch.randn(4, 3, generator=chance), "layer.steps": torch.tensor(len(name))}
        state = dict.fromkeys(OF_ITS_TRAINING, torch.zeros(5_000))
        torch.save({"task": request.param, "hyper_parameters": {"of": name}, "state_dict": weights} | state, tmp_path / f"{name}.ckpt")
    return tmp_path / "tuned.ckpt", tmp_path / "start.ckpt"


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_says_how_far_from_one_to_the_other(ends, tmp_path, share):
    average_checkpoints(*ends, tmp_path / "new" / "average.ckpt", share=share)
    tuned, start, result = (torch.load(file, weights_only=True)["state_dict"] for file in (*ends, tmp_path / "new/average.ckpt"))
    torch.testing.assert_close(result["layer.weight"], (1 - share) * start["layer.weight"] + share * tuned["layer.weight"])
    assert torch.equal(result["layer.steps"], tuned["layer.steps"])
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["average.ckpt"]


def test_the_result_describes_itself_as_the_tuned_one_and_keeps_nothing_of_its_training(ends, tmp_path):
    average_checkpoints(*ends, tmp_path / "average.ckpt", share=0.5)
    content, tuned = (torch.load(file, weights_only=True) for file in (tmp_path / "average.ckpt", ends[0]))
    assert set(content) == {"task", "hyper_parameters", "state_dict"}
    assert content["task"] == tuned["task"]
    assert content["hyper_parameters"] == {"of": "tuned"}


@pytest.mark.parametrize(
    ("weights", "named"), [({"layer.weight": torch.zeros(4, 2), "layer.steps": torch.tensor(1)}, "layer.weight"), ({}, "layer.weight")]
)
def test_checkpoints_of_different_networks_are_refused(ends, tmp_path, weights, named):
    torch.save({"task": "animal_cls", "state_dict": weights}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=rf"other\.ckpt: another network than .*tuned\.ckpt \({named} differs\)"):
        average_checkpoints(ends[0], tmp_path / "other.ckpt", tmp_path / "average.ckpt", share=0.5)
    assert not (tmp_path / "average.ckpt").exists()


@pytest.mark.parametrize("name", ["classes", "backbone", "mean", "tokenizer"])
def test_checkpoints_of_one_shape_that_mean_other_things_are_refused(ends, tmp_path, name):
    other = torch.load(ends[1], weights_only=True)
    other["hyper_parameters"][name] = ["cat"]
    torch.save(other, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=rf"another network than .*\({name} differs\)"):
        average_checkpoints(ends[0], tmp_path / "other.ckpt", tmp_path / "average.ckpt", share=0.5)


@pytest.mark.parametrize("share", ["-0.1", "1.1", "nan"])
def test_a_share_that_is_none_is_refused(ends, tmp_path, capsys, share):
    with pytest.raises(SystemExit, match="2"):
        main(["--tuned", str(ends[0]), "--start", str(ends[1]), "--share", share, "--output", str(tmp_path / "b.ckpt")])
    assert "a share lies between 0 and 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "why"), [(None, "no such file"), (b"", "not a checkpoint that can be read"), ({"a": 1}, "was not made by this framework")]
)
def test_the_command_exits_with_2_and_one_line_for_what_is_no_checkpoint(ends, tmp_path, capsys, content, why):
    other = tmp_path / "other.ckpt"
    if isinstance(content, bytes):
        other.write_bytes(content)
    elif content is not None:
        torch.save(content, other)
    assert main(["--tuned", str(ends[0]), "--start", str(other), "--output", str(tmp_path / "b.ckpt")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"average: {other}: {why}")
    assert captured.err.count("\n") == 1


def test_the_command_writes_the_average(ends, tmp_path):
    output = tmp_path / "average.ckpt"
    assert main(["--tuned", str(ends[0]), "--start", str(ends[1]), "--share", "0.5", "--output", str(output)]) == 0
    assert output.is_file()
