"""Averaging two checkpoints of one network."""

from __future__ import annotations

import pytest
import torch

from animal_cls.averaging import average_checkpoints, main
from animal_cls.cli import main as fit
from animal_cls.module import CheckpointError, load_checkpoint


@pytest.fixture
def ends(trained, tmp_path):
    """Two checkpoints of one network with different weights: tuned and start."""
    content = torch.load(trained / "last.ckpt", weights_only=True)
    content["state_dict"] = {n: v + 1 if v.is_floating_point() else v for n, v in content["state_dict"].items()}
    torch.save(content, tmp_path / "start.ckpt")
    return trained / "last.ckpt", tmp_path / "start.ckpt"


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_says_how_far_from_the_start_to_the_end(ends, tmp_path, share):
    tuned, start = ends
    average_checkpoints(tuned, start, tmp_path / "new" / "average.ckpt", share=share)
    result = load_checkpoint(tmp_path / "new" / "average.ckpt").state_dict()
    one, other = load_checkpoint(start).state_dict(), load_checkpoint(tuned).state_dict()
    for name, value in result.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (1 - share) * one[name] + share * other[name])
        else:
            assert torch.equal(value, other[name])
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["average.ckpt"]


def test_the_result_describes_itself_as_the_tuned_one_and_is_smaller(ends, tmp_path):
    tuned, start = ends
    output = tmp_path / "average.ckpt"
    average_checkpoints(tuned, start, output, share=0.5)
    content, before = (torch.load(file, weights_only=True) for file in (output, tuned))
    assert content["task"] == "animal_cls"
    assert content["hyper_parameters"] == before["hyper_parameters"]
    assert not {"optimizer_states", "current_model_state"} & set(content)
    assert output.stat().st_size < tuned.stat().st_size / 2


def test_checkpoints_of_different_networks_are_refused(ends, tmp_path):
    from animal_cls.module import Classifier

    tuned, _ = ends
    content = torch.load(tuned, weights_only=True)
    content["hyper_parameters"] |= {"classes": ["cat", "dog"]}
    content["state_dict"] = Classifier(["cat", "dog"], "shufflenet_v2_x0_5").state_dict()
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"other\.ckpt: another network than .*last\.ckpt"):
        average_checkpoints(tuned, tmp_path / "other.ckpt", tmp_path / "average.ckpt", share=0.5)
    assert not (tmp_path / "average.ckpt").exists()


def test_the_command_writes_the_average_and_exits_with_2_for_a_file_that_cannot_be_read(ends, tmp_path, capsys):
    tuned, start = ends
    output = tmp_path / "average.ckpt"
    assert main(["--tuned", str(tuned), "--start", str(start), "--share", "0.5", "--output", str(output)]) == 0
    assert output.is_file()
    assert main(["--tuned", str(tuned), "--start", str(tmp_path / "absent.ckpt"), "--output", str(tmp_path / "b.ckpt")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"average: {tmp_path / 'absent.ckpt'}: no such file")
    assert captured.err.count("\n") == 1


def test_a_rehearsal_leaves_no_file(fit_flags, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert fit(["fit", *fit_flags("--trainer.fast_dev_run=true")]) == 0
    assert not list((tmp_path / "here").iterdir())
    assert not list(tmp_path.rglob("*.ckpt"))
