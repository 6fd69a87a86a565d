"""What the README promises of a clone."""

import re
from pathlib import Path

import pytest

from animal_ner.sentences import read_sentences
from verifier import Verifier
from verifier.decision import Reason
from verifier.release import Release

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier()


EXAMPLES = re.findall(r"^\| `([^`]+)` \| (true|false)", README.split("## How it works")[0], flags=re.MULTILINE)


def test_there_are_examples():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize(("text", "answer"), EXAMPLES)
def test_an_example_is_answered_as_shown(verifier, text, answer):
    assert verifier.verify(text, ROOT / "notebooks/cat.jpg").answer is (answer == "true")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?://|#)([^)#]+)\)", README))))
def test_a_link_leads_somewhere(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", README))))
def test_a_link_within_leads_to_a_heading(anchor):
    headings = [line.lstrip("# ").lower() for line in re.findall(r"^#+ .*$", README, flags=re.MULTILINE)]
    assert anchor in {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}


def test_the_numbers_of_kinds_and_sentences_are_those_of_the_package():
    sentences = read_sentences(ROOT / "animal_ner/corpus/train.jsonl")
    assert f"{len(sentences):,} written training sentences" in README
    assert f"knows {len(Release().manifest.kinds)} kinds" in README


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_told_with_its_answer(reason):
    assert f"| `{reason.value}` | {str(reason is Reason.AGREES).lower()} |" in README


@pytest.mark.parametrize("name", ["mouse", "gull", "wombat", "coyote"])
def test_an_animal_that_the_readme_calls_unknown_is(verifier, name):
    (mention,) = verifier.read(f"There is a {name} in the picture.")
    assert mention.kinds == ()
