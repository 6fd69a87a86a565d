"""What is answered of pictures of two animals, two photos side by side, and of texts that set look-alikes beside each other."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from animal_cls.picture import PictureError, Pixels, load_picture
from animal_ner.tags import Claim
from verifier.decision import NONE_ALIKE, InputError, Mention, Verdict
from verifier.pairs import NO_KIND, Picture
from verifier.pipeline import Verifier

SIDE = 384  # of each of two photos, in pixels
HEADING = "what is said to be there"

Alike = Mapping[str, Collection[str]]


def measure_two_animals(
    verifier: Verifier, rule: Callable[..., Verdict], pictures: Sequence[Picture], *, alike: Alike, count: int, seed: int
) -> dict[str, tuple[int, float]]:
    """Say what is there of pictures of two animals, and of pictures of one that something looks like.

    Args:
        verifier: looks at the pictures.
        rule: ``decide``, with what a release decides by; it is given mentions, presence and alike.
        pictures: labelled ones; those without an animal are left out.
        alike: for each kind those that look like it.
        count: pairs of pictures of each sort, alike or not, at most; no two kinds meet twice.
        seed: of the pairs.

    Raises:
        InputError: a picture cannot be read.

    Returns:
        For each sort of claim how many there were, and the share, 0..1, that were confirmed.
    """
    confirmed: dict[str, list[bool]] = defaultdict(list)
    for sort, kinds, presence, similar in _claims(verifier, [p for p in pictures if p.label != NO_KIND], alike, count, random.Random(seed)):
        mentions = [Mention(kind, 0, len(kind), Claim.PRESENT, (kind,)) for kind in kinds]
        confirmed[sort].append(rule(mentions=mentions, presence=presence, alike=alike).answer)
        if similar:
            confirmed[f"{sort}, without the rule for these"].append(rule(mentions=mentions, presence=presence, alike=NONE_ALIKE).answer)
    return {sort: (len(answers), float(np.mean(answers))) for sort, answers in confirmed.items()}


def as_table(found: Mapping[str, tuple[int, float]]) -> str:
    """The figures, a line for each sort of claim."""
    width = max(map(len, (HEADING, *found)))
    lines = [f"{sort:{width}}  {claims:>6,} {share:>9.3f}" for sort, (claims, share) in found.items()]
    return "\n".join([f"{HEADING:{width}}  {'claims':>6} {'confirmed':>9}", *lines])


def _claims(
    verifier: Verifier, pictures: Sequence[Picture], alike: Alike, count: int, chance: random.Random
) -> Iterator[tuple[str, list[str], Mapping[str, float], bool]]:
    """Sort, kinds that are said to be there, presences, and whether these look alike."""
    look = cache(verifier.look)
    by_kind: dict[str, list[Path]] = defaultdict(list)
    for picture in pictures:
        by_kind[picture.label].append(picture.path)
    for named, similar in (("two kinds", False), ("two look-alikes", True)):
        of_this_sort = [(one, other) for one, other in combinations(sorted(by_kind), 2) if (other in alike.get(one, ())) is similar]
        for one, other in chance.sample(of_this_sort, min(count, len(of_this_sort))):
            presence = verifier.look(_side_by_side(chance.choice(by_kind[one]), chance.choice(by_kind[other])))
            others = [kind for kind in verifier.kinds if kind not in {one, other, *alike.get(one, ()), *alike.get(other, ())}]
            yield f"photos of {named}: both", [one, other], presence, similar
            yield f"photos of {named}: one of them", [chance.choice((one, other))], presence, False
            if others:
                third = chance.choice(others)
                yield f"photos of {named}: another kind", [third], presence, False
                yield f"photos of {named}: one of them and another kind", [one, third], presence, False
    for picture in pictures:
        for rival in sorted(set(alike.get(picture.label, ())) & set(verifier.kinds)):
            yield "a photo of one kind: it and a look-alike", [picture.label, rival], look(picture.path), True


def _side_by_side(left: Path, right: Path) -> Image.Image:
    try:
        halves: list[Pixels] = [load_picture(path, SIDE) for path in (left, right)]
    except PictureError as error:
        raise InputError(str(error)) from error
    return Image.fromarray(np.concatenate(halves, axis=1))
