"""Sentences for training, evaluation and prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from animal_ner.data import SentenceDataModule, TrainingSentences
from animal_ner.names import NOT_AN_ANIMAL, Names, lexicon_kinds
from animal_ner.order import Draw
from animal_ner.sentences import Sentence, SentenceError, read_sentences

NAMES = Names(lexicon_kinds() - {NOT_AN_ANIMAL})


def data(sentence_file: Path, **changes: object) -> SentenceDataModule:
    files = [str(sentence_file)]
    return SentenceDataModule(**{"train": files, "val": files, "test": files, "generated": 4, "batch_size": 4, "by_heart": True, **changes})  # type: ignore[arg-type]


def test_a_training_epoch_holds_written_and_generated_sentences(sentence_file: Path) -> None:
    module = data(sentence_file)
    module.setup("fit")
    batches = list(module.train_dataloader())
    assert [len(batch) for batch in batches] == [4] * (len(batches) - 1) + [len(batches[-1])]
    assert sum(map(len, batches)) == len(read_sentences(sentence_file)) + 4
    assert all(isinstance(sentence, Sentence) for batch in batches for sentence in batch)


def test_training_sentences_are_other_ones_in_each_epoch_and_the_same_in_equal_ones(sentence_file: Path) -> None:
    def epoch(number: int, **changes: object) -> list[list[Sentence]]:
        module = data(sentence_file, generated=20, **changes)
        module.setup("fit")
        module.load_state_dict({"epoch": number, "batches": 0})
        return list(module.train_dataloader())

    assert epoch(0) != epoch(1)
    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(1, seed=1)


def test_a_fit_that_resumes_within_an_epoch_trains_on_the_rest_of_it(sentence_file: Path) -> None:
    module = data(sentence_file)
    module.setup("fit")
    whole = list(module.train_dataloader())
    module.load_state_dict({"epoch": 0, "batches": 2})
    assert list(module.train_dataloader()) == whole[2:]
    assert len(module.train_dataloader()) == len(whole)


def test_a_draw_says_how_a_sentence_is_varied(sentence_file: Path) -> None:
    written = read_sentences(sentence_file)
    dataset, again = (TrainingSentences(written, generated=5, swapped=0.5) for _ in range(2))
    assert [dataset[Draw(i, 7)] for i in range(len(dataset))] == [again[Draw(i, 7)] for i in range(len(again))]
    assert len({dataset[Draw(len(written), seed)].text for seed in range(20)}) > 15


def test_written_sentences_get_other_animals_as_often_as_wanted(sentence_file: Path) -> None:
    written = read_sentences(sentence_file)
    never, always = (TrainingSentences(written, generated=0, swapped=share) for share in (0.0, 1.0))
    texts = {s.text for s in written}
    others = 0
    for i, sentence in enumerate(written):
        draw = Draw(i, 100 + i)
        kept, swapped = never[draw], always[draw]
        names = {kept.text[m.start : m.end] for m in kept.mentions}
        assert [m.claim for m in swapped.mentions] == [m.claim for m in sentence.mentions]
        assert len({swapped.text[m.start : m.end] for m in swapped.mentions}) == len(names)
        others += swapped.text not in texts
    assert others >= len(written) - 2


def test_evaluation_sees_the_sentences_as_they_are(sentence_file: Path) -> None:
    written = read_sentences(sentence_file)
    module = data(sentence_file)
    module.setup("validate")
    module.setup("test")
    assert [s for batch in module.val_dataloader() for s in batch] == written
    assert [s for batch in module.test_dataloader() for s in batch] == written == module.sentences("test")


def test_several_files_are_read_one_after_the_other(sentence_file: Path) -> None:
    module = data(sentence_file, val=[str(sentence_file)] * 2)
    module.setup("validate")
    assert module.sentences("val") == read_sentences(sentence_file) * 2


def test_generated_sentences_alone_can_train(sentence_file: Path) -> None:
    module = data(sentence_file, train=None)
    module.setup("fit")
    assert sum(map(len, module.train_dataloader())) == 4


@pytest.mark.parametrize(
    ("changes", "stage", "side"),
    [
        ({"train": None, "generated": 0}, "fit", "train"),
        ({"val": None}, "fit", "val"),
        ({"val": []}, "validate", "val"),
        ({"test": None}, "test", "test"),
    ],
)
def test_a_stage_without_its_file_is_refused_by_name(sentence_file: Path, changes: dict[str, object], stage: str, side: str) -> None:
    with pytest.raises(SentenceError, match=rf"data\.{side}: no file given"):
        data(sentence_file, **changes).setup(stage)


def test_a_missing_file_is_refused_by_name(sentence_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SentenceError, match=r"nowhere\.jsonl: no such file"):
        data(sentence_file, test=[str(tmp_path / "nowhere.jsonl")]).setup("test")


def test_predict_reads_texts_then_lines(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("no dog\r\n\nan owl \U0001f989\n", encoding="utf-8")
    module = SentenceDataModule(predict_texts=["a cat"], predict_file=str(tmp_path / "texts.txt"))
    module.setup("predict")
    assert [s.text for batch in module.predict_dataloader() for s in batch] == ["a cat", "no dog", "", "an owl \U0001f989"]


def test_a_predict_file_has_one_text_a_line_whatever_else_breaks_lines(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a cat\u2028no dog\nan\x0cowl\n\n", encoding="utf-8")
    module = SentenceDataModule(predict_file=str(tmp_path / "texts.txt"))
    assert [sentence.text for batch in module.predict_dataloader() for sentence in batch] == ["a cat\u2028no dog", "an\x0cowl", ""]


def test_an_empty_predict_file_has_no_text(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").touch()
    with pytest.raises(SentenceError, match="no text given"):
        SentenceDataModule(predict_file=str(tmp_path / "texts.txt")).predict_dataloader()


@pytest.mark.parametrize("content", [None, b"caf\xe9\n"])
def test_a_predict_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(SentenceError, match=r"texts\.txt: cannot be read .*expected UTF-8, one text a line"):
        SentenceDataModule(predict_file=str(tmp_path / "texts.txt")).predict_dataloader()


def test_predict_without_a_text_is_refused() -> None:
    with pytest.raises(SentenceError, match=r"data\.predict_texts, data\.predict_file: no text given"):
        SentenceDataModule().predict_dataloader()


def test_lines_that_name_no_animal_train_as_texts_without_mentions_and_missing_files_are_left_out(tmp_path, sentence_file):
    plain = tmp_path / "captions.txt"
    plain.write_text("A red bus in the rain.\nA hot dog stand.\nTwo sea lions on a rock\n\n")
    data = SentenceDataModule(
        train=[str(sentence_file)], val=[str(sentence_file)], generated=0, by_heart=True, plain=[str(plain), "none.txt"], drawn=6, hurried=0
    )
    data.setup("fit")
    dataset = data.train_dataloader().dataset
    extra = [dataset[i] for i in range(len(dataset) - 6, len(dataset))]
    assert {sentence.text.rstrip(".") for sentence in extra} == {"A red bus in the rain"}
    assert not any(sentence.mentions for sentence in extra)


def test_names_that_training_may_meet_are_those_of_its_sentences_and_of_the_lexicon(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text(
        '{"text": "A Quimmel!", "mentions": [{"text": "Quimmel", "start": 2, "end": 9, "claim": "PRESENT"}]}\n', encoding="utf-8"
    )
    seen = data(file).seen_names()
    assert {"quimmel", "cat", "foxes"} <= seen
    assert "zorrel" not in seen
    assert "quimmel" not in data(tmp_path / "absent.jsonl").seen_names()


def test_hurried_sentences_are_as_many_as_asked_for(sentence_file):
    shares = {}
    for hurried in (0.0, 0.5):
        data = SentenceDataModule(
            train=[str(sentence_file)], val=[str(sentence_file)], generated=0, swapped=0, things=0, hurried=hurried, by_heart=True
        )
        data.setup("fit")
        dataset = data.train_dataloader().dataset
        drawn = [(dataset.written[0].text, dataset[Draw(0, seed)].text) for seed in range(200)]
        shares[hurried] = sum(before == after for before, after in drawn) / 200
    assert shares[0.0] > 0.6
    assert shares[0.5] < 0.6 * shares[0.0]
