"""Time, memory and room of the verifier beside the obvious way, in one run and in turns; the table that the README carries."""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata, util
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm import tqdm

from animal_cls.picture import PictureError, open_picture
from verifier.cli import BAD_INPUT
from verifier.cost import Way, in_turns, installed_size, required, run_command, size
from verifier.decision import InputError
from verifier.pipeline import Verifier
from verifier.release import SHIPPED, Release

if TYPE_CHECKING:
    from verifier.baseline import Baseline
    from verifier.training_speed import Precision

PACKAGES = ("animal_ner", "animal_cls", "verifier")
OBVIOUS = ("torch", "torchvision", "transformers", "pillow")  # what the obvious way installs
ROOT = Path(__file__).parents[1]
SIZES = {"VGA": (640, 480), "12 MP": (4000, 3000), "256 px": (256, 256)}
TEXTS = {
    "short text": "There is a cat in the picture.",
    "long text": "I was going through the photos of last summer and found this one again. My sister says that there is a big striped "
    "cat on the wall behind the house, but my brother is sure that it must have been a fox, because no cat ever came to that garden while "
    "the dog of our neighbours was around. Could you have a look at the picture and tell me who is right? I do not see any bird in it "
    "either, and certainly no horse, whatever the caption in the album says.",
}
SHORT = TEXTS["short text"]
COPIES = 64  # of a picture in a bulk run: more than meet in one batch, so that each row's is opened and looked at
TRAINED = ("mobilenet_v2", 192, 64)  # network, side of the pictures it trains on and pictures of a step, as mobilenet_v2.yaml has them
# What configs/overlays/cpu.yaml is made of, one thing more each time: precision, channels_last, and what the environment tells glibc.
KEEPS_FREED = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
INGREDIENTS: dict[str, tuple[Precision, bool, dict[str, str]]] = {
    "defaults": ("32-true", False, {}),
    "channels_last": ("32-true", True, {}),
    "channels_last, memory kept": ("32-true", True, KEEPS_FREED),
    "cpu.yaml": ("bf16-mixed", True, KEEPS_FREED),
}


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, its unit, our figure, that of the other way, and whether more is better."""

    name: str
    unit: str
    ours: float
    other: float
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        """How many times better ours is."""
        return self.ours / self.other if self.more_is_better else self.other / self.ours


@dataclass(frozen=True)
class Benchmark:
    """How often what is measured; what is measured no time gives no row.

    Attributes:
        folder: an empty one, for models and pictures.
        image: the picture that all others are made from.
        starts: cold starts of each way.
        pairs: warm pairs of each picture size and text.
        rows: of a table of pairs.
        workers: numbers of processes for tables.
        steps: training steps in each of two turns; twice as many of Lightning's are timed beside the bare loop's.
    """

    folder: Path
    image: Path
    starts: int
    pairs: int
    rows: int
    workers: Sequence[int]
    steps: int

    def measure(self) -> Iterator[Row]:
        """Every row of the table, as it is known."""
        yield self._installed()
        if self.starts or self.pairs or self.rows:
            with _process() as process:
                process.submit(_prepare, self.folder, self.image).result()
        if self.starts:
            yield from self._cold()
        with _process() as mine, _process() as its:
            ours, other = _waits_for(mine, _time_ours), _waits_for(its, partial(_time_obvious, self.folder))
            if self.pairs:
                yield from self._warm(ours, other)
            if self.rows:
                yield from self._bulk(other)
        if self.steps:
            yield from self._training()

    def _installed(self) -> Row:
        folders = [Path(str(spec.origin)).parent for name in PACKAGES if (spec := util.find_spec(name))]
        files = [file for folder in folders for file in folder.rglob("*") if "__pycache__" not in file.parts]
        own = size(file for file in files if file.suffix != ".jsonl")  # the corpora are in a clone, not in a package
        return Row("installed", "MB", own + installed_size(required(metadata.requires("animal-verifier") or ())), installed_size(OBVIOUS))

    def _cold(self) -> Iterator[Row]:
        image = _picture(self.folder, "VGA")
        runs = [
            (
                run_command(sys.executable, ROOT / "scripts/verify.py", "--text", SHORT, "--image", image),
                # -P: the program's folder holds our modules, which it must not find
                run_command(sys.executable, "-P", ROOT / "verifier/baseline.py", self.folder, SHORT, image),
            )
            for _ in range(self.starts + 1)
        ][1:]  # the first start reads from the disk what the others find in memory
        ours, other = zip(*runs, strict=True)
        yield Row("cold start, VGA", "s", _median(run.seconds for run in ours), _median(run.seconds for run in other))
        yield Row("peak memory of it", "MB", max(run.memory for run in ours), max(run.memory for run in other))

    def _warm(self, ours: Way, other: Way) -> Iterator[Row]:
        for name in ("VGA", "12 MP"):
            for length, text in TEXTS.items():
                times = in_turns((ours, other), [(text, _picture(self.folder, name))] * self.pairs)
                for percent in (50, 95):
                    mine, its = np.percentile(times, percent, axis=1).tolist()
                    yield Row(f"{name}, {length}, p{percent}", "ms", mine, its)

    def _bulk(self, other: Way) -> Iterator[Row]:
        """Rates of tables without their starts: that of a long one less that of a short one. The other way goes before and after."""
        for name in ("VGA", "256 px"):
            for workers in self.workers:
                few, sample = COPIES * workers, [(SHORT, _picture(self.folder, name))] * (1 + self.rows // 40)
                (before,) = in_turns([other], sample)
                seconds = self._table_seconds(name, few + self.rows, workers) - self._table_seconds(name, few, workers)
                (after,) = in_turns([other], sample)
                if seconds <= 0:
                    raise InputError(f"--rows {self.rows}: too few to tell their time from that of the start; give more")
                rate = 1000 / float(np.mean(before + after))
                yield Row(f"table, {name}, --workers {workers}", "pairs/s", self.rows / seconds, rate, more_is_better=True)

    def _table_seconds(self, name: str, rows: int, workers: int) -> float:
        table, kinds = self.folder / "pairs.csv", Release().manifest.kinds
        with table.open("w", newline="", encoding="utf-8") as stream:
            lines = ((f"There is a {kinds[i % len(kinds)]} here.", _picture(self.folder, name, i % COPIES)) for i in range(rows))
            csv.writer(stream).writerows([("text", "image"), *lines])
        answers = table.with_name("answers.csv")
        return run_command(
            sys.executable, ROOT / "scripts/verify.py", "--pairs", table, "--output", answers, "--workers", str(workers)
        ).seconds

    def _training(self) -> Iterator[Row]:
        """What the overlay for CPUs gives beside the defaults, as it grows, and what Lightning costs beside a bare loop."""
        seconds: dict[str, list[float]] = {name: [] for name in INGREDIENTS}
        for name in [*INGREDIENTS, *INGREDIENTS]:
            seconds[name] += self._train(name, self.steps)[0]
        defaults, *others = (TRAINED[2] / _median(each) for each in seconds.values())
        for name, rate in zip(list(seconds)[1:], others, strict=True):
            yield Row(f"training, {name}, beside defaults", "images/s", rate, defaults, more_is_better=True)
        ours, bare = (TRAINED[2] / _median(each) for each in self._train("cpu.yaml", 2 * self.steps, beside_loop=True))
        yield Row("training, Lightning beside a bare loop", "images/s", ours, bare, more_is_better=True)

    def _train(self, name: str, steps: int, *, beside_loop: bool = False) -> tuple[list[float], list[float]]:
        """Seconds of steps in a process that ends with them: some GB of memory, which glibc might keep, are not free until then."""
        precision, channels_last, allocator = INGREDIENTS[name]
        with _process_with(allocator) as process:
            return process.submit(_time_training, TRAINED, steps, precision, channels_last, beside_loop=beside_loop).result()


def as_table(rows: Sequence[Row]) -> str:
    """Rows for people."""
    lines = [f"{'':64}{'ours':>10}{'obvious way':>13}{'times better':>14}"]
    lines += [f"{row.name + ', ' + row.unit:64}{_figure(row.ours):>10}{_figure(row.other):>13}{_figure(row.ratio):>14}" for row in rows]
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/benchmark.py.

    Returns:
        The exit code: 0, or 2 for bad input, or 130 after Ctrl-C.
    """
    options = _parser().parse_args(args)
    load = os.getloadavg()[0]
    try:
        _check(options)
        with tempfile.TemporaryDirectory() as folder:
            benchmark = Benchmark(Path(folder), **vars(options))
            rows = list(tqdm(benchmark.measure(), unit="row", file=sys.stderr))
    except InputError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("benchmark: stopped", file=sys.stderr)
        return 130
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("onnxruntime", "torch", "transformers"))
    print(f"{as_table(rows)}\n\n{os.cpu_count()} cores, load {load:.1f} before, Python {platform.python_version()}, {versions}")
    return 0


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _check(options: argparse.Namespace) -> None:
    missing = [name for name in (*OBVIOUS, "lightning") if name != "pillow" and util.find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is missing; the obvious way needs the extra 'train': pip install -e '.[train]'")
    for name in ("starts", "pairs", "rows", "steps"):
        if getattr(options, name) < 0:
            raise InputError(f"--{name} {getattr(options, name)}: at least 0, which leaves it out")
    if min(options.workers) < 1:
        raise InputError(f"--workers {min(options.workers)}: at least 1 is needed")
    try:
        open_picture(options.image)
    except PictureError as error:
        raise InputError(f"--image: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmark.py",
        allow_abbrev=False,
        description="Measure the verifier beside the obvious way (DistilBERT in a transformers pipeline, torchvision's MobileNetV2, and "
        "the words of both compared), and the training of MobileNetV2 on a CPU: with what configs/overlays/cpu.yaml sets, beside float32, "
        "contiguous tensors and glibc's own allocator; and under Lightning, beside a bare PyTorch loop that does the same. All take turns. "
        "Needs the extra 'train' and some minutes; 0 leaves a part out.",
    )
    for name, default, what in (
        ("starts", 5, "cold starts of each way"),
        ("pairs", 30, "warm pairs of each picture size and text"),
        ("rows", 600, "rows of the tables"),
        ("steps", 5, "training steps of 64 pictures in each of two turns of each way to train, which takes 5 GB of memory"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2), metavar="N", help="processes that answer tables (default: 1 2)")
    parser.add_argument("--image", type=Path, default=ROOT / "notebooks/cat.jpg", metavar="FILE", help="picture to make the others from")
    return parser


def _picture(folder: Path, name: str, copy: int = 0) -> Path:
    return folder / name / f"{copy}.jpg"


def _process() -> Executor:
    """One process of its own, begun at its first task: what it loads or leaves running disturbs nobody else."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_be_quiet)


@contextmanager
def _process_with(allocator: Mapping[str, str]) -> Iterator[Executor]:
    """One process that finds these of the variables for glibc when it starts, and no other, whatever ours was started with."""
    before = dict(os.environ)
    with _process() as process:
        for name in KEEPS_FREED:
            os.environ.pop(name, None)
        os.environ.update(allocator)
        try:
            process.submit(os.getpid).result()
        finally:
            os.environ.clear()
            os.environ.update(before)
        yield process


def _be_quiet() -> None:
    """Keep the advice and the progress bars of libraries from the terminal; what goes wrong comes back as an exception."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _waits_for(process: Executor, way: Way) -> Way:
    """A way of answering that answers in a process."""
    return lambda text, image: process.submit(way, text, image).result()


# What the processes do


def _prepare(folder: Path, image: Path) -> None:
    """Write the obvious way's models, and pictures of every size with the fine detail of photos."""
    from verifier.baseline import save_baseline  # noqa: PLC0415  (torch, in a process of its own)

    save_baseline(folder, tokenizer=SHIPPED / "tokenizer.json", classes=Release().manifest.kinds)
    chance = np.random.default_rng(0)
    for name, sides in SIZES.items():
        pixels = np.asarray(open_picture(image).resize(sides, Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = Image.fromarray((pixels + chance.normal(0, 6, (*pixels.shape[:2], 1))).clip(0, 255).astype(np.uint8))
        (folder / name).mkdir()
        for copy in range(1 if name == "12 MP" else COPIES):
            noisy.save(_picture(folder, name, copy), quality=90)


def _time_ours(text: str, image: Path) -> float:
    verifier = _ours()
    begin = time.perf_counter()
    verifier.verify(text, image)
    return 1000 * (time.perf_counter() - begin)


@cache
def _ours() -> Verifier:
    return Verifier()


def _time_obvious(folder: Path, text: str, image: Path) -> float:
    baseline = _obvious(folder)
    begin = time.perf_counter()
    baseline.verify(text, image)
    return 1000 * (time.perf_counter() - begin)


@cache
def _obvious(folder: Path) -> Baseline:
    from verifier.baseline import Baseline  # noqa: PLC0415

    return Baseline(folder)


def _time_training(
    trained: tuple[str, int, int], steps: int, precision: Precision, channels_last: bool, *, beside_loop: bool
) -> tuple[list[float], list[float]]:
    from verifier.training_speed import time_training  # noqa: PLC0415

    backbone, side, batch_size = trained
    return time_training(
        backbone,
        side=side,
        batch_size=batch_size,
        steps=steps,
        precision=precision,
        channels_last=channels_last,
        beside_loop=beside_loop,
    )
