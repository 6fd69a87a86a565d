"""Keeping the start of a fine-tuning."""

from __future__ import annotations

from animal_cls.cli import main as fit


def test_a_rehearsal_leaves_no_file(fit_flags, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert fit(["fit", *fit_flags("--trainer.fast_dev_run=true")]) == 0
    assert not list((tmp_path / "here").iterdir())
    assert not list(tmp_path.rglob("*.ckpt"))
