"""A sentence as people type it in a hurry or spell it by ear."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from animal_ner.names import NO_KINDS, Kinds, fold, lexicon, ordinary, singulars
from animal_ner.sentences import Sentence
from animal_ner.tags import Span
from animal_ner.variation import misspell, rewrite

WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
MARKS = re.compile(r"[,.;:!]+(?=\s)")  # not those between two words, which would become one
SHORT = {  # whole words, as they are typed
    word: tuple(typed.split())
    for word, typed in {
        "and": "n an &",
        "any": "ny eny",
        "anything": "anythin nething",
        "are": "r",
        "aren't": "arent arnt aint",
        "because": "cuz bc becuz",
        "before": "b4",
        "but": "bt",
        "can't": "cant cnt",
        "couldn't": "couldnt cudnt",
        "didn't": "didnt dint",
        "doesn't": "doesnt dosnt dont",
        "don't": "dont dnt",
        "either": "ether eithr",
        "every": "evry",
        "everyone": "evry1 everyon evryone",
        "everything": "evrything evrythin",
        "except": "xcept exept excpt cept",
        "for": "4",
        "have": "hav",
        "is": "iz",
        "isn't": "isnt aint isn",
        "it's": "its",
        "just": "jst jus",
        "know": "kno",
        "like": "liek lyk",
        "not": "nt nto",
        "nothing": "nothin nuthin nothng",
        "of": "ov",
        "only": "onli onley",
        "people": "ppl",
        "photo": "foto pic",
        "picture": "pic picure pictur",
        "please": "pls plz",
        "probably": "prolly prob",
        "see": "c se",
        "that": "dat tht",
        "that's": "thats dats",
        "the": "teh th da",
        "there": "ther thr",
        "there's": "theres thers",
        "they": "dey",
        "this": "dis ths",
        "though": "tho",
        "to": "2",
        "too": "2",
        "very": "v vry",
        "was": "wuz",
        "wasn't": "wasnt",
        "what": "wat wut",
        "with": "w/ wit",
        "without": "w/o witout withot",
        "you": "u ya",
        "your": "ur",
    }.items()
}
BY_EAR = (  # letters, and what is written for them
    ("ph", "f"),
    ("ck", "k"),
    ("(?<=.)c(?=[eiy])", "s"),
    ("c(?=[aoulr])", "k"),
    ("qu", "kw"),
    ("x", "ks"),
    ("(?<=..)s$", "z"),
    ("ee", "ea"),
    ("ea", "ee"),
    ("ou", "ow"),
    ("ow", "ou"),
    ("ai", "ay"),
    ("ie", "ei"),
    ("ei", "ie"),
    ("(?<=[^aeiou])y$", "ie"),
    ("ey$", "y"),
    ("ies$", "ys"),
    ("le$", "el"),
    ("el$", "le"),
    ("er$", "a"),
    ("er$", "ur"),
    ("or$", "er"),
    ("tion", "shun"),
    ("gh", ""),
    ("^kn", "n"),
    ("^wr", "r"),
    ("wh", "w"),
    ("rh", "r"),
    ("mb$", "m"),
    (r"([^aeiou])\1", r"\1"),
    ("(?<=[aeiou])([bdfglmnprt])(?=[aeiouy])", r"\1\1"),
    ("(?<=[aeiou])([bdgnpt])$", r"\1\1"),
    ("(?<=[^aeiou])e$", ""),
    ("oo", "u"),
    ("g(?=[ei])", "j"),
    ("dge", "ge"),
    ("tch", "ch"),
    ("th", "d"),
    ("ing$", "in"),
    ("(?<=..)a(?=..)", "e"),
    ("(?<=..)e(?=..)", "i"),
    ("(?<=..)i(?=..)", "e"),
    ("(?<=..)o(?=..)", "a"),
    ("(?<=..)u(?=..)", "o"),
)


def hurry(sentence: Sentence, chance: random.Random) -> Sentence:
    """Type a sentence in a hurry: often in small letters or in capitals, without marks, with short forms, many words and names misspelt.

    No word becomes the name of another animal or another ordinary word, so that claims and mentions stay what they are.
    """
    share, marks = chance.uniform(0.1, 0.5), chance.random() < 0.3
    case: Callable[[str], str] = chance.choices((str.lower, str.upper, str), (6, 1, 3))[0]

    def name(mention: Span) -> str:
        return case(WORD.sub(lambda word: _misspelt(word[0], chance, share), sentence.text[mention.start : mention.end]))

    def between(text: str, before: str) -> str:
        typed = case(WORD.sub(lambda word: _word(word[0], chance, share), text if marks else MARKS.sub("", text)))
        return typed if marks or before else typed.rstrip(".!")

    typed = rewrite(sentence, name, between)
    return typed if typed.text.strip() else sentence


def spell_by_ear(word: str, chance: random.Random) -> str:
    """Write one sound of a word otherwise, or mistype one letter; a word with nothing to change stays."""
    ways = [(letters, written) for letters, written in BY_EAR if re.search(letters, word, re.IGNORECASE)]
    if not ways or chance.random() < 0.3:
        return misspell(word, chance)
    letters, written = chance.choice(ways)
    return re.sub(letters, written, word, count=1, flags=re.IGNORECASE)


def _word(word: str, chance: random.Random, share: float) -> str:
    """A word that is no part of a mention."""
    short = SHORT.get(word.lower().replace("\u2019", "'"))
    if short and chance.random() < 0.6:
        return chance.choice(short)
    if chance.random() < 0.5:
        word = word.replace("'", "").replace("\u2019", "")
    return _misspelt(word, chance, share)


def _misspelt(word: str, chance: random.Random, share: float) -> str:
    if len(word) < 3 or chance.random() >= share:  # of shorter ones nothing would be left to know them by
        return word
    new = spell_by_ear(word, chance)
    taken = _kinds(new) not in (NO_KINDS, _kinds(word)) or new.lower() in ordinary()
    return word if taken else new


def _kinds(word: str) -> Kinds:
    """The kinds that a word may mean as it is spelt, in the singular or the plural."""
    return NO_KINDS.union(*(lexicon().get(form, NO_KINDS) for form in singulars(fold(word))))
