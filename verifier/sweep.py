"""Sweeps over the values of a configuration with Optuna, and Lightning's finders of a learning rate and a batch size.

Every trial is a fit of the package's own command line, as if its flags had been typed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, TypeAlias

import optuna
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState
from optuna_integration import PyTorchLightningPruningCallback

from verifier.comparison import ABSENT, aligned, write_table

Space: TypeAlias = dict[str, BaseDistribution]

METRICS = {"animal_ner": "val/f1", "animal_cls": "val/macro_f1"}
TRIED = (TrialState.COMPLETE, TrialState.PRUNED)
WITHOUT_TRACES = (
    "--trainer.callbacks=null",
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
)


class SweepError(ValueError):
    """A sweep that cannot be made; the message names the flag or the file and says what would be right."""


@dataclass(frozen=True)
class Search:
    """What a study searches for: trials compare within one search alone."""

    package: str
    flags: list[str]  # of the package's command line
    over: dict[str, str]
    metric: str
    minimize: bool


def parse_range(text: str) -> BaseDistribution:
    """The values that ``LOW:HIGH``, ``log:LOW:HIGH``, ``int:LOW:HIGH`` or ``one,other,...`` stands for.

    Numbers between two ends are drawn evenly, those of ``log`` evenly by their order of magnitude; choices are text.

    Example:
        >>> parse_range("log:1e-5:1e-3")
        FloatDistribution(high=0.001, log=True, low=1e-05, step=None)
        >>> parse_range("0.1,0.3").choices
        ('0.1', '0.3')

    Raises:
        SweepError: it is none of these, or its low end is not below its high end.
    """
    try:
        match text.split(":"):
            case ["log", low, high]:
                return FloatDistribution(float(low), float(high), log=True)
            case ["int", low, high]:
                return IntDistribution(int(low), int(high))
            case [low, high]:
                return FloatDistribution(float(low), float(high))
            case [choices] if all(choices.split(",")):
                return CategoricalDistribution(choices.split(","))
    except ValueError as error:
        raise SweepError(f"{text}: {error}") from error
    raise SweepError(f"{text!r}: a range is LOW:HIGH, log:LOW:HIGH, int:LOW:HIGH or choices, as in 0.1,0.3")


def read_space(file: Path) -> dict[str, str]:
    """Read ranges by key from YAML; a list stands for its choices.

    Raises:
        SweepError: the file cannot be read, or is no mapping.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SweepError(f"{file}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not content:
        raise SweepError(f"{file}: expected ranges by key, as in `model.rate: log:1e-5:1e-3` or `model.dropout: [0.1, 0.3]`")
    return {str(key): ",".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in content.items()}


def open_study(file: Path, search: Search, *, seed: int) -> optuna.Study:
    """Open the study in a file, or begin one.

    Raises:
        SweepError: the file is no study, or one of another search.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{file}",
            study_name="sweep",
            direction="minimize" if search.minimize else "maximize",
            load_if_exists=True,
        )
    except Exception as error:  # SQLAlchemy, Alembic and Optuna have their own
        raise SweepError(f"{file}: not a study that can be read ({type(error).__name__}); name another file (--study)") from error
    # A sampler that begins anew with one seed would propose the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    wanted = asdict(search)
    for name, value in study.user_attrs.items():
        if wanted.get(name) != value:
            raise SweepError(
                f"{file}: its trials have {name} {json.dumps(value)}, not {json.dumps(wanted.get(name))}; name another file (--study)"
            )
    for name, value in wanted.items():
        study.set_user_attr(name, value)
    return study


class TrialReport(PyTorchLightningPruningCallback):  # type: ignore[misc]
    """Reports each validation to the study, which may stop the trial, and notes where its run is kept."""

    def __init__(self, trial: Trial, monitor: str) -> None:
        super().__init__(trial, monitor)
        self.trial = trial

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the run's folder."""
        super().on_fit_start(trainer, pl_module)
        if trainer.logger and trainer.log_dir:  # without a logger it is the folder one works in
            self.trial.set_user_attr("run", trainer.log_dir)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report.

        Raises:
            SweepError: validation does not log the metric.
            TrialPruned: the trial is not worth going on with.
        """
        if not trainer.sanity_checking and self.monitor not in trainer.callback_metrics:
            logged = sorted(name for name in trainer.callback_metrics if name.startswith("val"))
            raise SweepError(f"--metric {self.monitor}: validation does not log it; it logs {', '.join(logged)}")
        super().on_validation_end(trainer, pl_module)


def run_trial(trial: Trial, run: Callable[..., Any], search: Search) -> None:
    """Fit with the values that a trial proposes; each validation reports to the trial."""
    values = [f"--{key}={value}" for key, value in trial.params.items()]
    run(["fit", *search.flags, *values], callbacks=[TrialReport(trial, search.metric)])


def best_value(trial: FrozenTrial, *, minimize: bool) -> float | None:
    """The best that a trial reported; none if it reported no number."""
    values = [value for value in trial.intermediate_values.values() if not math.isnan(value)]
    return (min if minimize else max)(values, default=None)


def sweep(study: optuna.Study, run: Callable[..., Any], search: Search, space: Space, *, trials: int) -> Iterator[int]:
    """Try values until a study has so many trials that came to their end or were stopped by it.

    A trial that runs out of memory counts as stopped. One that fails otherwise, or is interrupted, counts for nothing.

    Args:
        study: of ``search``.
        run: the package's command line.
        search: what is searched for.
        space: the values of each key.
        trials: number of trials that the study shall have, earlier ones included.

    Yields:
        The number of each trial, when it has ended.
    """
    while len(study.get_trials(deepcopy=False, states=TRIED)) < trials:
        trial = study.ask(space)
        try:
            run_trial(trial, run, search)
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except torch.OutOfMemoryError:
            trial.set_user_attr("reason", "out of memory")
            study.tell(trial, state=TrialState.PRUNED)
        except BaseException:
            study.tell(trial, state=TrialState.FAIL)
            raise
        else:
            value = best_value(study.trials[trial.number], minimize=search.minimize)
            study.tell(trial, value, state=TrialState.PRUNED if value is None else TrialState.COMPLETE)
        _drop_checkpoints(study)
        yield trial.number


def _drop_checkpoints(study: optuna.Study) -> None:
    """Delete the checkpoints of all trials but the best: hundreds of megabytes each; configurations and curves stay."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = study.best_trial.number if complete else None
    for trial in study.get_trials(deepcopy=False, states=TRIED):
        if trial.number != best and "run" in trial.user_attrs:
            shutil.rmtree(Path(trial.user_attrs["run"]) / "checkpoints", ignore_errors=True)


def results(study: optuna.Study, search: Search) -> list[list[str]]:
    """A table of the trials that were tried, best first: heading, then a row for each."""
    rows = []
    for trial in study.get_trials(deepcopy=False, states=TRIED):
        value = best_value(trial, minimize=search.minimize)
        ended = trial.user_attrs.get("reason") or ("complete" if trial.state == TrialState.COMPLETE else "pruned")
        params = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in (trial.params[key] for key in search.over)]
        cells = [str(trial.number), "" if value is None else f"{value:.4f}", str(len(trial.intermediate_values)), ended, *params]
        order = math.inf if value is None else value if search.minimize else -value
        rows.append((order, trial.number, [*cells, trial.user_attrs.get("run", ABSENT)]))
    heading = ["trial", search.metric, "validations", "end", *search.over, "run"]
    return [heading, *(row for *_, row in sorted(rows))]


class Found(Exception):  # noqa: N818  (no error: the way out of a fit that was begun to find something)
    """What a finder found."""

    def __init__(self, flag: str | None) -> None:
        super().__init__(flag)
        self.flag = flag


class RateFinder(LearningRateFinder):
    """Lightning's learning-rate finder, on a model that has begun as a fit begins."""

    def __init__(self) -> None:
        super().__init__(update_attr=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> NoReturn:
        """Find the rate.

        Raises:
            Found: always.
        """
        pl_module.on_fit_start()  # where the classifier reads its weights and fits its head; Lightning asks callbacks first
        super().on_fit_start(trainer, pl_module)
        rate = self.optimal_lr.suggestion() if self.optimal_lr else None
        raise Found(f"--model.rate={rate:.3g}" if rate else None)


class SizeFinder(BatchSizeFinder):
    """Lightning's batch-size finder: the largest power of two that fits into memory.

    Args:
        most: largest size to try.
    """

    def __init__(self, most: int) -> None:
        super().__init__(max_trials=max(1, most.bit_length() - 1), max_val=2 * most)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> NoReturn:
        """Find the size.

        Raises:
            Found: always.
        """
        super().on_fit_start(trainer, pl_module)
        raise Found(f"--data.batch_size={self.optimal_batch_size}" if self.optimal_batch_size else None)


def find(finder: Callback, run: Callable[..., Any], flags: Sequence[str]) -> str:
    """Begin a fit that only finds something, and leaves nothing behind.

    Returns:
        What was found, as a flag of the command line.

    Raises:
        SweepError: nothing was found.
    """
    try:
        with TemporaryDirectory() as folder:
            run(["fit", *flags, *WITHOUT_TRACES, f"--trainer.default_root_dir={folder}"], callbacks=[finder])
    except Found as found:
        if found.flag:
            return found.flag
    raise SweepError("--find: nothing to suggest; the fit may be too short for it (100 steps) or its loss does not fall")


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/sweep.py.

    Returns:
        The exit code: 0, or 2 for bad input.
    """
    options, flags = _parser().parse_known_args(args)
    package = importlib.import_module(f"{options.package}.cli")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # sys.argv is that of the sweep
    try:
        with redirect_stdout(sys.stderr):  # for what fits say; stdout is for what came of them
            found = _find(options, flags, package.run) if options.find else _sweep(options, flags, package.run)
    except (SweepError, *package.BAD_INPUT) as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    print(found)
    return 0


def _find(options: argparse.Namespace, flags: list[str], run: Callable[..., Any]) -> str:
    return find(RateFinder() if options.find == "rate" else SizeFinder(options.most), run, flags)


def _sweep(options: argparse.Namespace, flags: list[str], run: Callable[..., Any]) -> str:
    """Sweep; the table of what came of it, which is also written beside the study, after each trial."""
    search = Search(options.package, flags, _over(options), options.metric or METRICS[options.package], options.minimize)
    space = _space(search.over)
    file = options.study or Path("runs", "sweeps", f"{options.package}.sqlite")
    study = open_study(file, search, seed=options.seed)
    for _ in sweep(study, run, search, space, trials=options.trials):
        write_table(file.with_suffix(".csv"), results(study, search))
    return aligned(results(study, search))


def _space(over: Mapping[str, str]) -> Space:
    space = {}
    for key, text in over.items():
        try:
            space[key] = parse_range(text)
        except SweepError as error:
            raise SweepError(f"--over {key}={error}") from error
    return space


def _over(options: argparse.Namespace) -> dict[str, str]:
    pairs = [text.partition("=") for text in options.over]
    unnamed = next((key for key, equals, _ in pairs if not equals), None)
    if unnamed is not None:
        raise SweepError(f"--over {unnamed}: expected KEY=RANGE, as in model.rate=log:1e-5:1e-3")
    over: Mapping[str, str] = (read_space(options.space) if options.space else {}) | {key: text for key, _, text in pairs}
    if not over:
        raise SweepError("--over KEY=RANGE or --space FILE is needed: what to try")
    return dict(over)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sweep.py",
        allow_abbrev=False,
        usage="%(prog)s {animal_ner,animal_cls} --config FILE --over KEY=RANGE [options] [flags of the package]",
        description="Try values of a configuration, each in a fit of its own; or find a learning rate or a batch size. All other "
        "flags are those of the package's fit, such as --config FILE and --trainer.max_epochs 3.",
    )
    parser.add_argument("package", choices=METRICS, help="which model to fit: animal_ner reads texts, animal_cls looks at pictures")
    space = parser.add_argument_group("what to try")
    space.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="KEY=RANGE",
        help="a key of the YAML, and LOW:HIGH, log:LOW:HIGH, int:LOW:HIGH or choices such as 0.1,0.3; may be given again",
    )
    space.add_argument("--space", type=Path, metavar="YAML", help="the same as a file of KEY: RANGE; lists are choices")
    search = parser.add_argument_group("how")
    search.add_argument(
        "--trials", type=int, default=20, metavar="N", help="fits that the study shall have in the end, at least 1 (default: %(default)s)"
    )
    search.add_argument(
        "--study",
        type=Path,
        metavar="FILE",
        help="SQLite file that keeps the trials, to go on with; the table goes beside it as .csv (default: runs/sweeps/PACKAGE.sqlite)",
    )
    search.add_argument("--metric", help="score of validation that is to be large (default: val/f1, for pictures val/macro_f1)")
    search.add_argument("--minimize", action="store_true", help="the metric is to be small")
    search.add_argument(
        "--seed", type=int, default=0, help="seed of the values that are proposed, a whole number from 0 (default: %(default)s)"
    )
    other = parser.add_argument_group("in place of a sweep")
    other.add_argument("--find", choices=("rate", "batch_size"), help="print the flag that Lightning's finder suggests")
    other.add_argument(
        "--most",
        type=int,
        default=512,
        metavar="N",
        help="largest batch size to try (default: %(default)s); without an accelerator mind the memory, as nothing says that it is full",
    )
    return parser
