"""Annotated sentences for training and evaluation, and plain texts for prediction."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from animal_ner.borrowed import borrowed_files, is_for_testing, read_borrowed
from animal_ner.grammar import generate
from animal_ner.hurry import hurry
from animal_ner.leakage import check_apart, same
from animal_ner.names import fold, names_an_animal, spellings
from animal_ner.order import Draw, TrainOrder
from animal_ner.provenance import PROVENANCE, provenance
from animal_ner.resuming import ResumableData
from animal_ner.sentences import Sentence, SentenceError, read_sentences
from animal_ner.variation import make_slips, swap_for_things, swap_names

logger = logging.getLogger(__name__)


class TrainingSentences(Dataset[Sentence]):
    """Written sentences, each varied as its draw says, then sentences from the grammar, then texts without an animal.

    Args:
        written: annotated sentences.
        generated: number of sentences from the grammar; the draw says which.
        bare: texts without an animal.
        drawn: number of these that are drawn; the draw says which.
        swapped: probability that a written sentence gets other animals, 0..1.
        things: probability that it gets things in the place of animals, 0..1.
        hurried: probability that any sentence is typed in a hurry (see ``hurry``), 0..1.
    """

    def __init__(
        self,
        written: list[Sentence],
        *,
        generated: int,
        bare: Sequence[str] = (),
        drawn: int = 0,
        swapped: float,
        things: float = 0.0,
        hurried: float = 0.0,
    ) -> None:
        self.written = written
        self.generated = generated
        self.bare = bare
        self.drawn = drawn if bare else 0
        self.swapped = swapped
        self.things = things
        self.hurried = hurried

    def __len__(self) -> int:
        return len(self.written) + self.generated + self.drawn

    def __getitem__(self, key: int | Draw) -> Sentence:
        i, seed = key if isinstance(key, Draw) else (key, key)
        chance = random.Random(seed)
        sentence = self._sentence(i, chance)
        return hurry(sentence, chance) if self.hurried and chance.random() < self.hurried else make_slips(sentence, chance)

    def _sentence(self, i: int, chance: random.Random) -> Sentence:
        if i >= len(self.written) + self.generated:
            return Sentence(chance.choice(self.bare))
        if i >= len(self.written):
            return next(generate(chance.getrandbits(32)))
        sentence = self.written[i]
        if chance.random() < self.swapped:
            sentence = swap_names(sentence, chance)
        return swap_for_things(sentence, chance) if chance.random() < self.things else sentence


class SentenceDataModule(ResumableData):
    """Sentences in JSON lines (see ``sentences.read_sentences``) and from the grammar.

    Args:
        train: files to train on; not needed for predict.
        val: files to validate on.
        test: files to test on.
        generated: number of sentences from the grammar in each training epoch, from 0.
        borrowed: folder of the public text files of which the package annotates some lines (see ``borrowed``); these lines train too. A
            folder that is not there is left out with a warning.
        plain: text files, one text a line, of what people write about any pictures. The lines in which nothing sounds like an animal
            train too, as texts that name none. A file that is not there is left out with a warning.
        drawn: number of such lines in each training epoch, from 0.
        swapped: probability that a written training sentence gets other animals, 0..1.
        things: probability that it gets things in the place of animals, which are no mentions, 0..1.
        hurried: probability that any training sentence is typed in a hurry, misspelt and without marks, 0..1.
        seed: seed of variation and grammar, a whole number.
        by_heart: let the same sentences train and evaluate, to see whether a model can learn a few of them by heart; scores then say
            nothing of other sentences.
        batch_size: sentences in a batch, at least 1.
        predict_texts: texts for ``predict``.
        predict_file: text file with one text a line for ``predict``.
    """

    def __init__(
        self,
        train: list[str] | None = None,
        val: list[str] | None = None,
        test: list[str] | None = None,
        generated: int = 2000,
        borrowed: str | None = None,
        plain: list[str] | None = None,
        drawn: int = 0,
        swapped: float = 0.5,
        things: float = 0.05,
        hurried: float = 0.0,
        seed: int = 0,
        by_heart: bool = False,
        batch_size: int = 32,
        predict_texts: list[str] | None = None,
        predict_file: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["predict_texts", "predict_file"])
        self.files = {"train": train or [], "val": val or [], "test": test or []}
        self.generated, self.swapped, self.things, self.hurried, self.seed = generated, swapped, things, hurried, seed
        self.borrowed = Path(borrowed) if borrowed else None
        self.plain = [Path(file) for file in plain or []]
        self.drawn = drawn
        self.by_heart = by_heart
        self.batch_size = batch_size
        self.predict_texts = list(predict_texts or [])
        self.predict_file = Path(predict_file) if predict_file else None
        self._sentences: dict[str, list[Sentence]] = {}
        self._held_out: frozenset[str] = frozenset()  # what validates or tests, as leakage.same has it

    def setup(self, stage: str) -> None:
        """Read the files that a stage needs."""
        super().setup(stage)
        for side in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ()):
            if not self.files[side] and not (side == "train" and self.generated):
                raise SentenceError(f"data.{side}: no file given; it takes a list of JSON-lines files of annotated sentences")
            self._sentences[side] = [sentence for file in self.files[side] for sentence in read_sentences(Path(file))]
        if stage in {"fit", "validate", "test"}:
            self._check_sides(stage)

    def _check_sides(self, stage: str) -> None:
        """Refuse sentences that are on two sides, those of files included that the stage does not need; tell what a fit learns from."""
        files = {side: [Path(file) for file in listed if Path(file).is_file()] for side, listed in self.files.items()}
        sides = {
            side: self._sentences.get(side) or [sentence for file in there for sentence in read_sentences(file)]
            for side, there in files.items()
        }
        borrowed = read_borrowed(self.borrowed, "train") if stage == "fit" and self.borrowed and self.borrowed.is_dir() else []
        if not self.by_heart:
            check_apart(sides | {"train": [*sides["train"], *borrowed]}, files)
        self._held_out = frozenset(same(sentence.text) for side in ("val", "test") for sentence in sides[side])
        if stage == "fit":
            used = files | {"borrowed": borrowed_files(self.borrowed) if self.borrowed else [], "plain": self.plain if self.drawn else []}
            counts = {side: len(sentences) for side, sentences in sides.items()} | {"borrowed": len(borrowed)}
            self.hparams[PROVENANCE] = provenance(used, counts)

    def seen_names(self) -> frozenset[str]:
        """Names that training may meet: those of the training sentences, and the lexicon's, of which variation and grammar make use."""
        sentences = [sentence for file in self.files["train"] if Path(file).is_file() for sentence in read_sentences(Path(file))]
        names = {fold(sentence.text[m.start : m.end]) for sentence in sentences for m in sentence.mentions}
        return frozenset({*names, *spellings()})

    def sentences(self, side: str) -> list[Sentence]:
        """The sentences of ``train``, ``val`` or ``test``, as written, after ``setup``."""
        return self._sentences[side]

    def train_dataloader(self) -> DataLoader[Sentence]:
        """Varied and generated sentences in a random order."""
        dataset = TrainingSentences(
            self._sentences["train"] + self._borrowed_sentences(),
            generated=self.generated,
            bare=self._bare_texts(),
            drawn=self.drawn,
            swapped=self.swapped,
            things=self.things,
            hurried=self.hurried,
        )
        order = TrainOrder(len(dataset), seed=self.seed, position=self.position, batch_size=self.batch_size, **self.share())
        return DataLoader(dataset, batch_size=self.batch_size, sampler=order, collate_fn=list)

    def _borrowed_sentences(self) -> list[Sentence]:
        """The annotated lines of public text files that train; none, if the files are not there."""
        if self.borrowed is None:
            return []
        if not self.borrowed.is_dir():
            logger.warning("%s: no such folder (data.borrowed); training goes on without its texts", self.borrowed)
            return []
        return read_borrowed(self.borrowed, "train")

    def _bare_texts(self) -> list[str]:
        """The lines of the plain files in which nothing sounds like an animal; files that are not there are left out.

        Nor are there any that validate or test.
        """
        texts: list[str] = []
        for file in self.plain if self.drawn else ():
            if file.is_file():
                lines = [text for text in _read_lines(file) if text.strip() and not names_an_animal(text)]
                texts += [text for text in lines if same(text) not in self._held_out and not is_for_testing(text)]
            else:
                logger.warning("%s: no such file (data.plain); training goes on without its texts", file)
        return texts

    def val_dataloader(self) -> DataLoader[Sentence]:
        """Validation sentences as they are."""
        return self._in_order(self._sentences["val"])

    def test_dataloader(self) -> DataLoader[Sentence]:
        """Test sentences as they are."""
        return self._in_order(self._sentences["test"])

    def transfer_batch_to_device(self, batch: list[Sentence], device: torch.device, dataloader_idx: int) -> list[Sentence]:
        """Leave sentences as they are; each step of the tagger moves the pieces it makes of them."""
        return batch

    def predict_dataloader(self) -> DataLoader[Sentence]:
        """The texts of ``predict_texts``, then the lines of ``predict_file``."""
        texts = list(self.predict_texts)
        if self.predict_file is not None:
            texts += _read_lines(self.predict_file)
        if not texts:
            raise SentenceError("data.predict_texts, data.predict_file: no text given")
        return self._in_order([Sentence(text) for text in texts])

    def _in_order(self, sentences: list[Sentence]) -> DataLoader[Sentence]:
        sampler = self.each_once(sentences, "texts")  # type: ignore[arg-type]
        return DataLoader(sentences, batch_size=self.batch_size, sampler=sampler, collate_fn=list)  # type: ignore[arg-type]


def _read_lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")  # splitlines knows ends of lines that files do not have
    except (OSError, UnicodeDecodeError) as error:
        raise SentenceError(f"{file}: cannot be read ({error}); expected UTF-8, one text a line") from error
    return lines if lines[-1] else lines[:-1]
