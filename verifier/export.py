"""From checkpoints to a release, ONNX models that are checked against them before anything is written, or to other formats."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from animal_cls.calibration import Calibration
from animal_cls.corrections import CorrectionError
from animal_cls.data import NO_CLASS, PictureDataModule, PictureDataset
from animal_cls.examples import DataError
from animal_cls.picture import PictureError, Pixels, load_picture
from animal_cls.provenance import PROVENANCE, differing_data
from animal_cls.split import Side, SplitError
from animal_cls.views import load_views
from animal_ner.data import SentenceDataModule
from animal_ner.metrics import SpanScore
from animal_ner.sentences import Sentence, SentenceError
from animal_ner.tags import TAGS
from animal_ner.tokens import Tagging, pad, padding_id, split_words, windows
from verifier.card import write_card
from verifier.checkpoint import CheckpointLooker, CheckpointReader
from verifier.decision import InputError
from verifier.interchange import PT2_FILES, SAFETENSORS_FILES, TRANSFORMERS_FILES, write_pt2, write_safetensors, write_transformers
from verifier.quantization import Feeds, halve_weights, quantize_convolutions, quantize_transformer
from verifier.release import CARD, FILES, MANIFEST, Manifest, Release, digest
from verifier.runtime import classifier_session, tag_one_by_one, tagger_session, view_logits
from verifier.scores import calibration_error
from verifier.validation import calibrate, claims_probability, fit_reading, fit_seen_from, fit_threshold, fit_to_claims, simulate_claims

FORMATS = {
    "onnx": ("ner_checkpoint", "cls_checkpoint"),
    "transformers": ("ner_checkpoint",),
    "safetensors": ("cls_checkpoint",),
    "pt2": ("cls_checkpoint",),
}
LICENCE_HELP = "what may be done with the data that both models learnt from, for the model card"
_Rows = TypeVar("_Rows", NDArray[np.float32], NDArray[np.float64])
_Found = TypeVar("_Found")

RELEASE_FILES = (*FILES, MANIFEST, CARD)
GROUP = 64  # pictures that are looked at together
RANGES = 256  # training pictures that show in which ranges the classifier computes
MAX_OTHER_ANSWERS = 0.005  # share of simulated claims that the exported classifier may answer otherwise than its checkpoint
ROUNDS = 4  # of claims about each picture: one alone tells the share of other answers too roughly
MAX_F1_LOSS = 0.005  # tagger, int8 against float32
READ_OTHERWISE = 2  # messages that may always be
HARDLY_ANYTHING = 0.6  # accuracy on simulated claims, of which half are true, of a classifier that has learnt hardly anything


def export(ner: Path, cls: Path, output: Path, *, licence: str | None = None) -> Manifest:
    """Make a release of two checkpoints.

    The calibration, the threshold and the metrics come from the validation data that the checkpoints were trained with, which must
    still be where it was.

    Args:
        ner: checkpoint of animal_ner.
        cls: checkpoint of animal_cls.
        output: folder to make; an existing release there is replaced once the new one is whole.
        licence: what may be done with the data, for the model card.

    Returns:
        The manifest of the new release.

    Raises:
        InputError: a checkpoint or its data cannot be used, or an exported model answers differently from its checkpoint.
    """
    reader, looker = CheckpointReader(ner), CheckpointLooker(cls)
    sentences, pictures = _validation_sentences(ner), _pictures(cls)
    with _replaced(output, RELEASE_FILES) as made:
        (made / "tokenizer.json").write_text(reader.tokenizer.to_str(), encoding="utf-8")
        taggings = reader.read([sentence.text for sentence in sentences])
        tagger = _export_tagger(reader, made / "tagger.onnx", sentences, taggings)

        images, logits, labels = _seen(looker, pictures.pictures(Side.VAL))
        calibration = calibrate(logits, labels)
        presence = calibration.presence(logits)
        asked = fit_to_claims(presence, labels, seed=0)
        claims = [claim for seed in range(ROUNDS) for claim in simulate_claims(presence, labels, seed=seed)]
        probability, truth = claims_probability(claims, presence, asked=asked), np.array([claim.truth for claim in claims])
        threshold = fit_threshold(probability, truth)

        def otherwise(exported: NDArray[np.float64]) -> float:
            """Share of the claims that other presences answer otherwise than the checkpoint's."""
            return float(((claims_probability(claims, exported, asked=asked) >= threshold) != (probability >= threshold)).mean())

        def look(classifier: Path) -> NDArray[np.float64]:
            return calibration.presence(_in_groups(partial(view_logits, classifier_session(classifier, len(looker.kinds))), images))

        classifier, exported = _export_classifier(looker, made / "classifier.onnx", _training_views(pictures), look, otherwise)
        manifest = Manifest(
            tags=TAGS,
            kinds=looker.kinds,
            size=looker.size,
            window=reader.window,
            calibration=calibration,
            reading=_fit_reading(taggings, sentences),
            asked=asked,
            threshold=threshold,
            seen_from=fit_seen_from(presence, labels),
            sha256={name: digest((made / name).read_bytes()) for name in FILES},
            training={
                "animal_ner": _origin(ner) | {"validation": tagger},
                "animal_cls": _origin(cls) | {"validation": classifier | _classifier_scores(exported, logits, labels)},
                "simulated_claims": {"accuracy": round(float(((probability >= threshold) == truth).mean()), 4)},
                "data_licence": licence,
            },
        )
        (made / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        write_card(made)
    return manifest


def export_tagger(ner: Path, output: Path) -> None:
    """Write the tagger of a checkpoint as a folder for transformers (see ``write_transformers``).

    Raises:
        InputError: the checkpoint cannot be used, or ``output`` holds other files.
    """
    reader = CheckpointReader(ner)
    with _replaced(output, TRANSFORMERS_FILES) as made:
        write_transformers(reader.module, made)


def export_classifier(cls: Path, output: Path, *, form: Literal["safetensors", "pt2"]) -> None:
    """Write the classifier of a checkpoint for torchvision or timm, or as a program; it is calibrated on its validation pictures.

    Raises:
        InputError: the checkpoint or its validation pictures cannot be used, or ``output`` holds other files.
    """
    looker = CheckpointLooker(cls)
    _, logits, labels = _seen(looker, _pictures(cls).pictures(Side.VAL))
    calibration = calibrate(logits, labels)
    if form == "safetensors":
        with _replaced(output, SAFETENSORS_FILES) as made:
            write_safetensors(looker.module, calibration, made)
    else:
        with _replaced(output, PT2_FILES) as made:
            write_pt2(looker.module, calibration, made)


@contextmanager
def _replaced(output: Path, files: Sequence[str]) -> Iterator[Path]:
    """A new folder that takes the place of ``output`` when the block ends without an error.

    Raises:
        InputError: ``output`` is there and holds something else than such files, which would be lost.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: a file; --output takes a folder")
    others = sorted(path.name for path in output.iterdir() if path.name not in files) if output.exists() else []
    if others:
        raise InputError(f"{output}: holds {others[0]}, which would be lost; name a new folder, or one of an earlier export")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        made = Path(folder) / "made"
        made.mkdir()
        yield made
        former = output.with_name(f".{output.name}.former")
        if output.exists():
            shutil.rmtree(former, ignore_errors=True)  # of a run that was killed just before its end
            output.replace(former)
        try:
            made.replace(output)
        except BaseException:
            if former.exists():
                former.replace(output)
            raise
        shutil.rmtree(former, ignore_errors=True)


def _seen(looker: CheckpointLooker, pictures: PictureDataset) -> tuple[list[Pixels], NDArray[np.float32], NDArray[np.int64]]:
    """Pictures as the network is given them, its logits (N, K) and their labels (N,), NO_CLASS for none."""
    images = [load_views(example.path, looker.size) for example in pictures.examples]
    return images, _in_groups(looker.logits, images), np.array([pictures.label(i) for i in range(len(pictures))])


def _export_tagger(reader: CheckpointReader, file: Path, sentences: Sequence[Sentence], taggings: Sequence[Tagging]) -> dict[str, Any]:
    """Pieces and mask, int64 (B, L) -> logits (B, L, tags), with int8 weights, or float16 ones where int8 loses too much.

    Returns:
        What the weights are, and scores on the validation sentences, of which the checkpoint gives these taggings.

    Raises:
        InputError: both lose too much.
    """
    ids = torch.ones(2, 16, dtype=torch.long)
    dynamic = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=2, max=reader.window)}
    full = file.with_suffix(".float32.onnx")
    reader.module.network.set_attn_implementation("eager")  # makes a graph of fewer nodes, which is faster
    _to_onnx(reader.module, (ids, torch.ones_like(ids)), full, ["ids", "mask"], (dynamic, dynamic))
    texts = [sentence.text for sentence in sentences]
    expected = _scores(taggings, sentences)

    def measure(tagger: Path) -> tuple[float, dict[str, float]]:
        scores = _scores(tag_one_by_one(tagger_session(tagger, len(TAGS)), reader.tokenizer, texts, size=reader.window), sentences)
        return expected["f1"] - scores["f1"], scores

    # Of few sentences one or two that are read otherwise make more than the loss that is allowed.
    most = max(MAX_F1_LOSS, READ_OTHERWISE / len(sentences))
    weights, loss, scores = _smallest(full, file, lambda full, file: quantize_transformer(full, file, _feeds(reader, texts)), measure, most)
    if loss > most:
        raise InputError(
            f"tagger.onnx: span F1 {scores['f1']} on the validation sentences, the checkpoint has {expected['f1']}; nothing was written"
        )
    return {"weights": weights} | scores | {"f1_of_checkpoint": expected["f1"], "sentences": len(sentences)}


def _feeds(reader: CheckpointReader, texts: Sequence[str]) -> Iterator[Feeds]:
    """What the tagger is given for texts, one window after the other."""
    padding = padding_id(reader.tokenizer)
    for text in texts:
        for window in windows(reader.tokenizer, split_words(reader.tokenizer, text), reader.window):
            ids, mask = pad([window], padding)
            yield {"ids": ids, "mask": mask}


def _scores(taggings: Sequence[Tagging], sentences: Sequence[Sentence]) -> dict[str, float]:
    score = SpanScore()
    score.update([tagging.spans for tagging in taggings], [sentence.mentions for sentence in sentences])
    return {name: round(float(value), 4) for name, value in score.compute().items()}


def _export_classifier(
    looker: CheckpointLooker,
    file: Path,
    trained: Pixels,
    look: Callable[[Path], NDArray[np.float64]],
    otherwise: Callable[[NDArray[np.float64]], float],
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Images, uint8 (N, 3, S, S) -> logits (N, K), in int8, or with float16 weights where int8 answers too many claims otherwise.

    Returns:
        What the weights are and the share of claims that are answered otherwise than by the checkpoint; the presences that they give.

    Raises:
        InputError: so many are by either.
    """
    images = torch.zeros(2, 3, looker.size, looker.size, dtype=torch.uint8)
    looker.module.hparams["channels_last"] = False  # a layout for torch alone
    full = file.with_suffix(".float32.onnx")
    _to_onnx(looker.module, (images,), full, ["images"], ({0: torch.export.Dim("batch", min=1)},))

    def measure(classifier: Path) -> tuple[float, NDArray[np.float64]]:
        presence = look(classifier)
        return otherwise(presence), presence

    weights, share, presence = _smallest(
        full, file, lambda full, file: quantize_convolutions(full, file, trained), measure, MAX_OTHER_ANSWERS
    )
    if share > MAX_OTHER_ANSWERS:
        raise InputError(f"classifier.onnx: answers {share:.1%} of simulated claims otherwise than the checkpoint; nothing was written")
    return {"weights": weights, "claims_answered_otherwise": round(share, 4)}, presence


def _smallest(
    full: Path, file: Path, quantize: Callable[[Path, Path], None], measure: Callable[[Path], tuple[float, _Found]], most: float
) -> tuple[str, float, _Found]:
    """Write a model in int8 in place of a float32 one, or with float16 weights where int8 loses more than it may.

    Returns:
        What the weights are, and what ``measure`` gives of the written file: its loss, and what was found on the way.
    """
    quantize(full, file)
    loss, found = measure(file)
    weights = "int8"
    if loss > most:
        halve_weights(full, file)
        loss, found = measure(file)
        weights = "float16"
    full.unlink()
    return weights, loss, found


def _to_onnx(module: nn.Module, example: tuple[Tensor, ...], file: Path, inputs: list[str], dynamic: Any) -> None:
    torch.onnx.export(
        module.eval(), example, file, input_names=inputs, output_names=["logits"], dynamic_shapes=dynamic,
        dynamo=True, external_data=False, optimize=True, verbose=False,
    )  # fmt: skip


def _fit_reading(taggings: Sequence[Tagging], sentences: Sequence[Sentence]) -> Calibration:
    right = [tagging.spans == list(sentence.mentions) for tagging, sentence in zip(taggings, sentences, strict=True)]
    return fit_reading(np.array([tagging.sureness for tagging in taggings]), np.array(right))


def _classifier_scores(presence: NDArray[np.float64], logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Scores of the exported classifier by its presences of the validation pictures, of which its checkpoint gives these logits."""
    animals = labels != NO_CLASS
    return {
        "top1": round(float((presence[animals].argmax(axis=1) == labels[animals]).mean()), 4),
        "top1_of_checkpoint": round(float((logits[animals].argmax(axis=1) == labels[animals]).mean()), 4),
        "ece": round(calibration_error(presence.argmax(axis=1) == labels, presence.max(axis=1)), 4),
        "pictures": len(labels),
    }


def _in_groups(look: Callable[[Sequence[Pixels]], _Rows], images: Sequence[Pixels]) -> _Rows:
    """What ``look`` gives of many pictures, some at a time."""
    return np.concatenate([look(images[at : at + GROUP]) for at in range(0, len(images), GROUP)])


def _validation_sentences(checkpoint: Path) -> list[Sentence]:
    data = SentenceDataModule(**_data_arguments(checkpoint))
    try:
        data.setup("validate")
    except SentenceError as error:
        raise InputError(f"{checkpoint}: its validation sentences are needed: {error}") from error
    return data.sentences("val")


def _pictures(checkpoint: Path) -> PictureDataModule:
    """The data of a checkpoint, split as they were."""
    try:
        data = PictureDataModule(**_data_arguments(checkpoint))
        data.prepare_data()
        data.setup("validate")
    except (CorrectionError, DataError, PictureError, SplitError) as error:
        raise InputError(f"{checkpoint}: its training and validation pictures are needed: {error}") from error
    difference = differing_data({"datamodule_hyper_parameters": _data_hparams(checkpoint)}, data.hparams)
    if difference:
        print(f"export: {checkpoint}: {difference}; it is calibrated on those of now", file=sys.stderr)
    return data


def _training_views(data: PictureDataModule) -> Pixels:
    """Some training pictures, evenly spread over the classes, as the network is given them whole: uint8 (N, S, S, 3)."""
    examples = data.pictures(Side.TRAIN).examples
    chosen = examples[:: max(len(examples) // RANGES, 1)]
    return np.stack([load_picture(example.path, data.size) for example in chosen])


def _data_hparams(checkpoint: Path) -> dict[str, Any]:
    """The hyperparameters of a checkpoint's data: the arguments of its DataModule, and its provenance."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return dict(content.get("datamodule_hyper_parameters", {}))


def _data_arguments(checkpoint: Path) -> dict[str, Any]:
    return {name: value for name, value in _data_hparams(checkpoint).items() if name != PROVENANCE}


def _origin(checkpoint: Path) -> dict[str, Any]:
    """The data that a checkpoint was trained on, and the configuration, if it lies beside the checkpoint."""
    config = checkpoint.parent.parent / "config.yaml"
    return {
        "config": yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else None,
        "data": _data_hparams(checkpoint).get(PROVENANCE),
    }


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/export.py."""
    given = sys.argv[1:] if args is None else list(args)
    if given[:1] == ["card"]:
        return _card(given[1:])
    options = _options(given)
    try:
        match options.format:
            case "onnx":
                export(options.ner_checkpoint, options.cls_checkpoint, options.output, licence=options.data_licence)
            case "transformers":
                export_tagger(options.ner_checkpoint, options.output)
            case form:
                export_classifier(options.cls_checkpoint, options.output, form=form)
    except InputError as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    files = sorted(options.output.iterdir())
    print(f"{options.output}: {sum(file.stat().st_size for file in files) / 1e6:.1f} MB ({', '.join(file.name for file in files)})")
    if options.format == "onnx":
        _tell(Release(options.output).manifest)
    return 0


def _card(args: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="export.py card", description="Write the model card of a release that is there already.")
    parser.add_argument("--release", type=Path, required=True, metavar="DIR", help="the release, such as verifier/weights")
    parser.add_argument("--data-licence", metavar="TEXT", help=f"{LICENCE_HELP} (default: what the release was exported with)")
    parser.add_argument(
        "--evaluation",
        type=Path,
        metavar="FILE",
        help="what scripts/evaluate.py --json wrote of this release; needed where the card has such figures",
    )
    options = parser.parse_args(args)
    try:
        print(write_card(options.release, licence=options.data_licence, evaluation=options.evaluation))
    except InputError as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    return 0


def _tell(manifest: Manifest) -> None:
    print(f"  {len(manifest.kinds)} kinds, threshold {manifest.threshold:.3f}")
    for model in ("animal_ner", "animal_cls"):
        print(f"  {model}: {manifest.training[model]['validation']}")
    print(f"  simulated claims: {manifest.training['simulated_claims']}")
    accuracy = manifest.training["simulated_claims"]["accuracy"]
    if accuracy < HARDLY_ANYTHING:
        advice = "train the classifier longer, or on more pictures"
        print(f"export: the release answers {accuracy:.0%} of simulated claims right, hardly more than chance: {advice}", file=sys.stderr)


def _options(args: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="export.py",
        description="Make a release of two checkpoints, or bring one of them into the format of another library.",
        epilog="export.py card --release DIR writes the model card of a release that is there already; see export.py card --help.",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="onnx",
        help="onnx: a release of both models, checked ONNX and all that inference needs; transformers: the tagger for "
        "transformers.pipeline; safetensors: the classifier for the library that has its network, torchvision or timm; pt2: the classifier "
        "as a program of torch.export (default: %(default)s)",
    )
    parser.add_argument("--ner-checkpoint", type=Path, metavar="CKPT", help="checkpoint of animal_ner, for onnx and transformers")
    parser.add_argument("--cls-checkpoint", type=Path, metavar="CKPT", help="checkpoint of animal_cls, for onnx, safetensors and pt2")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write; an earlier export there is replaced")
    parser.add_argument("--data-licence", metavar="TEXT", help=f"{LICENCE_HELP}; for onnx")
    options = parser.parse_args(args)
    for flag in ("ner_checkpoint", "cls_checkpoint"):
        given, needed = getattr(options, flag) is not None, flag in FORMATS[options.format]
        if given != needed:
            verb = "needs" if needed else "takes no"
            parser.error(f"--format {options.format} {verb} --{flag.replace('_', '-')}")
    return options
