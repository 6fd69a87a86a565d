"""Labelled pictures for training and evaluation, and unlabelled ones for prediction."""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from animal_cls.cache import PixelCache, Place, cache_folder, clean_up, forget
from animal_cls.corrections import corrected, right_labels
from animal_cls.examples import DataError, read_examples
from animal_cls.fingerprints import as_array, take_fingerprints
from animal_cls.order import Draw, TrainOrder
from animal_cls.picture import PictureError, Pixels, find_pictures, least_side, limit_picture, load_picture, open_picture
from animal_cls.provenance import PROVENANCE, provenance
from animal_cls.resuming import ResumableData
from animal_cls.soundness import check_apart, check_classes, check_readable
from animal_cls.split import Example, Side, make_split, read_split, write_split
from animal_cls.transforms import TrainTransform
from animal_cls.views import load_views

logger = logging.getLogger(__name__)

NO_CLASS = -1


class Item(TypedDict):
    """One picture as the network meets it."""

    image: Tensor  # uint8 (3, S, S)
    label: int  # index of the class, NO_CLASS when the picture shows none of them
    path: str


class PictureDataset(Dataset[Item]):
    """Pictures with their labels, augmented when a transform is given.

    Args:
        examples: what to serve, in order.
        classes: class names in the order of the network's outputs.
        size: side of the images in pixels.
        transform: augmentation from a whole picture to an image of side ``size``; none squashes the whole picture.
        cache: keeps what is decoded; none decodes each time.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        classes: Sequence[str],
        size: int,
        transform: TrainTransform | None = None,
        cache: PixelCache | None = None,
    ) -> None:
        self.examples = list(examples)
        self.size = size
        self.transform = transform
        self.cache = cache
        self._index = {name: i for i, name in enumerate(classes)}

    def __len__(self) -> int:
        return len(self.examples)

    def label(self, i: int) -> int:
        """Class index of the i-th picture; NO_CLASS when it shows none."""
        return self._index.get(self.examples[i].label, NO_CLASS)

    def __getitem__(self, key: int | Draw) -> Item:
        i, seed = key if isinstance(key, Draw) else (key, key)
        pixels = self.pixels(i)
        if self.transform is not None:
            pixels = self.transform(pixels, seed=seed)
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        return {"image": image, "label": self.label(i), "path": str(self.examples[i].path)}

    def pixels(self, i: int) -> Pixels:
        """The i-th picture before augmentation: squashed to ``size`` if there is none, else as large as its crops need."""
        path = self.examples[i].path
        if self.transform is None:
            form, decode = f"squashed to {self.size} from at least {least_side(self.size)}", partial(load_picture, path, self.size)
        else:
            form, decode = f"limited to {2 * self.size}", partial(_load_limited, path, 2 * self.size)
        return self.cache.read(path, form, decode) if self.cache else decode()


class WeightedItem(Item):
    """One picture and how often it is drawn, relative to the others."""

    weight: float


class WeightedPictures(Dataset[WeightedItem]):
    """Pictures, each with its weight."""

    def __init__(self, pictures: PictureDataset, weights: Sequence[float]) -> None:
        self.pictures = pictures
        self.weights = list(weights)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> WeightedItem:
        return {**self.pictures[i], "weight": self.weights[i]}


class UnlabelledItem(TypedDict):
    """One picture to predict."""

    image: Tensor  # uint8 (V, 3, S, S), its views
    path: str
    error: str  # why the picture cannot be read; empty when it can


class UnlabelledBatch(TypedDict):
    """Pictures to predict, collated."""

    image: Tensor  # uint8 (V, 3, S, S), the views of one picture after those of the other
    views: list[int]  # how many each picture has
    path: list[str]
    error: list[str]


class FolderDataset(Dataset[UnlabelledItem]):
    """Unlabelled pictures; one that cannot be read is served as a blank image whose ``error`` says why.

    Args:
        paths: the files.
        size: side of the images in pixels.
        parts: serve the parts of a long picture too (see ``views``); without them, the whole alone.
    """

    def __init__(self, paths: Sequence[Path], size: int, *, parts: bool = True) -> None:
        self.paths = list(paths)
        self.size = size
        self.load = load_views if parts else _whole_view

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> UnlabelledItem:
        try:
            pixels, error = self.load(self.paths[i], self.size), ""
        except PictureError as problem:
            pixels, error = np.zeros((1, self.size, self.size, 3), dtype=np.uint8), str(problem)
        return {"image": torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2), "path": str(self.paths[i]), "error": error}


def collate_views(items: Sequence[UnlabelledItem]) -> UnlabelledBatch:
    """Put the views of several pictures into one tensor."""
    return {
        "image": torch.cat([item["image"] for item in items]),
        "views": [len(item["image"]) for item in items],
        "path": [item["path"] for item in items],
        "error": [item["error"] for item in items],
    }


def _whole_view(path: Path, size: int) -> Pixels:
    return load_picture(path, size)[np.newaxis]


class PictureDataModule(ResumableData):
    """Pictures of any set of classes, split once and for all.

    The class names come from the data: one sub-folder for each class, or the labels of a CSV. The split is stratified, keeps
    near-duplicates and groups on one side, and is stored, so that runs compare.

    Args:
        root: folder with one sub-folder of pictures for each class; with ``table``, the folder its paths start from. Not needed
            for predict.
        table: CSV with the columns path, label and, if wanted, group, in place of sub-folders; ``predict`` writes such tables, see
            ``read_examples``.
        negatives: folder of pictures that show none of the classes; they teach the network to say so.
        corrections: CSV with the columns path, label, correction and reason, such as a review of ``scripts/audit.py``'s findings gives:
            pictures whose label is another than the data say, or that are left out (``correction`` is empty). Paths are relative
            to ``root``; those of negatives, whose label is empty, to ``negatives``.
        split_file: CSV in which the split is stored; read when it is there, made when it is not. It is of the data as they lie:
            corrections neither make nor change it, so that a corrected picture stays on its side, and runs with and without
            corrections compare.
        val: share of the pictures that validate, 0..1.
        test: share of the pictures that test, 0..1.
        seed: seed of the split, a whole number.
        test_only: patterns of paths (as in ``*/web_*.jpg``) that only test, such as whole sources; ``val`` and ``test`` are shares of the
            other pictures, and ``test`` may then be 0.
        size: side in pixels of validation, test and prediction images.
        train_size: side in pixels of training images; a little smaller than ``size`` trains faster and predicts no worse
            (Touvron et al., "Fixing the train-test resolution discrepancy", 2019).
        smallest_crop: smallest share of a picture's area that a random training crop keeps, 0..1.
        colour: strength of colour augmentation, 0..1.
        balance: 0 draws training pictures as they come, 1 draws all classes equally often.
        batch_size: pictures in a batch, at least 1.
        num_workers: processes that decode pictures; 0 decodes in the training process.
        prefetch: batches that each of these processes prepares ahead, at least 1.
        cache: keeps decoded pictures, so that epochs after the first decode none: in memory (``ram``, shared by all processes and given
            back at the end), in ``cache_folder`` (``disk``, where later runs find them as well), or ``auto``: in memory if half of what is
            free suffices, else on the disk if there is room. A picture takes 3 bytes a pixel, its shorter side at most ``2 * train_size``.
        cache_folder: where ``disk`` keeps decoded pictures; it may be deleted whenever no training runs.
        max_unreadable: share of the pictures, 0..1, that may be unreadable; they are left out with a warning. More are an error.
        predict_paths: pictures, or folders of pictures, for ``predict``.
    """

    def __init__(
        self,
        root: str | None = None,
        table: str | None = None,
        negatives: str | None = None,
        corrections: str | None = None,
        split_file: str = "runs/splits/pictures.csv",
        val: float = 0.1,
        test: float = 0.1,
        seed: int = 0,
        test_only: list[str] | None = None,
        size: int = 224,
        train_size: int = 192,
        smallest_crop: float = 0.35,
        colour: float = 0.3,
        balance: float = 0.5,
        batch_size: int = 64,
        num_workers: int = 2,
        prefetch: int = 2,
        cache: Place | None = None,
        cache_folder: str = "runs/cache",
        max_unreadable: float = 0.05,
        predict_paths: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["predict_paths"])
        self.root = Path(root) if root else None
        self.table = Path(table) if table else None
        self.negatives = Path(negatives) if negatives else None
        self.corrections = Path(corrections) if corrections else None
        self.split_file = Path(split_file)
        self.val, self.test, self.seed = val, test, seed
        self.test_only = list(test_only or [])
        self.size, self.train_size = size, train_size
        self.smallest_crop, self.colour, self.balance = smallest_crop, colour, balance
        self.batch_size, self.num_workers, self.prefetch = batch_size, num_workers, prefetch
        self.cache, self.cache_folder = cache, Path(cache_folder)
        self.max_unreadable = max_unreadable
        self.predict_paths = [Path(path) for path in predict_paths or []]
        if not 0 < val < 1 or not 0 <= test < 1 or val + test >= 1 or not (test or test_only):
            raise DataError(f"data.val {val} and data.test {test}: both must be above 0 and their sum below 1")
        if not 0 <= max_unreadable < 1:
            raise DataError(f"data.max_unreadable {max_unreadable}: a share of the pictures is needed, from 0 to below 1")
        self.examples = read_examples(self.root, self.table) if self.root and not self.predict_paths else []
        self.classes: list[str] = sorted({example.label for example in self.examples if example.label})
        self._datasets: dict[Side, PictureDataset] = {}

    def prepare_data(self) -> None:
        """Take the fingerprints of the pictures, and make the split file if it is not there (once, on the first process)."""
        if not self.examples:
            return
        everything = self._all_examples()
        found = take_fingerprints([example.path for example in everything], self.fingerprint_file, keep=True)
        if self.split_file.exists():
            return
        check_readable(self._used(everything), found, most=self.max_unreadable)
        examples = [example for example in everything if found[example.path].bits]
        logger.info("Looking for near-duplicates among %s pictures ...", f"{len(examples):,}")
        sides = make_split(
            examples,
            val=self.val,
            test=self.test,
            seed=self.seed,
            test_only=self.test_only,
            fingerprints=as_array(found[example.path] for example in examples),
        )
        unread = [example for example in everything if not found[example.path].bits]
        write_split(self.split_file, [*examples, *unread], [*sides, *(Side.TRAIN for _ in unread)])

    def setup(self, stage: str) -> None:
        """Read the split, check it, and build the datasets of its three sides."""
        super().setup(stage)
        if stage == "predict":
            return
        if not self.examples:
            raise DataError("data.root: not given; it must be a folder with one sub-folder of pictures for each class")
        placed = self._placed(stage)
        for side in Side:
            mine = [example for example, s in placed if s == side]
            transform = TrainTransform(self.train_size, smallest_crop=self.smallest_crop, colour=self.colour)
            self._datasets[side] = PictureDataset(
                mine, self.classes, self.train_size if side == Side.TRAIN else self.size, transform if side == Side.TRAIN else None
            )
            logger.info("%s: %s pictures", side, f"{len(mine):,}")
        if stage == "fit" and self.cache:
            self._keep_decoded(self.cache)

    def _keep_decoded(self, place: Place) -> None:
        """Give the pictures that each epoch sees a cache, where there is room for them."""
        datasets = [self._datasets[side] for side in (Side.TRAIN, Side.VAL)]
        # Processes of one machine share a folder of the first one's name.
        run = self.trainer.strategy.broadcast(os.getpid()) if self.trainer else os.getpid()
        if not self.trainer or self.trainer.local_rank == 0:
            clean_up(self.cache_folder)
        needed = sum(map(_decoded_bytes, datasets)) if place == "auto" else 0
        folder = cache_folder(place, self.cache_folder, needed=needed, run=run)
        if folder:
            for dataset in datasets:
                dataset.cache = PixelCache(folder)

    def teardown(self, stage: str) -> None:
        """Give back the memory of decoded pictures."""
        first = not self.trainer or self.trainer.local_rank == 0
        if stage == "fit" and first and self._datasets and (cache := self._datasets[Side.TRAIN].cache):
            forget(cache.folder)

    def _placed(self, stage: str) -> list[tuple[Example, Side]]:
        """The pictures that are used, with their sides; what makes a split worthless is refused, what can be lived with warned of."""
        examples = self._all_examples()
        right = self._right_labels(examples)
        if self.corrections:
            out = sum(label is None for label in right.values())
            logger.info("%s: %s pictures relabelled, %s left out", self.corrections, f"{len(right) - out:,}", f"{out:,}")
        sides = zip(examples, read_split(self.split_file, examples), strict=True)
        placed = [(used, side) for example, side in sides if (used := corrected(example, right))]
        found = take_fingerprints([example.path for example, _ in placed], self.fingerprint_file)
        unread = check_readable([example for example, _ in placed], found, most=self.max_unreadable)
        if unread:
            logger.warning("%s", f"{unread}. They are left out.")
        placed = [(example, side) for example, side in placed if found[example.path].bits]
        check_apart(self.split_file, placed, found)
        check_classes(self.split_file, placed, self.classes, stage=stage)
        folders = [folder for folder in (self.root, self.negatives) if folder]
        self.hparams[PROVENANCE] = provenance(placed, {path: one.size for path, one in found.items()}, folders=folders)
        return placed

    def _used(self, examples: Sequence[Example]) -> list[Example]:
        """The pictures that corrections do not leave out, with their right labels."""
        right = self._right_labels(examples)
        return [used for example in examples if (used := corrected(example, right))]

    @property
    def fingerprint_file(self) -> Path:
        """Where the fingerprints of the pictures are kept: beside the split."""
        return self.split_file.with_suffix(".fingerprints.csv")

    def pictures(self, side: Side) -> PictureDataset:
        """The pictures of one side, after ``setup``."""
        return self._datasets[side]

    def train_dataloader(self) -> DataLoader[Item]:
        """Augmented training pictures in a random order, rarer classes drawn more often as ``balance`` says."""
        dataset = self._datasets[Side.TRAIN]
        order = TrainOrder(self._train_weights(), position=self.position, batch_size=self.batch_size, **self.share())
        return self._loader(dataset, order, drop_last=len(order) > self.batch_size)

    def whole_train_dataloader(self) -> DataLoader[WeightedItem]:
        """Training pictures, whole, each once, in a random but fixed order, with how often ``train_dataloader`` draws them.

        Processes that train together share them out, each as many, and leave out what is left over.
        """
        examples = self._datasets[Side.TRAIN].examples
        order = np.random.default_rng(self.seed).permutation(len(examples))
        if share := self.share():
            order = order[: len(order) - len(order) % share["processes"]][share["rank"] :: share["processes"]]
        weights = self._train_weights()
        dataset = PictureDataset([examples[i] for i in order], self.classes, self.size)
        return DataLoader(WeightedPictures(dataset, [weights[i] for i in order]), batch_size=self.batch_size, num_workers=self.num_workers)

    def _train_weights(self) -> list[float]:
        """How often each training picture is drawn: rarer classes more often, as ``balance`` says; negatives by their share."""
        dataset = self._datasets[Side.TRAIN]
        labels = [dataset.label(i) for i in range(len(dataset))]
        counts = Counter(labels)
        weights = [counts[label] ** -self.balance if label != NO_CLASS else len(labels) ** -self.balance for label in labels]
        share_of_negatives = counts[NO_CLASS] / len(labels)
        return _with_share(weights, [label == NO_CLASS for label in labels], share_of_negatives)

    def val_dataloader(self) -> DataLoader[Item]:
        """Validation pictures, whole, in order."""
        return self._loader(self._datasets[Side.VAL], self.each_once(self._datasets[Side.VAL], "pictures"))

    def test_dataloader(self) -> DataLoader[Item]:
        """Test pictures, whole, in order."""
        return self._loader(self._datasets[Side.TEST], self.each_once(self._datasets[Side.TEST], "pictures"))

    def whole_pictures(self, side: Side, *, most: int | None = None) -> DataLoader[Item]:
        """Pictures of any side as validation sees them, whole and in order; at most ``most``, spread evenly over the side."""
        examples = self._datasets[side].examples
        count = len(examples) if most is None else min(most, len(examples))
        chosen = [examples[i * len(examples) // count] for i in range(count)]
        return self._loader(PictureDataset(chosen, self.classes, self.size))

    def predict_dataloader(self) -> DataLoader[UnlabelledItem]:
        """The pictures named by ``predict_paths``, folders searched through, as ``UnlabelledBatch``es."""
        paths: list[Path] = []
        for path in self.predict_paths:
            if not path.exists():
                raise DataError(f"{path}: no such file or folder (data.predict_paths)")
            paths += find_pictures(path) if path.is_dir() else [path]
        if not paths:
            raise DataError("data.predict_paths: no picture there; name picture files or folders that hold some")
        dataset = FolderDataset(paths, self.size)
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=self.each_once(dataset, "pictures"),
            num_workers=self.num_workers,
            collate_fn=collate_views,
        )

    def _all_examples(self) -> list[Example]:
        """Labelled pictures, then those that show none of the classes."""
        if self.negatives is None:
            return self.examples
        if not self.negatives.is_dir():
            raise DataError(f"{self.negatives}: no such folder (data.negatives)")
        return self.examples + [Example(path, "") for path in find_pictures(self.negatives)]

    def _right_labels(self, examples: Sequence[Example]) -> dict[Path, str | None]:
        """What the corrections say; nothing when there are none."""
        folders = [folder for folder in (self.root, self.negatives) if folder]
        return right_labels(self.corrections, examples, folders=folders) if self.corrections else {}

    def _loader(self, dataset: PictureDataset, sampler: Sampler[Any] | None = None, drop_last: bool = False) -> DataLoader[Item]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=self.num_workers,
            prefetch_factor=self.prefetch if self.num_workers else None,
            pin_memory=torch.cuda.is_available(),
            collate_fn=default_collate,
            worker_init_fn=_leave_ctrl_c,
        )


def _load_limited(path: Path, shorter: int) -> Pixels:
    """A whole picture, its shorter side no longer than ``shorter`` pixels."""
    return np.asarray(limit_picture(open_picture(path, at_least=shorter), shorter))


def _decoded_bytes(dataset: PictureDataset, *, looked_at: int = 32) -> int:
    """About how many bytes the decoded pictures of a dataset take, as a few of them tell."""
    count = min(looked_at, len(dataset))
    return sum(dataset.pixels(i * len(dataset) // count).nbytes for i in range(count)) * len(dataset) // max(count, 1)


def _leave_ctrl_c(_: int) -> None:
    """Leave Ctrl-C to the training process, which still needs the workers to finish its step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _with_share(weights: list[float], chosen: list[bool], share: float) -> list[float]:
    """Scale the weights of the chosen so that they make up ``share`` of the sum."""
    total_chosen = sum(w for w, c in zip(weights, chosen, strict=True) if c)
    total_others = sum(weights) - total_chosen
    if total_chosen == 0 or total_others == 0:
        return weights
    factor = share / (1 - share) * total_others / total_chosen
    return [w * factor if c else w for w, c in zip(weights, chosen, strict=True)]
