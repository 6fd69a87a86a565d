"""Auditing labelled pictures: what a person should look at before a network learns from it.

``find`` lists doubtful pictures, most doubtful first; a person fills in the column ``correction``; ``collect`` turns what was decided
into the corrections that training applies.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from animal_cls.corrections import Correction, CorrectionError, read_rows, write_corrections, write_rows
from animal_cls.data import FolderDataset, collate_views
from animal_cls.examples import DataError, read_examples
from animal_cls.network import Padding, WeightsError, build_network, head_of, load_weights
from animal_cls.picture import PictureError, find_pictures, open_picture
from animal_cls.split import Example, clusters, fingerprint, near_duplicates

LEAVE_OUT = "drop"  # a suggestion, and what a reviewer writes, for a picture that teaches nothing
FINGERPRINT_BITS = 128
SHEET_SIDE, THUMBNAIL, CAPTION = 6, 150, 30  # thumbnails across and down; pixels


class AuditError(ValueError):
    """An audit that cannot be made; the message names the value or the row and says what would be right."""


@dataclass(frozen=True)
class Finding:
    """Something to look at: a picture, what is suspected, and what might be right."""

    path: str  # relative to the folder of the classes, or of the negatives
    label: str  # as the data have it; "" when it shows none of the classes
    finding: str
    suggestion: str  # another label, LEAVE_OUT, or "" for none
    confidence: float  # in the finding, 0..1
    correction: str = ""  # for the reviewer: the right label, LEAVE_OUT, or nothing to keep the picture as it is
    reason: str = ""  # for the reviewer


COLUMNS = tuple(field.name for field in fields(Finding))


def compute_features(
    network: nn.Module, paths: Sequence[Path], *, size: int, mean: Sequence[float], std: Sequence[float], batch_size: int, num_workers: int
) -> NDArray[np.float32]:
    """What the last layer of a network is given for each picture.

    Args:
        network: maps float images (B, 3, H, W) to logits; ends in a linear layer.
        paths: N pictures that can be read.
        size: side of the images in pixels; whole pictures are squashed to it.
        mean: per-channel mean of the input, on values 0..1.
        std: per-channel standard deviation of the input, on values 0..1.
        batch_size: pictures in a batch.
        num_workers: processes that decode pictures.

    Returns:
        Features of shape (N, D).
    """
    kept: list[Tensor] = []
    hook = head_of(network).register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].float().cpu()))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.eval().to(device)
    scale, shift = (torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (std, mean))
    loader = DataLoader(FolderDataset(paths, size, parts=False), batch_size=batch_size, num_workers=num_workers, collate_fn=collate_views)
    with torch.inference_mode(), tqdm(total=len(paths), desc="features", unit="picture", file=sys.stderr) as progress:
        for batch in loader:
            network((batch["image"].to(device).float() - shift) / scale)
            progress.update(len(batch["image"]))
    hook.remove()
    return torch.cat(kept).flatten(1).numpy()


def predict_out_of_fold(
    features: NDArray[np.float32], labels: NDArray[np.int64], clusters: Sequence[int], *, folds: int, seed: int
) -> NDArray[np.float64]:
    """Probabilities for each picture by a logistic regression that has seen neither it nor its near-duplicates.

    Args:
        features: (N, D).
        labels: (N,) class indices 0..K-1.
        clusters: number of the cluster that each picture stays together with.
        folds: number of parts, each predicted by what the others teach.
        seed: of the folds.

    Returns:
        Probabilities of shape (N, K); 0 for a class of which the other folds hold no picture.
    """
    probabilities = np.zeros((len(labels), int(labels.max()) + 1))
    folding = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = list(folding.split(features, labels, clusters))
    for others, part in tqdm(parts, desc="folds", file=sys.stderr):
        # C of 0.03, 0.1 and 0.3 gave log losses of 0.272, 0.251 and 0.248 on animal photos; the smaller is calmer on few pictures.
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(features[others], labels[others])
        probabilities[np.ix_(part, model.classes_)] = model.predict_proba(features[part])
    return probabilities


def find_labels(
    examples: Sequence[Example], names: Sequence[str], probabilities: NDArray[np.float64], classes: Sequence[str]
) -> list[Finding]:
    """Pictures that are predicted to be of another class than their label, those with the least probable labels first.

    These are more than what confident learning would take for wrong (C. Northcutt, L. Jiang and I. Chuang, "Confident Learning:
    Estimating Uncertainty in Dataset Labels", 2021).

    Args:
        examples: the pictures.
        names: how each is called in the findings.
        probabilities: (N, K), from pictures that the model has not seen.
        classes: the K class names, sorted; "" for none of them.
    """
    labels = np.searchsorted(list(classes), [example.label for example in examples])
    # Every disagreement, since somebody looks: on 8,900 photos these are 602. A look at the 401 most doubtful pictures gave 82
    # corrections, of which cleanlab's narrower default, naming 110 pictures, has 33.
    ranked = find_label_issues(labels, probabilities, filter_by="predicted_neq_given", return_indices_ranked_by="self_confidence", n_jobs=1)
    findings = []
    for i in ranked:
        best = int(probabilities[i].argmax())
        finding = f"looks like {classes[best]}" if classes[best] else "looks like none of the classes"
        findings.append(Finding(names[i], examples[i].label, finding, classes[best] or LEAVE_OUT, float(probabilities[i, best])))
    return findings


def find_duplicates(
    examples: Sequence[Example], names: Sequence[str], fingerprints: NDArray[np.uint8], pairs: Sequence[tuple[int, int]]
) -> list[Finding]:
    """Pairs of pictures that are nearly the same, those with two labels first.

    Args:
        examples: the pictures.
        names: how each is called in the findings.
        fingerprints: (N, 16), of the pictures.
        pairs: near-duplicates (i, j).
    """
    findings = []
    for i, j in sorted(pairs, key=lambda pair: examples[pair[0]].label == examples[pair[1]].label):
        differing = int(np.bitwise_count(fingerprints[i] ^ fingerprints[j]).sum())
        finding = f"nearly the same as {names[i]}" + (
            f", a {examples[i].label or 'negative'}" if examples[i].label != examples[j].label else ""
        )
        findings.append(Finding(names[j], examples[j].label, finding, "", 1 - differing / FINGERPRINT_BITS))
    return findings


def audit(
    examples: Sequence[Example],
    names: Sequence[str],
    network: nn.Module,
    *,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    smallest: int = 64,
    folds: int = 5,
    seed: int = 0,
    batch_size: int = 64,
    num_workers: int = 2,
) -> list[Finding]:
    """Look for pictures that a person should look at: unreadable, tiny, nearly the same as others, doubtful labels.

    Args:
        examples: the pictures, with "" as the label of those that show none of the classes.
        names: how each is called in the findings.
        network: maps float images (B, 3, H, W) to logits; ends in a linear layer.
        size: side of the images in pixels.
        mean: per-channel mean of the input, on values 0..1.
        std: per-channel standard deviation of the input, on values 0..1.
        smallest: shorter side in pixels below which a picture is tiny.
        folds: number of parts of the cross-validation.
        seed: of the folds.
        batch_size: pictures in a batch.
        num_workers: processes that decode pictures.

    Returns:
        The findings, what is surest first: files, near-duplicates with two labels, labels, other near-duplicates.

    Raises:
        AuditError: there are not two classes with pictures in different folds.
    """
    findings: list[Finding] = []
    usable: list[int] = []
    for i, example in enumerate(tqdm(examples, desc="files", unit="picture", file=sys.stderr)):
        try:
            shape = open_picture(example.path).size
        except PictureError as error:
            why = str(error).removeprefix(f"{example.path}: ")
            findings.append(Finding(names[i], example.label, f"cannot be read: {why}", LEAVE_OUT, 1.0))
            continue
        usable.append(i)
        if min(shape) < smallest:
            findings.append(Finding(names[i], example.label, f"tiny ({shape[0]} x {shape[1]} pixels)", LEAVE_OUT, 1.0))
    readable, called = [examples[i] for i in usable], [names[i] for i in usable]
    if len(readable) < folds:
        raise AuditError(f"{len(readable)} pictures can be read; {folds} folds need as many at least")
    fingerprints = np.stack([fingerprint(example.path) for example in readable])
    pairs = near_duplicates(fingerprints)
    together = clusters(len(readable), pairs, [example.group for example in readable])
    classes, labels = np.unique([example.label for example in readable], return_inverse=True)
    features = compute_features(
        network, [e.path for e in readable], size=size, mean=mean, std=std, batch_size=batch_size, num_workers=num_workers
    )
    try:
        probabilities = predict_out_of_fold(features, labels, together, folds=folds, seed=seed)
    except ValueError as error:
        raise AuditError(f"{folds} folds: {error}; give more pictures, or fewer folds") from error
    duplicates = find_duplicates(readable, called, fingerprints, pairs)
    across = sum(readable[i].label != readable[j].label for i, j in pairs)
    suspects = find_labels(readable, called, probabilities, classes.tolist())
    return [*findings, *duplicates[:across], *suspects, *duplicates[across:]]


def write_findings(file: Path, findings: Sequence[Finding]) -> None:
    """Store findings as a CSV for review, atomically."""
    rows = [[f"{cell:.3f}" if isinstance(cell, float) else cell for cell in astuple(finding)] for finding in findings]
    write_rows(file, COLUMNS, rows)


def draw_sheets(findings: Sequence[Finding], paths: Sequence[Path], folder: Path) -> list[Path]:
    """Draw the pictures of findings as contact sheets, each captioned with its line in the CSV, its label and the suggestion.

    Args:
        findings: in the order of the CSV.
        paths: the picture of each.
        folder: where the sheets go, as ``001.png`` and so on.

    Returns:
        The sheets, 36 pictures on each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    font = ImageFont.load_default(11)
    cell, page = (THUMBNAIL, THUMBNAIL + CAPTION), SHEET_SIDE**2
    sheets = []
    for start in range(0, len(findings), page):
        sheet = Image.new("RGB", (cell[0] * SHEET_SIDE, cell[1] * SHEET_SIDE), "white")
        draw = ImageDraw.Draw(sheet)
        for at, (finding, path) in enumerate(zip(findings[start : start + page], paths[start : start + page], strict=True)):
            x, y = at % SHEET_SIDE * cell[0], at // SHEET_SIDE * cell[1]
            try:
                thumbnail = open_picture(path, at_least=THUMBNAIL)
            except PictureError:
                thumbnail = Image.new("RGB", (THUMBNAIL, THUMBNAIL), "grey")
            thumbnail.thumbnail((THUMBNAIL - 2, THUMBNAIL - 2))
            sheet.paste(thumbnail, (x, y))
            draw.text((x, y + THUMBNAIL), f"{start + at + 2} {finding.label or 'none'}", fill="black", font=font)
            draw.text((x, y + THUMBNAIL + CAPTION // 2), f"{finding.suggestion} {finding.confidence:.2f}", fill="red", font=font)
        file = folder / f"{start // page + 1:03d}.png"
        temporary = folder / f".{file.name}.{os.getpid()}"
        sheet.save(temporary, format="PNG")
        temporary.replace(file)
        sheets.append(file)
    return sheets


def collect_corrections(file: Path) -> list[Correction]:
    """What a reviewer decided in a file of findings; the finding is the reason where none is given.

    Raises:
        CorrectionError: the file is no file of findings, or two rows decide otherwise about one picture.
    """
    decided: dict[tuple[str, str], tuple[int, Correction]] = {}
    for line, row in read_rows(file, needed=COLUMNS):
        answer = row["correction"].strip()
        if not answer:
            continue
        right = "" if answer == LEAVE_OUT else answer
        key = (row["path"], row["label"])
        correction = Correction(*key, right, row["reason"] or row["finding"])
        before, first = decided.setdefault(key, (line, correction))
        if first.correction != right:
            raise CorrectionError(f"{file}, line {line}: {row['path']} is {answer!r} here and otherwise on line {before}; decide for one")
    return [correction for _, correction in decided.values()]


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/audit.py."""
    options = _parser().parse_args(args)
    try:
        if options.command == "find":
            return _find(options)
        corrections = collect_corrections(options.findings)
        write_corrections(options.output, corrections)
    except (AuditError, CorrectionError, DataError, WeightsError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    out = sum(not correction.correction for correction in corrections)
    print(f"{options.output}: {len(corrections) - out:,} pictures relabelled, {out:,} left out", file=sys.stderr)
    return 0


def _find(options: argparse.Namespace) -> int:
    examples = read_examples(options.root, options.table)
    names = [example.path.relative_to(options.root).as_posix() for example in examples]
    if options.negatives:
        if not options.negatives.is_dir():
            raise DataError(f"{options.negatives}: no such folder (--negatives)")
        negatives = find_pictures(options.negatives)
        examples += [Example(path, "") for path in negatives]
        names += [path.relative_to(options.negatives).as_posix() for path in negatives]
    padding: Padding = options.padding
    network = build_network(options.backbone, outputs=2, padding=padding)
    load_weights(network, options.weights, backbone=options.backbone)
    findings = audit(
        examples,
        names,
        network,
        size=options.size,
        mean=options.mean,
        std=options.std,
        smallest=options.smallest,
        folds=options.folds,
        seed=options.seed,
        batch_size=options.batch_size,
        num_workers=options.num_workers,
    )
    write_findings(options.output, findings)
    print(f"{options.output}: {len(findings):,} findings in {len(examples):,} pictures", file=sys.stderr)
    if options.sheets:
        path_of = {(name, example.label): example.path for name, example in zip(names, examples, strict=True)}
        sheets = draw_sheets(findings, [path_of[finding.path, finding.label] for finding in findings], options.sheets)
        print(f"{options.sheets}: {len(sheets):,} contact sheets", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="audit.py", description="Find pictures to look at before training, and collect what was decided.")
    commands = parser.add_subparsers(dest="command", required=True)
    find = commands.add_parser(
        "find",
        help="list pictures to look at, most doubtful first",
        description="The preprocessing must be that of the weights; the defaults are the release's, from the repository's folder. "
        "Weights that have not seen the pictures find more.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    find.add_argument("--root", type=Path, required=True, metavar="DIR", help="a sub-folder of pictures for each class")
    find.add_argument("--table", type=Path, metavar="CSV", help="path,label[,group] in place of sub-folders; paths start from --root")
    find.add_argument("--negatives", type=Path, metavar="DIR", help="pictures that show none of the classes")
    find.add_argument("--output", type=Path, required=True, metavar="CSV", help="findings to review")
    find.add_argument("--sheets", type=Path, metavar="DIR", help="contact sheets of the findings")
    find.add_argument("--backbone", default="tf_efficientnet_lite2", help="a classification model of torchvision or timm")
    find.add_argument("--weights", default="verifier/weights/classifier.onnx", help="pretrained (the library's) or a file")
    find.add_argument(
        "--padding",
        choices=["torchvision", "tensorflow"],
        default="torchvision",
        help="how convolutions of stride 2 pad: as the weights were trained",
    )
    find.add_argument("--mean", type=float, nargs=3, default=[0.5, 0.5, 0.5], metavar="M", help="mean of each channel, on values 0..1")
    find.add_argument(
        "--std", type=float, nargs=3, default=[0.5, 0.5, 0.5], metavar="S", help="standard deviation of each channel, on values 0..1"
    )
    find.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    find.add_argument("--smallest", type=int, default=64, help="shorter side in pixels below which a picture is tiny")
    find.add_argument("--folds", type=int, default=5, help="parts of the cross-validation, at least 2")
    find.add_argument("--seed", type=int, default=0, help="seed of the folds, a whole number from 0")
    find.add_argument("--batch-size", type=int, default=64, help="pictures in a batch, at least 1")
    find.add_argument("--num-workers", type=int, default=2, help="processes that decode pictures; 0 decodes in this one")
    collect = commands.add_parser(
        "collect",
        help="turn reviewed findings into the corrections that training applies",
        description=f"Fill in the column correction of the findings first: the right label, or {LEAVE_OUT} to leave a picture out. "
        "Rows without an answer stay as they are.",
    )
    collect.add_argument("--findings", type=Path, required=True, metavar="CSV", help="reviewed findings")
    collect.add_argument("--output", type=Path, required=True, metavar="CSV", help="corrections, for data.corrections")
    return parser
