"""The model card of a release: what it is, what it learnt from, how good it is, what it cannot do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from verifier.decision import InputError
from verifier.release import CARD, Manifest, Release
from verifier.scores import BINS

NOT_RECORDED = "not recorded"
EVALUATED = "Verdicts on"  # how the figures of an evaluation begin
FEW = 25  # training pictures below which a kind is named as learnt from few
SECTIONS = ("seed_everything", "model", "data")  # of a run's configuration; of its trainer only what follows
TRAINER = ("max_epochs", "max_steps", "precision", "accumulate_grad_batches", "gradient_clip_val")


def write_card(release: Path, *, licence: str | None = None, evaluation: Path | None = None) -> Path:
    """Write the card of a release beside its manifest.

    Args:
        release: folder of the release.
        licence: what may be done with the data; that of the manifest when none is given.
        evaluation: what ``scripts/evaluate.py --json`` wrote of this release.

    Returns:
        The file of the card.

    Raises:
        InputError: the folder is no release, or the evaluation is none, or is of another release, or is missing where the card has one.
    """
    manifest = Release(release).manifest
    file = release / CARD
    if evaluation is None and file.is_file() and EVALUATED in file.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{file}: its evaluation would be lost; give --evaluation FILE, as scripts/evaluate.py --json writes it")
    card = model_card(manifest, licence=licence, evaluation=_read_evaluation(evaluation, manifest) if evaluation else None)
    temporary = file.with_name(f".{file.name}.part")
    try:
        temporary.write_text(card, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{file}: cannot be written ({error.strerror})") from error
    return file


def model_card(manifest: Manifest, *, licence: str | None = None, evaluation: Mapping[str, Any] | None = None) -> str:
    """The card of a release, in Markdown (M. Mitchell et al., "Model Cards for Model Reporting", 2019).

    Args:
        manifest: of the release; what an older one does not tell is called not recorded.
        licence: what may be done with the data; that of the manifest when none is given.
        evaluation: figures of ``scripts/evaluate.py``, measured on this release.
    """
    ner, cls = (manifest.training.get(model) or {} for model in ("animal_ner", "animal_cls"))
    told = licence or manifest.training.get("data_licence") or f"{NOT_RECORDED}; ask whoever trained this release"
    parts = [
        "# Model card: is what a text says about the animals in a picture true?",
        _models(manifest, ner, cls),
        _use(manifest),
        "## Data",
        _data(ner, cls),
        f"Licence of the data: {told}.",
        "## Metrics",
        _validation(manifest, ner, cls),
        *([_evaluated(evaluation)] if evaluation else []),
        "## Limits",
        _limits(manifest, cls, evaluation),
        "## Configurations",
        "Those of both trainings, as far as they shape the models; `manifest.json` has the rest under `training`.",
        *(_configuration(model, part) for model, part in (("animal_ner", ner), ("animal_cls", cls))),
    ]
    return "\n\n".join(parts) + "\n"


def _models(manifest: Manifest, ner: Mapping[str, Any], cls: Mapping[str, Any]) -> str:
    reads = f"{_setting(ner, 'model', 'encoder')}, {manifest.window} pieces at once"
    sees = f"{_setting(cls, 'model', 'backbone')}, {manifest.size} x {manifest.size} pixels"
    rows = [
        ("tagger", "tagger.onnx, tokenizer.json", reads, "mentions of animals, and what is claimed of each"),
        ("classifier", "classifier.onnx", sees, f"the presence of {len(manifest.kinds)} kinds"),
    ]
    table = _table(("model", "files", "network", "what it tells"), rows)
    return (
        "Two models and a rule. A tagger reads which animals a text names and what it claims of each; a classifier looks which animals a "
        f"picture shows; the answer is true from a probability of {manifest.threshold:.3f} on.\n\n{table}\n\n"
        f"Kinds: {', '.join(manifest.kinds)}."
    )


def _use(manifest: Manifest) -> str:
    kind = manifest.kinds[0].replace("_", " ")
    article = "an" if kind[0] in "aeiou" else "a"
    return (
        "## How to use it\n\n```console\n$ pip install -e .\n"
        f'$ python scripts/verify.py --release DIR --text "There is {article} {kind}." --image photo.jpg\n```\n\n'
        f'```python\nfrom verifier import Verifier\n\nVerifier("DIR").verify("There is {article} {kind}.", "photo.jpg")\n```\n\n'
        "`DIR` is the folder of this card. Each file is checked against its SHA-256 in `manifest.json` when it is read."
    )


def _data(ner: Mapping[str, Any], cls: Mapping[str, Any]) -> str:
    rows = []
    for name, part, what in (("texts", ner, "sentences"), ("pictures", cls, "pictures")):
        data = part.get("data") or {}
        counts = data.get(what) or {"val": (part.get("validation") or {}).get(what)}
        numbers = (_number(counts.get(side)) for side in ("train", "val", "test"))
        rows.append((name, *numbers, f"`{data['fingerprint']}`" if "fingerprint" in data else NOT_RECORDED))
    lines = [_table(("", "training", "validation", "test", "fingerprint"), rows)]
    data = cls.get("data") or {}
    if data.get("unreadable"):
        lines.append(f"{data['unreadable']:,} pictures could not be read and were left out.")
    return "\n\n".join(lines)


def _validation(manifest: Manifest, ner: Mapping[str, Any], cls: Mapping[str, Any]) -> str:
    texts, pictures = (part.get("validation") or {} for part in (ner, cls))
    claims = manifest.training.get("simulated_claims") or {}
    rows = [
        (
            "tagger: F1 of exact spans and claims",
            texts.get("f1"),
            f"weights: {texts.get('weights', 'int8')}; the checkpoint had {_number(texts.get('f1_of_checkpoint'))}",
        ),
        ("tagger: precision", texts.get("precision"), ""),
        ("tagger: recall", texts.get("recall"), ""),
        (
            "classifier: top-1",
            pictures.get("top1"),
            f"weights: {pictures.get('weights', NOT_RECORDED)}; the checkpoint had {_number(pictures.get('top1_of_checkpoint'))}",
        ),
        ("claims answered otherwise than by the checkpoint", pictures.get("claims_answered_otherwise"), "share of the simulated ones"),
        ("classifier: ECE", pictures.get("ece"), f"of the largest presence, {BINS} bins; calibrated on the same pictures"),
        ("simulated claims: accuracy", claims.get("accuracy"), "the threshold was chosen on them"),
    ]
    table = _table(("measure", "value", ""), [(name, _number(value), note) for name, value, note in rows])
    scale, shift = manifest.calibration.scale, manifest.calibration.shift
    return (
        f"On the validation data, {_number(texts.get('sentences'))} sentences and {_number(pictures.get('pictures'))} pictures, which "
        f"chose the epoch, the calibration and the threshold:\n\n{table}\n\n"
        f"Calibration: the presence of a kind is sigmoid({scale:.3f} * logit + {shift:.3f}); a kind counts as seen from "
        f"{manifest.seen_from:.3f} on."
    )


def _evaluated(evaluation: Mapping[str, Any]) -> str:
    settings, overall, intervals = (evaluation[name] for name in ("settings", "overall", "intervals"))
    rows = [
        (name.replace("_", " "), _number(value), "{} to {}".format(*map(_number, intervals[name])) if name in intervals else "")
        for name, value in overall.items()
    ]
    return (
        f"{EVALUATED} {_number(overall['pairs'])} pairs ({_number(evaluation['true_pairs'])} of them true) of "
        f"{_number(evaluation['texts'])} texts (`{settings['texts']}`) and {_number(evaluation['pictures'])} pictures "
        f"(`{settings['pictures']}`, side {settings['side']}), as `scripts/evaluate.py` measures them:\n\n"
        + _table(("measure", "value", "95% interval"), rows)
    )


def _limits(manifest: Manifest, cls: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> str:
    limits = [
        "It reads English, and claims about one picture.",
        f"It knows the {len(manifest.kinds)} kinds above. Any other animal is called unknown, and one that is denied counts as not there.",
        "Probabilities are calibrated on pictures of the same sources as the training's; on others they may be too sure.",
        "Conditions of one text are taken as independent.",
        "Answers are no identification of species for safety, medicine or law.",
    ]
    few = [kind for kind, count in ((cls.get("data") or {}).get("classes") or {}).items() if count < FEW]
    if few:
        limits.append(f"Learnt from fewer than {FEW} pictures each: {', '.join(few)}.")
    categories = ((evaluation or {}).get("groups") or {}).get("category") or {}
    worst = sorted(categories, key=lambda name: float(categories[name]["balanced_accuracy"]))[:3]
    if worst:
        scores = (f"{name} {categories[name]['balanced_accuracy']:.3f}" for name in worst)
        limits.append(f"Texts it answers worst, by category, in balanced accuracy: {', '.join(scores)}.")
    return "\n".join(f"- {limit}" for limit in limits)


def _configuration(model: str, part: Mapping[str, Any]) -> str:
    config = part.get("config")
    if not config:
        return f"`{model}`: {NOT_RECORDED}."
    shown = {name: config[name] for name in SECTIONS if name in config}
    shown["trainer"] = {name: value for name, value in (config.get("trainer") or {}).items() if name in TRAINER and value is not None}
    return f"`{model}`:\n\n```json\n{json.dumps(shown, indent=1, ensure_ascii=False)}\n```"


def _read_evaluation(file: Path, manifest: Manifest) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        measured = found["settings"]["release"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not figures of scripts/evaluate.py --json ({type(error).__name__})") from error
    if measured != manifest.sha256:
        raise InputError(f"{file}: measured on another release; run scripts/evaluate.py --release on this one")
    return dict(found)


def _setting(part: Mapping[str, Any], section: str, name: str) -> str:
    return str(((part.get("config") or {}).get(section) or {}).get(name) or NOT_RECORDED)


def _number(value: Any) -> str:
    match value:
        case None:
            return NOT_RECORDED
        case int():
            return f"{value:,}"
        case _:
            return f"{value:.3f}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [lines[0], ["---"] * len(lines[0]), *lines[1:]])
