"""The tagger: what it learns, what its checkpoints hold, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from safetensors.torch import load_file, save_file

from animal_ner.data import SentenceDataModule
from animal_ner.encoder import EncoderError
from animal_ner.metrics import SpanScore
from animal_ner.module import CheckpointError, Tagger, load_checkpoint, share_of_rate
from animal_ner.sentences import Sentence, read_sentences
from animal_ner.tags import TAGS, Claim, Span


def trainer(**changes: Any) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", **{"max_epochs": 1, **quiet, **changes})


@pytest.fixture(scope="module")
def checkpoint(encoder_folder: Path, sentence_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one epoch, whose encoder folder is gone."""
    folder = tmp_path_factory.mktemp("gone")
    shutil.copytree(encoder_folder, folder / "encoder")
    runner = trainer()
    data = SentenceDataModule([str(sentence_file)], [str(sentence_file)], generated=4, by_heart=True, batch_size=8)
    runner.fit(Tagger(str(folder / "encoder"), window=32), data)
    runner.save_checkpoint(folder / "tagger.ckpt")
    shutil.rmtree(folder / "encoder")
    return folder / "tagger.ckpt"


@pytest.fixture(scope="module")
def small_tagger(encoder_folder: Path) -> Tagger:
    return Tagger(str(encoder_folder), window=32).eval()


@pytest.fixture
def folder(encoder_folder: Path, tmp_path: Path) -> Path:
    """A copy of the encoder's folder, to spoil."""
    shutil.copytree(encoder_folder, tmp_path / "encoder")
    return tmp_path / "encoder"


def test_ten_sentences_can_be_learnt_by_heart(encoder_folder: Path, sentence_file: Path) -> None:
    torch.manual_seed(0)
    tagger = Tagger(str(encoder_folder), window=32, dropout=0.0, freeze_words=False)
    sentences = read_sentences(sentence_file)
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-2, fused=True)
    f1 = 0.0
    for step in range(1, 41):
        optimizer.zero_grad()
        tagger.training_step(sentences, 0).backward()
        optimizer.step()
        if step % 5 == 0 and f1 <= 0.9:
            score = SpanScore()
            score.update(tagger.read([s.text for s in sentences]), [s.mentions for s in sentences])
            f1 = float(score.compute()["f1"])
        if f1 > 0.9:
            break
    assert f1 > 0.9


def test_the_loss_of_a_batch_does_not_depend_on_the_order_of_its_sentences(small_tagger: Tagger, sentence_file: Path) -> None:
    sentences = read_sentences(sentence_file)
    there, back = (small_tagger.training_step(batch, 0).item() for batch in (sentences, sentences[::-1]))
    assert there == pytest.approx(back, rel=1e-4)


@pytest.mark.parametrize("text", ["\u200b", "a cat " * 200, "."])
def test_any_batch_has_a_finite_loss_or_none(small_tagger: Tagger, text: str) -> None:
    loss = small_tagger.training_step([Sentence(text), Sentence("a cat", (Span(2, 5, Claim.PRESENT),))], 0)
    assert torch.isfinite(loss)


def test_padding_changes_no_logits(small_tagger: Tagger) -> None:
    ids = torch.tensor([[2, 7, 8, 3]])
    padded = torch.tensor([[2, 7, 8, 3, 0, 0]])
    with torch.no_grad():
        alone, beside = small_tagger(ids, torch.ones_like(ids)), small_tagger(padded, (torch.arange(6) < 4).long()[None])
    assert alone.shape == (1, 4, len(TAGS))
    assert torch.allclose(alone, beside[:, :4], atol=1e-5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(texts=st.lists(st.text(st.characters(), max_size=30), min_size=1, max_size=3))
def test_predictions_cut_their_text_or_say_why_not(small_tagger: Tagger, texts: list[str]) -> None:
    records = small_tagger.predict_step([Sentence(text) for text in texts], 0)
    assert [record["text"] for record in records] == texts
    for record in records:
        assert ("error" in record) != ("mentions" in record)
        for mention in record.get("mentions", []):
            assert mention["text"] == record["text"][mention["start"] : mention["end"]] != ""
            assert mention["claim"] in set(Claim)
        json.dumps(record)


def test_word_embeddings_stay_unless_wanted_otherwise(encoder_folder: Path) -> None:
    def learns_words(**changes: bool) -> bool:
        return Tagger(str(encoder_folder), **changes).network.get_input_embeddings().weight.requires_grad  # type: ignore[no-any-return,operator,arg-type]

    assert not learns_words()
    assert learns_words(freeze_words=False)
    assert learns_words(scratch=True)


def test_the_weights_of_the_encoder_are_taken_and_the_last_layer_is_not(small_tagger: Tagger, encoder_folder: Path) -> None:
    tagger = Tagger(str(encoder_folder))
    last = tagger.network.classifier.weight.clone()  # type: ignore[union-attr,operator]
    tagger.load_encoder(encoder_folder)
    weights = load_file(encoder_folder / "model.safetensors")
    taken = tagger.network.state_dict()
    assert all(torch.equal(taken[name], value) for name, value in weights.items() if name.startswith("bert."))
    assert torch.equal(tagger.network.classifier.weight, last)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize("spoil", ["rename", "shape"])
def test_weights_of_another_encoder_are_refused(folder: Path, spoil: str) -> None:
    weights = load_file(folder / "model.safetensors")
    key = "bert.encoder.layer.1.output.dense.weight"
    value = weights.pop(key)
    if spoil == "shape":
        weights[key] = value[:, :5].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tagger = Tagger(str(folder))
    with pytest.raises(EncoderError, match=r"its weights do not fit its config\.json \(bert\.encoder\.layer\.1\.output\.dense\.weight\)"):
        tagger.load_encoder(folder)


def test_weights_that_cannot_be_read_are_refused_by_name(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(EncoderError, match=r"model\.safetensors: not weights that can be read"):
        Tagger(str(folder)).load_encoder(folder)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", "{", "not JSON"),
        ("config.json", "{}", "expected the configuration of an encoder"),
        ("config.json", "[]", "expected the configuration of an encoder"),
        ("config.json", '{"model_type": "abacus"}', "expected the configuration of an encoder"),
        ("tokenizer.json", "{}", "not a tokenizer that can be read"),
    ],
)
def test_a_broken_file_of_an_encoder_is_named(folder: Path, file: str, content: str, reason: str) -> None:
    (folder / file).write_text(content)
    with pytest.raises(EncoderError, match=rf"{file}: {reason}"):
        Tagger(str(folder))


def test_a_checkpoint_describes_itself_without_running_code(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    assert content["task"] == "animal_ner"
    assert content["tags"] == list(TAGS)
    assert "[CLS]" in json.loads(content["tokenizer"])["model"]["vocab"]
    assert content["hyper_parameters"]["encoder_config"]["model_type"] == "bert"
    assert content["hyper_parameters"]["encoder_config"]["hidden_size"] == 32


def test_a_checkpoint_can_be_loaded_without_its_encoder(checkpoint: Path) -> None:
    tagger = load_checkpoint(checkpoint)
    assert not tagger.training
    assert not any(module.training for module in tagger.modules())
    once = tagger.read(["There is a cat.", "no dog"])
    assert once == load_checkpoint(str(checkpoint)).read(["There is a cat.", "no dog"])


def test_training_goes_on_from_a_checkpoint_without_its_encoder(checkpoint: Path, sentence_file: Path) -> None:
    tagger = load_checkpoint(checkpoint)
    weights = {name: value.clone() for name, value in tagger.network.state_dict().items()}
    runner = trainer(max_epochs=0)
    runner.fit(tagger, SentenceDataModule([str(sentence_file)], [str(sentence_file)], generated=0, by_heart=True))
    assert all(torch.equal(value, weights[name]) for name, value in tagger.network.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "animal_cls"}, "is of animal_cls; expected a checkpoint of animal_ner"),
        ({"task": None}, "was not made by this framework"),
        ({"tags": ["O"]}, "was trained with the tags"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(checkpoint: Path, tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    torch.save({**torch.load(checkpoint, weights_only=True), **changes}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=rf"other\.ckpt {reason}"):
        load_checkpoint(tmp_path / "other.ckpt")


class Harmful:
    """What a malicious checkpoint might hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


def test_a_checkpoint_with_code_is_refused_and_the_code_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"task": "animal_ner", "tags": Harmful()}, tmp_path / "bad.ckpt")
    with pytest.raises(CheckpointError, match=r"bad\.ckpt: not a checkpoint that can be read"):
        load_checkpoint(tmp_path / "bad.ckpt")
    assert not (tmp_path / "harmed").exists()


def test_a_missing_or_broken_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"x\.ckpt: no such file"):
        load_checkpoint(tmp_path / "x.ckpt")
    (tmp_path / "x.ckpt").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"x\.ckpt: not a checkpoint that can be read"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_a_tagger_from_a_configuration_alone_reads_nothing(checkpoint: Path) -> None:
    config = torch.load(checkpoint, weights_only=True)["hyper_parameters"]["encoder_config"]
    with pytest.raises(CheckpointError, match="load a checkpoint"):
        Tagger(encoder_config=config).read(["a cat"])


@pytest.fixture
def small_encoder() -> dict[str, Any]:
    """An encoder of random weights, described by hand."""
    return {
        "model_type": "bert",
        "vocab_size": 120,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }


def test_an_encoder_described_by_hand_learns_and_its_checkpoint_needs_no_file(
    folder: Path, small_encoder: dict[str, Any], sentence_file: Path, tmp_path: Path
) -> None:
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    tagger = Tagger(encoder_config=small_encoder, tokenizer=str(tmp_path / "tokenizer.json"), scratch=True, window=32)
    runner = trainer(max_epochs=1)
    words = tagger.network.get_input_embeddings().weight.clone()
    runner.fit(tagger, SentenceDataModule([str(sentence_file)], [str(sentence_file)], generated=0, by_heart=True))
    assert not torch.equal(words, tagger.network.get_input_embeddings().weight)
    runner.save_checkpoint(tmp_path / "scratch.ckpt")
    (tmp_path / "tokenizer.json").unlink()
    assert load_checkpoint(tmp_path / "scratch.ckpt").read(["a cat"]) == tagger.eval().read(["a cat"])


def test_an_encoder_with_fewer_rows_than_the_tokenizer_has_pieces_is_refused(folder: Path, small_encoder: dict[str, Any]) -> None:
    tagger = Tagger(encoder_config=small_encoder | {"vocab_size": 5}, tokenizer=str(folder / "tokenizer.json"), scratch=True)
    with pytest.raises(EncoderError, match=r"tokenizer\.json: \d+ pieces, but model\.encoder_config\.vocab_size is 5; it must be at least"):
        tagger.read(["a cat"])


@given(end=st.integers(1, 400), warmup=st.floats(0, 1))
def test_the_rate_stays_within_its_peak_and_ends_at_zero(end: int, warmup: float) -> None:
    shares = [share_of_rate(step, end=end, warmup=warmup) for step in range(end + 3)]
    assert all(0 <= share <= 1 for share in shares)
    assert shares[end:] == [0.0] * 3


def test_the_rate_rises_to_its_peak_and_falls_in_even_steps() -> None:
    assert [share_of_rate(step, end=10, warmup=0.2) for step in range(11)] == [0.5, 1, 1, *(i / 8 for i in range(7, -1, -1))]
