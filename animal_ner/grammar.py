"""Generated sentences: every construction of the annotation guideline, in many words, with any animal of the lexicon.

A frame is a sentence with slots. ``{P:a}`` is a mention that is PRESENT in the form "a fox" (A, E and M are the other claims); the
forms are ``a``, ``the`` ("the fox"), ``n`` (bare singular), ``s`` (bare plural) and ``some`` ("three foxes"). With a G before its claim, as
in ``{GA:s}``, a slot takes the name of a group ("birds"). Any other word in braces stands for one of its ``FILLERS``.

Of the fillers whose name ends in 0 there are fewer, which fit where not all of the longer list do: ``in0`` is a place without "there",
"anywhere" and the like ("We have two cats there" is odd), ``thing0`` is a thing with its article, ``person0`` is one person whom the
reader is to know ("What is the man doing?").
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache

from animal_ner.names import lexicon, lexicon_kinds, plural
from animal_ner.sentences import Sentence
from animal_ner.tags import Claim, Span
from animal_ner.variation import any_name

CLAIMS = {"P": Claim.PRESENT, "A": Claim.ABSENT, "E": Claim.EITHER, "M": Claim.MENTIONED}

FILLERS: dict[str, tuple[str, ...]] = {
    "pic": ("picture", "photo", "image", "photograph", "pic", "shot", "frame", "snapshot", "scene", "screenshot"),
    "in": (
        "in the {pic}",
        "in this {pic}",
        "here",
        "in it",
        "on this {pic}",
        "there",
        "in view",
        "in the foreground",
        "in that {pic}",
        "anywhere {in0}",
    ),
    "in0": ("in the {pic}", "in this {pic}", "here"),
    "adj": (
        "small",
        "large",
        "young",
        "old",
        "white",
        "dark",
        "sleepy",
        "wet",
        "lone",
        "huge",
        "tiny",
        "beautiful",
        "scruffy",
        "angry-looking",
        "brown and white",
    ),
    "count": ("two", "three", "a pair of", "several", "some", "many", "a dozen", "a few", "lots of", "4", "a bunch of", "countless"),
    "place": (
        "by the river",
        "on the grass",
        "behind a fence",
        "under the table",
        "near a barn",
        "on a branch",
        "in the snow",
        "next to a car",
        "at the beach",
        "on the left",
        "in the corner",
        "among the reeds",
        "in the middle of the road",
    ),
    "doing": (
        "sleeping",
        "eating",
        "running",
        "looking at the camera",
        "standing",
        "playing",
        "hiding",
        "drinking",
        "resting",
        "walking past",
        "staring",
    ),
    "thing": (
        "bench",
        "bicycle",
        "house",
        "tree",
        "bus",
        "plate of pasta",
        "lake",
        "laptop",
        "umbrella",
        "mountain",
        "bowl of fruit",
        "street",
        "red car",
        "traffic light",
        "sofa",
        "bridge",
    ),
    "person": ("a man", "two women", "a child", "somebody", "a crowd", "my sister", "an old couple", "the waiter"),
    "sure": ("clearly", "definitely", "obviously", "surely", "certainly", "probably", "I think", "apparently", "for sure"),
    "ask": (
        "Is there",
        "Can you see",
        "Do you see",
        "Does the {pic} show",
        "Did they photograph",
        "Can anyone spot",
        "Would you say there is",
        "Are you seeing",
    ),
    "please": (
        "Please confirm that",
        "Confirm that",
        "Check whether",
        "Tell me if",
        "Verify:",
        "I'd like to know if",
        "Make sure",
        "Can you verify that",
    ),
    "find": ("Find", "Show me", "Point out", "Locate", "Count", "Circle", "Spot", "Where is", "Where's"),
    "none": ("no sign of", "not a trace of", "nothing like", "not a single", "zero", "no", "an absence of", "a complete lack of"),
    "doubt": (
        "I doubt that is",
        "I don't think it's",
        "I don't believe this is",
        "No way that's",
        "There's no chance this is",
        "Hardly",
        "Since when is this",
        "I refuse to believe that's",
    ),
    "food": ("hot dog", "chicken wings", "crab cakes", "beef burger", "fish and chips", "turkey sandwich", "lamb chops", "duck pancakes"),
    "decoy": (
        "a dog collar",
        "a cat flap",
        "a bird cage",
        "a computer mouse",
        "a teddy bear",
        "a crane lifting steel",
        "a horse trailer",
        "a Jaguar with new tyres",
        "a leopard print scarf",
        "a butterfly valve",
        "a rocking horse",
        "a zebra crossing",
        "a baseball bat",
        "a bug in the code",
        "a bull market",
        "a fish tank with nothing in it",
        "a Red Bull can",
        "a seal of approval",
    ),
}

# By category, but for "objects": see ``category_of``.
FRAMES: dict[str, tuple[str, ...]] = {
    "plain": (
        "There is {P:a} {in}.",
        "There's {P:a} {place}.",
        "This is {P:a}.",
        "{P:a} {doing} {place}.",
        "There are {P:some} {in}.",
        "{P:s} {place}",
        "I can see {P:a} and {P:a}.",
        "The {pic} shows {P:a}.",
        "It's {P:a}, {sure}.",
        "{sure} {P:a}",
        "{P:n}",
        "{P:the} is {doing} {place}.",
        "A {pic} of {P:a} with {P:a} and {P:some}.",
        "We have {P:some}, {P:some} and {P:a} {in0}.",
        "{person} with {P:a}",
        "Somebody left {P:a} {place}",
        "there is {P:a} {doing} next to {thing0}",
        "{P:a} and {person} {place}",
        "That must be {P:a}.",
        "it could well be {P:a}",
        "At least one {P:n} is {in0}.",
        "The {P:n} is not {doing}.",
        "{P:the}'s tail is visible",
        "{GP:a} of some kind, {P:a} I'd say",
        "Nice {pic} of {P:s}!",
        "looks like {P:a} to me",
    ),
    "question": (
        "{ask} {P:a} {in}?",
        "Is this {P:a}?",
        "Isn't that {P:a}?",
        "is it {P:a}",
        "Are there any {P:s} {in0}?",
        "Isn't there {P:a} {place}?",
        "How many {P:s} are {in0}?",
        "What colour is {P:the}?",
        "Where is {P:the} hiding?",
        "{ask} {P:some} and {P:a}?",
        "This is {P:a}, isn't it?",
        "Aren't those {P:s}?",
        "Which of them is {P:the}?",
        "{please} there is {P:a} {in0}.",
        "{find} {P:the}.",
        "{find} the {P:s} for me",
        "Why is {P:the} {doing}?",
        "do I see {P:a} {place}?",
        "{GP:a} {in0}?",
    ),
    "negation": (
        "There is no {A:n} {in}.",
        "There are no {A:s} {in}.",
        "No {A:s} here.",
        "There isn't any {A:n} {in0}.",
        "I don't see {A:a} {in}.",
        "This is not {A:a}.",
        "It isn't {A:a}.",
        "{none} {A:s} {in}.",
        "{none} {A:n}",
        "{doubt} {A:a}.",
        "Not {A:a}.",
        "no {A:n}, no {A:n}, nothing",
        "Neither {A:a} nor {A:a} is {in0}.",
        "without {A:s}",
        "The {pic} contains no {A:s} or {A:s}.",
        "You won't find {A:a} {in}.",
        "It's not {A:a}, is it?",
        "There aren't {A:s} {in0}, are there?",
        "Is it true that there are no {A:s} {in0}?",
        "{please} there is no {A:n} {in0}.",
        "Can we rule out {A:a}?",
        "nobody could call this {A:a}",
        "This can't be {A:a}.",
        "{A:the} has left the {pic}.",
        "There is no {A:n} {doing} {place}.",
        "a {thing} but no {A:n}",
        "the {pic} is free of {A:s}",
        "I looked for {A:a} and found none",
        "{A:the} is out of shot",
        "never seen {A:a} in this {pic}",
        "not one {A:n} {in0}",
        "No {GA:s} {in}.",
        "There's no {GA:n} {place}",
        "There are neither {GA:s} nor people.",
        "ain't no {A:n} {in0}",
    ),
    "exception": (
        "There is nothing but {P:s} {in}.",
        "Anything but {A:a}.",
        "It's anything but {A:a}!",
        "Not only {P:a} but also {P:a} {place}.",
        "No {GM:s} other than {P:a}.",
        "Apart from {P:the}, there are no {GM:s} {in0}.",
        "It couldn't be anything but {P:a}.",
        "You can hardly miss {P:the} {place}.",
        "Except for {P:a}, no {GM:s} {in}.",
        "There's no doubt that it is {P:a}.",
        "It isn't true that there's no {P:n} {in0}.",
        "I can't say I don't see {P:a}.",
        "{M:a} - no wait, {P:a}.",
        "{M:a}, sorry, I meant {P:a}",
        "I thought it was {M:a}, but it turns out to be {P:a}.",
        "Labelled {M:n}, but it's {P:a}.",
        "Nothing {in0} except {P:some}",
        "It's not just {P:a}, there's {P:a} too.",
        "only {P:s} {in0}, no other {GM:s}",
        "Just {P:a} and nothing else",
    ),
    "either": (
        "There is {E:a} or {E:a} {in}.",
        "Either {E:a} or {E:a}.",
        "It's {E:a} or maybe {E:a}.",
        "{E:a}, {E:a} or {E:a}?",
        "Could be {E:a}, could be {E:a}.",
        "If it isn't {E:a} it's {E:a}.",
        "{E:n} or {E:n}?",
        "She says {E:a}, he says {E:a}; one of them is right.",
        "Is that {E:a} or {E:a} {place}?",
        "one of these two: {E:n}, {E:n}",
        "{E:s} or {E:s}, I can't tell which",
        "{E:n}/{E:n} {place}",
        "Some {GM:n}, either {E:a} or {E:a}",
        "{P:a} or two {place}",
    ),
    "mixed": (
        "There is no {A:n} {in}, just {P:a}.",
        "It is not {A:a} but {P:a}.",
        "{P:a}, not {A:a}.",
        "There's {P:a}, but no {A:n}.",
        "No {A:s}, only {P:s} and {P:a}.",
        "{P:a} instead of {A:a}.",
        "I see {P:some} and {P:a}; {A:s} I don't see.",
        "Rather than {A:a} it shows {P:a}.",
        "No {GA:s} {in0}, only {E:a} or {E:a}.",
        "Everyone sees {P:the}. Nobody sees {A:a}, since there is none.",
        "{P:a} without {A:s}",
        "minus {A:the}, plus {P:a}",
        "{P:the} is there, {A:the} isn't.",
        "It looks like {M:a}, but it's {P:a}.",
        "Not {A:a}. Not {A:a}. {P:a}!",
        "{E:a} or {E:a}, certainly not {A:a}",
        "There are no {A:s}, are there? I only see {P:s}.",
    ),
    "mentioned": (
        "As big as {M:a}.",
        "My {M:n} chewed the frame.",
        "I prefer {M:s}.",
        "my {M:n} took this {pic} of {P:a}",
        "bigger than {M:a}, but it's {P:a}",
        "a statue of {M:a} {place}",
        "a painting of {M:a}",
        "quiet as {M:a}",
        "A tattoo of {M:a} on {person0}",
        "my sister keeps {M:s} at home",
        "{P:a} as large as {M:a}",
        "a costume of {M:a}, {person} inside it",
        "The {thing} is shaped like {M:a}.",
        "I used to have {M:a}.",
        "Last year we saw {M:some} at the zoo",
    ),
    "objects": (
        "There is a {thing} {in}.",
        "Is there a {thing} {place}?",
        "{person} {doing} {place}",
        "No {thing} {in}.",
        "a {thing} and a {thing}",
        "What is {person0} doing?",
        "{person} eating {food}",
        "there's {decoy} {place}",
        "Not a {thing}, but a {thing}.",
        "{decoy}",
        "Is that {decoy}?",
        "Either a {thing} or a {thing}",
        "No {thing}, no {thing}, just {decoy}",
        "{decoy} and {P:a}",
        "{P:a} next to {decoy}",
        "there is {decoy} but no {A:n} {in0}",
        "I'd like {food} and a drink",
        "How many people are {in0}?",
        "what colour is the {thing}",
    ),
}
FILLERS["thing0"] = tuple(f"the {thing}" for thing in FILLERS["thing"])
FILLERS["person0"] = ("her", "the man", "my friend", "the boy", "this woman")

_SLOT = re.compile(r"\{(G?)([PAEM]):(a|the|n|s|some)\}")
_FILLER = re.compile(r"\{([a-z0-9]+)\}")


def generate(seed: int) -> Iterator[Sentence]:
    """Sentences without end, from each entry of ``FRAMES`` as often as from the others; equal seeds give equal sentences."""
    chance = random.Random(seed)
    groups = sorted(FRAMES)
    while True:
        group = chance.choice(groups)
        frame = chance.choice(FRAMES[group])
        yield make_sentence(frame, chance, category_of(group, frame))


def category_of(group: str, frame: str) -> str:
    """The category of a frame; those of objects that only sound like animals are ``homonym`` with a claim beside, else ``none``."""
    if group != "objects":
        return group
    return "homonym" if _SLOT.search(frame) else "none"


def make_sentence(frame: str, chance: random.Random, category: str = "") -> Sentence:
    """Fill a frame: fillers first, then each slot with another animal or group."""
    while _FILLER.search(frame):
        frame = _FILLER.sub(lambda match: chance.choice(FILLERS[match[1]]), frame)
    text, at, mentions = "", 0, []
    for slot in _SLOT.finditer(frame):
        text += frame[at : slot.start()]
        before, name = _noun_phrase(chance.choice(_groups()) if slot[1] else any_name(chance), slot[3], chance)
        mentions.append(Span(len(text) + len(before), len(text) + len(before) + len(name), CLAIMS[slot[2]]))
        text += before + name
        at = slot.end()
    text += frame[at:]
    if chance.random() < 0.7:
        text = text[:1].upper() + text[1:]
    return Sentence(text, tuple(mentions), category)


def _noun_phrase(name: str, form: str, chance: random.Random) -> tuple[str, str]:
    """What stands before a name in a form, and the name in its number."""
    adjective = chance.choice(FILLERS["adj"]) + " " if chance.random() < 0.2 else ""
    match form:
        case "a":
            article = "an " if (adjective or name)[0] in "aeiou" else "a "
            return article + adjective, name
        case "the":
            return "the " + adjective, name
        case "some":
            return f"{chance.choice(FILLERS['count'])} {adjective}", plural(name)
        case "s":
            return adjective, plural(name)
        case _:
            return adjective, name


@cache
def _groups() -> tuple[str, ...]:
    """Everyday names of groups: those of several kinds, in one or two words, none of them the name of a kind."""
    kinds = {kind.replace("_", " ") for kind in lexicon_kinds()}
    everyday = "animal creature critter beast bird insect bug fish reptile amphibian mammal rodent primate ape feline canine"
    pairs = ("big cat", "farm animal", "sea creature", "bird of prey", "wild animal", "sea bird", "great ape")
    return tuple(
        name
        for name in (*everyday.split(), "marsupial", "crustacean", "mollusc", "arachnid", *pairs)
        if name in lexicon() and name not in kinds
    )
