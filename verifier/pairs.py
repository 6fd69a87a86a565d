"""Pairs of an annotated text and a labelled picture of which it is known whether the text is true."""

from __future__ import annotations

import csv
import random
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from animal_cls.cells import plain_cell
from animal_cls.picture import find_pictures
from animal_ner.sentences import Sentence
from animal_ner.tags import Claim
from verifier.decision import InputError

NO_KIND = ""  # label of a picture that shows none of the kinds
NUMBERED = re.compile(r"(.+)[ _-]\d+")  # names of files that begin with their source: "k90_intrusion_0012"


class Shown(StrEnum):
    """What a picture shows, seen from what a text speaks of."""

    NAMED = "a kind that is named"
    LOOK_ALIKE = "a look-alike of one"
    OTHER = "another kind"
    NOTHING = "no animal"


@dataclass(frozen=True)
class Picture:
    """A picture, the one kind it shows (``NO_KIND`` for none) and where it came from (empty when unknown)."""

    path: Path
    label: str
    source: str = ""


@dataclass(frozen=True)
class Pair:
    """A text and a picture, whether the text is true of it, and what it shows, seen from the text."""

    sentence: Sentence
    picture: Picture
    truth: bool
    shown: Shown


def holds(mentions: Iterable[tuple[Claim, Collection[str]]], shown: Collection[str]) -> bool:
    """Whether annotated mentions are true of a picture that shows some kinds: the rule of the annotation guideline.

    Every PRESENT mention has a kind that is shown, no ABSENT one has, and of the EITHER ones at least one has. Without any of these
    there is no claim, and it does not hold. This is the rule taken mechanically, by which annotated texts are measured. The decision
    departs from it in one case, and is then counted as wrong: a denied sort of what is there ("a hen, not a rooster") holds for it.

    Args:
        mentions: the claim and the kinds of each; a mention of none is of an unknown animal, which no picture shows.
        shown: kinds that the picture shows; may be empty.
    """
    claims = list(mentions)
    met = {claim: [bool(set(kinds) & set(shown)) for c, kinds in claims if c == claim] for claim in Claim}
    if not met[Claim.PRESENT] and not met[Claim.ABSENT] and not met[Claim.EITHER]:
        return False
    return all(met[Claim.PRESENT]) and not any(met[Claim.ABSENT]) and (not met[Claim.EITHER] or any(met[Claim.EITHER]))


def make_pairs(
    sentences: Sequence[Sentence],
    pictures: Sequence[Picture],
    kinds: Callable[[str], Collection[str]],
    *,
    alike: Mapping[str, Collection[str]],
    rounds: int,
    look_alikes: float,
    without_animal: float,
    seed: int,
) -> list[Pair]:
    """Give texts pictures of which they are true and of which they are false, as many of the one as of the other.

    Each text meets ``rounds`` pictures of each truth, where there are such. What the texts that can only be true, or only be false,
    leave one truth short of is drawn for the others. No text meets a picture twice.

    Args:
        sentences: annotated texts.
        pictures: labelled pictures.
        kinds: kinds that a name may mean.
        alike: for each kind those that look like it; a kind that is missing looks like none.
        rounds: pictures of each truth for each text.
        look_alikes: share, 0..1, of the pictures that are drawn among the kinds that the text names and among those that look like
            them, either as often; where none of these gives the truth that is wanted, all kinds do.
        without_animal: share, 0..1, of the pictures that are drawn among those without an animal, where these give the truth.
        seed: of the draws. A kind is drawn evenly first, then one of its pictures.

    Returns:
        The pairs; as many true as false unless the pictures do not suffice.
    """
    chance = random.Random(seed)
    by_label: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_label[picture.label].append(picture)
    draws = [_Draw(sentence, by_label, kinds, alike, (look_alikes, without_animal), chance) for sentence in sentences]
    versatile = [draw for draw in draws if draw.can(True) and draw.can(False)]
    pairs = [pair for draw in draws for truth in (True, False) for _ in range(rounds) if (pair := draw.pair(truth))]
    surplus = sum(1 if pair.truth else -1 for pair in pairs)
    scarce, lacking = surplus < 0, abs(surplus)
    chance.shuffle(versatile)
    while lacking and (versatile := [draw for draw in versatile if draw.can(scarce)]):
        more = [pair for draw in versatile[:lacking] if (pair := draw.pair(scarce))]
        pairs += more
        lacking -= len(more)
    return pairs


class _Draw:
    """Draws pictures for one text."""

    def __init__(
        self,
        sentence: Sentence,
        by_label: Mapping[str, Sequence[Picture]],
        kinds: Callable[[str], Collection[str]],
        alike: Mapping[str, Collection[str]],
        shares: tuple[float, float],
        chance: random.Random,
    ) -> None:
        mentions = [(mention.claim, kinds(sentence.text[mention.start : mention.end])) for mention in sentence.mentions]
        self._sentence, self._by_label, self._chance = sentence, by_label, chance
        self._look_alikes, self._without_animal = shares
        self._named = frozenset(kind for _, named in mentions for kind in named)
        self._alike = frozenset(kind for named in self._named for kind in alike.get(named, ())) - self._named
        self._labels: dict[bool, set[str]] = {True: set(), False: set()}
        for label in by_label:
            self._labels[holds(mentions, {label} - {NO_KIND})].add(label)
        self._used: set[Path] = set()

    def can(self, truth: bool) -> bool:
        """Whether there may be another picture that makes the text true, or false."""
        return bool(self._labels[truth])

    def pair(self, truth: bool) -> Pair | None:
        """A picture that this text has not met, or nothing when there is no more that gives the truth."""
        labels = self._labels[truth]
        while labels:
            label = self._draw_label(labels)
            new = [picture for picture in self._by_label[label] if picture.path not in self._used]
            if new:
                picture = self._chance.choice(new)
                self._used.add(picture.path)
                return Pair(self._sentence, picture, truth, self._shown(label))
            labels.discard(label)
        return None

    def _draw_label(self, labels: set[str]) -> str:
        if NO_KIND in labels and self._chance.random() < self._without_animal:
            return NO_KIND
        near = [found for some in (self._named, self._alike) if (found := sorted(labels & some))]
        if near and self._chance.random() < self._look_alikes:
            return self._chance.choice(self._chance.choice(near))
        return self._chance.choice(sorted(labels - {NO_KIND}) or [NO_KIND])

    def _shown(self, label: str) -> Shown:
        if label == NO_KIND:
            return Shown.NOTHING
        return Shown.NAMED if label in self._named else Shown.LOOK_ALIKE if label in self._alike else Shown.OTHER


def read_pictures(place: Path, *, side: str, negatives: Path | None = None) -> list[Picture]:
    """Find labelled pictures.

    Args:
        place: a folder with one sub-folder for each label, or a CSV with the columns path (or file) and label and, if wanted, source
            and split. An empty label means that the picture shows none of the kinds. Paths are looked for in the current folder,
            beside the CSV, and in the folder beside it that has its name (``animals/`` for ``animals.csv``).
        side: of the split that counts, if the CSV has the column split.
        negatives: a folder of pictures that show none of the kinds; those that a CSV lists count, or not, as it says.

    Returns:
        The pictures; without a column source, a file is of the source that its name begins with, as in ``SOURCE_0012.jpg``.

    Raises:
        InputError: there are none, or the table or a row of it cannot be used, or it lists all the negatives.
    """
    pictures = _read_table(place, side) if place.is_file() else _read_folders(place)
    if not any(picture.label for picture in pictures):
        raise InputError(f"{place}: no labelled picture there; give a folder for each label, or a CSV with the columns path and label")
    if negatives:
        found = find_pictures(negatives)
        if not found:
            raise InputError(f"{negatives}: no picture there; give a folder of pictures that show no animal")
        listed = _listed(place) if place.is_file() else set()
        without = [Picture(path, NO_KIND, _source(path)) for path in found if path.resolve() not in listed]
        if not without:
            raise InputError(f"{negatives}: {place} lists all of its pictures, which count by their sides there; leave --negatives out")
        pictures += without
    return pictures


def _read_folders(place: Path) -> list[Picture]:
    if not place.is_dir():
        raise InputError(f"{place}: no such folder or file; give a folder for each label, or a CSV with the columns path and label")
    folders = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [Picture(path, folder.name, _source(path)) for folder in folders for path in find_pictures(folder)]


def _read_table(table: Path, side: str) -> list[Picture]:
    """The pictures of a side."""
    pictures, seen = [], set()
    for line, row in _rows(table):
        if "split" in row:
            seen.add(row["split"])
            if row["split"] != side:
                continue
        path = _locate(row["path"], table)
        if path is None:
            raise InputError(f"{table}, line {line}: {row['path'] or 'empty path'}: no such file")
        pictures.append(Picture(path, plain_cell(row["label"]), row.get("source") or _source(path)))
    if seen and side not in seen:
        raise InputError(f"{table}: no picture on the side {side!r}; its sides are {', '.join(sorted(seen))}")
    return pictures


def _listed(table: Path) -> set[Path]:
    """The files of the pictures of all sides."""
    return {path.resolve() for _, row in _rows(table) if (path := _locate(row["path"], table))}


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV, each with the line it ends on, its picture under ``path``."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream, restval="")
            columns = rows.fieldnames or ()
            name = next((column for column in ("path", "file") if column in columns), None)
            if name is None or "label" not in columns:
                raise InputError(f"{table}: columns are {', '.join(columns) or 'none'}; path (or file) and label are needed")
            for row in rows:
                yield rows.line_num, row | {"path": plain_cell(row[name])}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read ({error}); expected a CSV in UTF-8 with the columns path and label") from error


def _locate(name: str, table: Path) -> Path | None:
    places = (Path(), table.parent, table.with_suffix(""))
    return next((path for place in places if name and (path := place / name).is_file()), None)


def _source(path: Path) -> str:
    match = NUMBERED.fullmatch(path.stem)
    return match[1] if match else ""
