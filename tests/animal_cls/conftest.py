"""One short training for all tests of the classifier, whose pictures and weights are gone when the tests begin."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

from animal_cls.data import PictureDataModule

CONFIG = Path(__file__).parents[2] / "configs" / "animal_cls" / "efficientnet_lite2.yaml"
BACKBONE = "shufflenet_v2_x0_5"
SIZE = 32


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread: the networks are tiny, and threads that wait for busy cores take seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_arguments_of_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide pytest's own arguments, of which LightningCLI warns when it is given others."""
    monkeypatch.setattr(sys, "argv", ["animal_cls"])


@pytest.fixture(scope="session")
def tiny_model() -> list[str]:
    """Command-line flags: the shipped configuration with a very small network and small pictures."""
    return [
        f"--config={CONFIG}",
        f"--model.backbone={BACKBONE}",
        "--model.padding=torchvision",
        "--model.weights=none",
        "--model.imagenet=false",
        "--model.imagenet=false",
        f"--model.size={SIZE}",
        "--model.probe_epochs=0",
        "--data.corrections=null",
        f"--data.size={SIZE}",
        f"--data.train_size={SIZE}",
        "--data.num_workers=0",
        "--data.batch_size=8",
    ]


@pytest.fixture
def small_pictures(picture_folder: Path, negatives_folder: Path, tmp_path: Path) -> Callable[..., PictureDataModule]:
    """Makes data of small pictures, with more arguments of the DataModule if wanted."""
    return partial(
        PictureDataModule,
        root=str(picture_folder),
        negatives=str(negatives_folder),
        split_file=str(tmp_path / "split.csv"),
        size=32,
        train_size=32,
        batch_size=8,
        num_workers=0,
    )


@pytest.fixture
def fit_flags(
    tiny_model: list[str], tiny_trainer: list[str], picture_folder: Path, negatives_folder: Path, tmp_path: Path
) -> Callable[..., list[str]]:
    """Flags of a training of a second or two, all of whose files go below ``tmp_path``; more flags may follow."""

    def flags(*more: str) -> list[str]:
        return [
            *tiny_model,
            *tiny_trainer,
            f"--data.root={picture_folder}",
            f"--data.negatives={negatives_folder}",
            f"--data.split_file={tmp_path / 'split.csv'}",
            *more,
        ]

    return flags


@pytest.fixture(scope="session")
def trained(
    tiny_model: list[str], picture_folder: Path, negatives_folder: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> Path:
    """The folder of the checkpoints of one epoch; the pictures, the split and the weights it started from are deleted."""
    from animal_cls.cli import main
    from animal_cls.network import build_network

    folder = tmp_path_factory.mktemp("trained")
    start = folder / "start"
    shutil.copytree(picture_folder, start / "pictures")
    torch.save(build_network(BACKBONE, outputs=1000).state_dict(), start / "weights.pth")
    flags = [
        *tiny_model,
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.max_epochs=1",
        f"--trainer.logger.init_args.save_dir={folder / 'runs'}",
        f"--model.weights={start / 'weights.pth'}",
        f"--data.root={start / 'pictures'}",
        f"--data.negatives={negatives_folder}",
        f"--data.split_file={start / 'split.csv'}",
    ]
    assert main(["fit", *flags]) == 0
    shutil.rmtree(start)
    return folder / "runs" / "animal_cls" / "version_0" / "checkpoints"


@pytest.fixture
def write_table() -> Callable[..., Path]:
    """Writes a CSV of pictures and returns it."""

    def write(file: Path, rows: Iterable[Sequence[str]], header: Sequence[str] = ("path", "label", "group"), **options: str) -> Path:
        with file.open("w", newline="", **options) as stream:  # type: ignore[call-overload]
            csv.writer(stream).writerows([header, *rows])
        return file

    return write
