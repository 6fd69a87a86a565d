"""The tagger: which animals does a text name, and what does it claim of each? A transformer that tags words with BIO tags."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForTokenClassification, PreTrainedModel

from animal_ner.data import SentenceDataModule
from animal_ner.encoder import EncoderError, find_encoder
from animal_ner.metrics import SpanScore
from animal_ner.names import fold
from animal_ner.order import seed_of
from animal_ner.processes import gathered
from animal_ner.provenance import differing_data
from animal_ner.sentences import Sentence
from animal_ner.tags import TAGS, Claim, Span, spans_to_tags
from animal_ner.text import TextError, check_text
from animal_ner.tokens import Ids, Logits, Tagging, Window, pad, padding_id, split_words, tag_texts, windows

logger = logging.getLogger(__name__)

IGNORED = -100  # target of the pieces that begin no word
PART = 8  # rows of a training batch that are padded to one length


class CheckpointError(ValueError):
    """A checkpoint that is missing, broken, or of something else; the message names the file."""


class Tagger(LightningModule):
    """Tags each word of a text with a BIO tag for one of the four claims, on any Hugging Face encoder.

    Args:
        encoder: a local folder or a name on the Hugging Face hub; looked up when a fit begins from scratch, never when a
            checkpoint is loaded.
        encoder_config: the encoder's configuration, as in its config.json; filled in by the module and kept in checkpoints. Given by
            hand, with ``scratch`` and ``tokenizer``, it describes an encoder of random weights that needs no files.
        tokenizer: tokenizer.json for an ``encoder_config`` given by hand, such as that of a release. Read when a fit begins from scratch.
        window: most pieces of a text that are read at once, up to what the encoder has positions for; longer texts are read in
            overlapping windows.
        rate: peak learning rate of the encoder, above 0.
        head_rate: peak learning rate of the last layer, above 0.
        weight_decay: AdamW's, on matrices alone; from 0.
        warmup: share of the training in which the rate rises linearly, before it falls linearly to zero, 0..1.
        dropout: probability that training drops a value, 0..1.
        smoothing: label smoothing, 0..1.
        freeze_words: keep the pretrained word embeddings, so that animals never seen in training stay near those that were.
        scratch: start from random weights instead of the encoder's.
    """

    def __init__(
        self,
        encoder: str = "sentence-transformers/all-MiniLM-L6-v2",
        encoder_config: dict[str, Any] | None = None,
        tokenizer: str | None = None,
        window: int = 128,
        rate: float = 1e-4,
        head_rate: float = 1e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        dropout: float = 0.1,
        smoothing: float = 0.05,
        freeze_words: bool = True,
        scratch: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.tokenizer: Tokenizer | None = None
        self._encoder_folder: Path | None = None  # none in a tagger that comes from a checkpoint
        if encoder_config is None:
            self._encoder_folder = find_encoder(encoder).folder
            self.tokenizer = _read_tokenizer(self._encoder_folder / "tokenizer.json")
            encoder_config = _read_config(self._encoder_folder / "config.json")
        settings = {key: value for key, value in encoder_config.items() if key != "model_type"}
        settings |= {"num_labels": len(TAGS), "id2label": dict(enumerate(TAGS)), "label2id": {tag: i for i, tag in enumerate(TAGS)}}
        settings |= {
            name: dropout
            for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")
            if name in settings
        }
        config = AutoConfig.for_model(encoder_config["model_type"], **settings)
        self.hparams["encoder_config"] = json.loads(config.to_json_string(use_diff=False))
        self.network: PreTrainedModel = AutoModelForTokenClassification.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
        self.network.get_input_embeddings().requires_grad_(scratch or not freeze_words)
        self.val_score, self.test_score = SpanScore(), SpanScore()
        self._test_categories: dict[str, SpanScore] = defaultdict(SpanScore)
        self._seen_names: frozenset[str] | None = None
        self._unseen = SpanScore()
        self.train()  # transformers returns eval mode, and Lightning keeps the modes it finds

    def setup(self, stage: str) -> None:
        """Read the encoder's weights, when a fit starts from its beginning."""
        if stage == "fit" and self._encoder_folder is not None and not self.hparams["scratch"]:
            self.load_encoder(self._encoder_folder)

    def load_encoder(self, folder: Path) -> None:
        """Fill the encoder with the weights in a folder; the last layer stays random.

        Raises:
            EncoderError: the weights cannot be read or belong to another encoder.
        """
        try:
            source, report = AutoModelForTokenClassification.from_pretrained(
                folder,
                config=self.network.config,
                dtype=torch.float32,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # an encoder that tagged something else before has another last layer
                output_loading_info=True,
            )
        except (OSError, SafetensorError) as error:
            raise EncoderError(f"{folder / 'model.safetensors'}: not weights that can be read ({error})") from error
        inner = source.base_model_prefix
        unfilled = sorted(
            key for key in report["missing_keys"] | {key for key, *_ in report["mismatched_keys"]} if key.startswith(f"{inner}.")
        )
        if unfilled:
            raise EncoderError(f"{folder}: its weights do not fit its config.json ({', '.join(unfilled[:3])})")
        self.network.get_submodule(inner).load_state_dict(source.get_submodule(inner).state_dict())

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Score pieces.

        Args:
            ids: (B, L) int64, piece ids.
            mask: (B, L) int64, 1 for pieces and 0 for padding.

        Returns:
            Tag logits (B, L, tags), float32, tags in the order of ``TAGS``.
        """
        logits: Tensor = self.network(input_ids=ids, attention_mask=mask).logits
        return logits.float()

    def read(self, texts: list[str]) -> list[list[Span]]:
        """Find the mentions of texts; spans are in characters of the texts as given."""
        return [tagging.spans for tagging in self.tag(texts)]

    def tag(self, texts: list[str]) -> list[Tagging]:
        """Find the mentions of texts, with how sure they are."""
        return tag_texts(self._tokenizer, texts, self._score, size=self.hparams["window"])

    def on_train_batch_start(self, batch: list[Sentence], batch_idx: int) -> None:
        """Seed what is random in a step, so that a fit that resumes goes on as one that never stopped."""
        torch.manual_seed(seed_of(self.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: list[Sentence], batch_idx: int) -> Tensor:
        """Cross-entropy of the tag of each word, at its first piece."""
        rows = sorted((row for sentence in batch for row in self._rows(sentence)), key=lambda row: len(row[0].ids))
        words = max(1, sum(len(tags) for _, tags in rows))
        parts = [rows[at : at + PART] for at in range(0, len(rows), PART)]  # rows of like lengths, which pad less
        loss = torch.stack([self._summed_loss(part) for part in parts]).sum() / words
        self.log("train/loss", loss, batch_size=len(batch), prog_bar=True)
        return loss

    def validation_step(self, batch: list[Sentence], batch_idx: int) -> None:
        """Compare predicted with annotated spans."""
        self.val_score.update(self.read([s.text for s in batch]), [s.mentions for s in batch])

    def on_validation_epoch_end(self) -> None:
        """Log the span scores of all validation texts."""
        self._log_scores("val", self.val_score)

    def on_test_start(self) -> None:
        """Find out which names training may have met."""
        data = getattr(self.trainer, "datamodule", None)
        self._seen_names = data.seen_names() if isinstance(data, SentenceDataModule) else None

    def test_step(self, batch: list[Sentence], batch_idx: int) -> None:
        """Compare predicted with annotated spans, over all texts, by category, and for names that training never met."""
        for sentence, spans in zip(batch, self.read([s.text for s in batch]), strict=True):
            self.test_score.to(self.device).update([spans], [sentence.mentions])
            if sentence.category:
                self._test_categories[sentence.category].to(self.device).update([spans], [sentence.mentions])
            if self._seen_names is not None:
                unseen = [m for m in sentence.mentions if fold(sentence.text[m.start : m.end]) not in self._seen_names]
                self._unseen.update([_touching(spans, unseen)], [unseen])

    def on_test_epoch_end(self) -> None:
        """Log the span scores of all test texts, and the F1 of each category."""
        self._log_scores("test", self.test_score)
        for category in sorted(gathered(dict.fromkeys(self._test_categories))):  # of all processes: they compute together
            self.log(f"test_f1/{category}", self._test_categories[category].to(self.device).compute()["f1"], sync_dist=True)
        self._test_categories.clear()
        recall = self._unseen.compute()["recall"]
        with self._unseen.sync_context():
            mentions = self._unseen.annotated[: len(Claim)].sum().float()
        if mentions:
            self.log("test/recall_unseen", recall, sync_dist=True)
            self.log("test/unseen_mentions", mentions, sync_dist=True)
        self._unseen.reset()

    def predict_step(self, batch: list[Sentence], batch_idx: int) -> list[dict[str, Any]]:
        """Read texts: text and mentions (text, start, end, claim) of each, or an error."""
        records: list[dict[str, Any]] = []
        for sentence in batch:
            try:
                check_text(sentence.text)
            except TextError as error:
                records.append({"text": sentence.text, "error": str(error)})
                continue
            spans = self.read([sentence.text])[0]
            mentions = [{"text": sentence.text[s.start : s.end], "start": s.start, "end": s.end, "claim": s.claim.value} for s in spans]
            records.append({"text": sentence.text, "mentions": mentions})
        return records

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with a linear warm-up and a linear fall to zero."""
        head = {id(p) for p in self.network.get_submodule("classifier").parameters()}
        groups = [
            {
                "params": [
                    p for p in self.network.parameters() if p.requires_grad and (id(p) in head) == is_head and (p.ndim > 1) == decays
                ],
                "lr": self.hparams["head_rate"] if is_head else self.hparams["rate"],
                "weight_decay": self.hparams["weight_decay"] if decays else 0.0,
            }
            for is_head in (False, True)
            for decays in (False, True)
        ]
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = LambdaLR(AdamW(groups), partial(share_of_rate, end=steps, warmup=self.hparams["warmup"]))
        return {"optimizer": scheduler.optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the checkpoint is and keep tags and tokenizer; the hyperparameters keep the encoder's configuration."""
        checkpoint["task"] = "animal_ner"
        checkpoint["tags"] = list(TAGS)
        checkpoint["tokenizer"] = self._tokenizer.to_str()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the tokenizer from the checkpoint; warn if a fit goes on with other sentences.

        Raises:
            CheckpointError: the checkpoint is of another task or was trained with other tags.
        """
        _check_task(checkpoint, "the checkpoint")
        self.tokenizer = Tokenizer.from_str(checkpoint["tokenizer"])
        self._warn_of_other_data(checkpoint)

    def _warn_of_other_data(self, checkpoint: Mapping[str, Any]) -> None:
        trainer = self._trainer
        if trainer is None or not trainer.training or not trainer.is_global_zero:
            return
        difference = differing_data(checkpoint, getattr(getattr(trainer, "datamodule", None), "hparams", {}))
        if difference:
            logger.warning("%s: %s", trainer.ckpt_path, difference)

    @property
    def _tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            if self.hparams["tokenizer"] is None:
                raise CheckpointError("this tagger was built from a configuration alone: load a checkpoint, or leave out encoder_config")
            self.tokenizer = self._given_tokenizer(Path(self.hparams["tokenizer"]))
        return self.tokenizer

    def _given_tokenizer(self, file: Path) -> Tokenizer:
        tokenizer = _read_tokenizer(file)
        pieces, rows = tokenizer.get_vocab_size(), self.hparams["encoder_config"]["vocab_size"]
        if pieces > rows:
            raise EncoderError(f"{file}: {pieces:,} pieces, but model.encoder_config.vocab_size is {rows:,}; it must be at least as many")
        return tokenizer

    def _rows(self, sentence: Sentence) -> list[tuple[Window, list[int]]]:
        """The windows of a sentence with the tag of each of their words, as indices into ``TAGS``."""
        words = split_words(self._tokenizer, sentence.text)
        tags = [TAGS.index(tag) for tag in spans_to_tags(_to_words(sentence.mentions, words.offsets), len(words))]
        return [(row, tags[row.start : row.start + len(row.first)]) for row in windows(self._tokenizer, words, self.hparams["window"])]

    def _summed_loss(self, rows: Sequence[tuple[Window, list[int]]]) -> Tensor:
        """Cross-entropy of the words of some rows, summed."""
        ids, mask = (torch.from_numpy(array).to(self.device) for array in pad([row for row, _ in rows], padding_id(self._tokenizer)))
        targets = torch.full_like(ids, IGNORED)
        for i, (row, tags) in enumerate(rows):
            targets[i, list(row.first)] = torch.tensor(tags, device=targets.device)
        logits = self(ids, mask).flatten(0, 1)
        smoothing = self.hparams["smoothing"]
        return nn.functional.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum")

    def _score(self, ids: Ids, mask: Ids) -> Logits:
        with torch.no_grad():
            logits = self(torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device))
        return np.asarray(logits.cpu().numpy(), dtype=np.float32)

    def _log_scores(self, stage: str, score: SpanScore) -> None:
        self.log_dict({f"{stage}/{name}": value for name, value in score.compute().items()}, prog_bar=False, sync_dist=True)
        self.log(f"{stage}_f1", score.compute()["f1"], prog_bar=True, logger=False, sync_dist=True)
        score.reset()


def share_of_rate(step: int, *, end: int, warmup: float) -> float:
    """Share 0..1 of the peak rate at a step: a linear rise over the share ``warmup`` of the steps, then a linear fall to 0 at ``end``."""
    rising = max(1, int(end * warmup))
    return min((step + 1) / rising, max(0.0, (end - step) / max(1, end - rising)))


def _touching(predicted: Sequence[Span], annotated: Sequence[Span]) -> list[Span]:
    """The predicted spans that touch one of some annotated ones."""
    return [span for span in predicted if any(span.start < m.end and m.start < span.end for m in annotated)]


def load_checkpoint(file: str | Path) -> Tagger:
    """Load a trained tagger, in eval mode, without running code from the file and without the network.

    Raises:
        CheckpointError: the file is missing, broken, or no checkpoint of a tagger.
    """
    check_checkpoint(file)
    return Tagger.load_from_checkpoint(file, map_location="cpu", weights_only=True).eval()


def check_checkpoint(file: str | Path) -> None:
    """Make sure that a file is a checkpoint of a tagger, without running code from it.

    Raises:
        CheckpointError: the file is missing, broken, or no checkpoint of a tagger.
    """
    path = Path(file)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a checkpoint (.ckpt) of animal_ner")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # reads no tensor: who loads the checkpoint will
    except Exception as error:
        raise CheckpointError(f"{path}: not a checkpoint that can be read ({type(error).__name__})") from error
    _check_task(content, str(path))


def _check_task(checkpoint: object, name: str) -> None:
    task = checkpoint.get("task") if isinstance(checkpoint, dict) else None
    if task != "animal_ner":
        what = f"is of {task}" if task else "was not made by this framework"
        raise CheckpointError(f"{name} {what}; expected a checkpoint of animal_ner")
    if checkpoint["tags"] != list(TAGS):  # type: ignore[index]
        raise CheckpointError(f"{name} was trained with the tags {checkpoint['tags']}, not {list(TAGS)}")  # type: ignore[index]


def _read_tokenizer(file: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing narrower
        raise EncoderError(f"{file}: not a tokenizer that can be read ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EncoderError(f"{file}: not JSON ({error})") from error
    if not isinstance(config, dict) or config.get("model_type") not in CONFIG_MAPPING:
        raise EncoderError(f"{file}: expected the configuration of an encoder, with its model_type (such as bert)")
    return config


def _to_words(mentions: Sequence[Span], offsets: Sequence[tuple[int, int]]) -> list[Span]:
    """The words that each mention's characters touch, as spans of words.

    A mention that touches no word, or only words of the mention before it ("#CatAndDog"), has no span of its own.
    """
    spans: list[Span] = []
    for mention in mentions:
        taken = spans[-1].end if spans else 0
        touched = [i for i, (start, end) in enumerate(offsets) if i >= taken and start < mention.end and mention.start < end]
        if touched:
            spans.append(Span(touched[0], touched[-1] + 1, mention.claim))
    return spans
