"""Searches for better parameters of XGBoost, and replaces the default only by significantly better ones.

The earlier folds choose among the trials, the last one confirms the winner against the default: the best of thirty
trials looks better than it is on the rows that chose it, and the last fold has chosen nothing.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.backtest.history import LEAST_REPEATS, History
from mlguide_assets.train.calibration import fit_calibration
from mlguide_assets.train.encoding import Encoding
from mlguide_assets.train.folds import Fold, rows_of_whole_units
from mlguide_assets.train.metrics import point
from mlguide_assets.train.models import MAX_ROUNDS, PATIENCE, dmatrix, training_data, xgboost_parameters
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.uncertainty import paired_difference, replicate_metrics

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import Trial

Report = Callable[[str], None]

FOLDS = 4
"""All but the last choose, the last confirms."""

MOST_ROWS_TO_CHOOSE = 100_000
MOST_ROWS_TO_CONFIRM = 300_000

RANDOM_TRIALS = 8
"""Drawn blindly, before the sampler (TPE; Bergstra et al., 2011) takes what it has seen into account."""

TRIALS_BEFORE_PRUNING = 4

FINISHED, PRUNED, OUT_OF_TIME = "finished", "pruned", "out of time"
DEFAULT, TUNED = "default", "tuned"


@dataclass(frozen=True)
class Range:
    """Where a parameter may lie, ends included, and what XGBoost takes where a recipe is silent."""

    low: float
    high: float
    silent: float
    logarithmic: bool = False
    whole: bool = False

    def nearest(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.logarithmic)
        return FloatDistribution(self.low, self.high, log=self.logarithmic)


SPACE: Mapping[str, Range] = {
    "learning_rate": Range(0.03, 0.2, silent=0.3, logarithmic=True),
    "max_depth": Range(3, 8, silent=6, whole=True),
    "min_child_weight": Range(1, 100, silent=1, logarithmic=True),
    "subsample": Range(0.5, 1, silent=1),
    "colsample_bytree": Range(0.3, 1, silent=1),
    "reg_lambda": Range(0.1, 50, silent=1, logarithmic=True),
}
"""A learning rate below 0.03 would want more than `MAX_ROUNDS` rounds."""

TRIALS = pa.schema(
    [
        ("trial", pa.int64()),
        ("state", pa.string()),
        ("seconds", pa.float64()),
        ("log_loss", pa.float64()),
        *((name, pa.int64() if range_.whole else pa.float64()) for name, range_ in SPACE.items()),
        ("pruned_at_fold", pa.int64()),
        ("chosen", pa.bool_()),
    ]
)

COLUMNS = {
    "trial": "The number of the trial; 0 has the default parameters.",
    "state": "How it ended: finished, pruned, or out of time.",
    "seconds": "How long it took.",
    "log_loss": "Mean log-loss over the folds that choose, in nats; null unless it finished.",
    "learning_rate": "Share of each tree that is added.",
    "max_depth": "Most splits from the root of a tree to a leaf.",
    "min_child_weight": "Least weight (sum of second derivatives) in a leaf.",
    "subsample": "Share of the rows that a tree sees.",
    "colsample_bytree": "Share of the features that a tree sees.",
    "reg_lambda": "L2 penalty on the values of the leaves.",
    "pruned_at_fold": "The fold after which the trial was given up.",
    "chosen": "Whether these parameters were chosen.",
}
"""Column → meaning."""


@dataclass(frozen=True, eq=False)
class Tuning:
    """The recipe to use from now on, why, and what was tried.

    Attributes:
        trials: rows of `TRIALS`. Trial 0 is the default; `log_loss` is the mean over the folds that choose, null
            unless the trial finished.
        gain: log-loss that the best trial saves on the last fold; NaN where no trial was better than the default.
    """

    recipe: Recipe
    adopted: bool
    reason: str
    trials: pa.Table
    gain: Estimate


def tune(
    rows: pa.Table,
    problem: Problem,
    *,
    recipe: Recipe,
    seconds: float,
    trials: int,
    seed: int,
    report: Report = lambda _: None,
) -> Tuning:
    """Try the default, then `trials` other parameters or as many as `seconds` allow; confirm the best.

    A trial that runs when the time is out is dropped after its current boosting round, and none begins later. The
    confirmation follows: two fits. Without the clock coming first, equal arguments give equal results.

    The trials learn from at most `MOST_ROWS_TO_CHOOSE` rows, whole units drawn by hash; the confirmation from
    `MOST_ROWS_TO_CONFIRM`. The best trial is adopted only if the whole 95 % interval, clustered by unit, of the
    log-loss that it saves against the default on the last fold lies above zero.

    Args:
        rows: matured rows of `send_features` before the test window.
        recipe: the default; its window, and its parameters that are not in `SPACE`, hold in every trial.

    Raises:
        InputError: the history is too short for the folds, or a fold has too few of either outcome.
    """
    deadline = monotonic() + seconds
    history = History.of(rows, problem, MOST_ROWS_TO_CONFIRM)
    *choosing, last = history.folds(FOLDS, unseen_units=True)
    tried = _try(_Arena(history, choosing, recipe, seed), trials, deadline, report)
    finished = [trial for trial in tried if trial.state == FINISHED]
    best = min(finished, key=lambda trial: trial.log_loss, default=None)
    gain, reason = Estimate(*[float("nan")] * 3), _nothing_better(tried)
    adopted = False
    if best is not None and best.number:
        report(f"tuning: trial {best.number} was best; comparing it with the default on the latest fold")
        gain = _confirmed(history, last, recipe, replace(recipe, parameters=best.parameters))
        adopted, reason = gain.low > 0, _confirmation(best, gain)
    chosen = best.number if best is not None and adopted else 0
    found = replace(recipe, parameters=best.parameters) if best is not None and adopted else recipe
    table = pa.Table.from_pylist([trial.row(chosen) for trial in tried], schema=TRIALS)
    return Tuning(found, adopted, reason, table, gain)


@dataclass(frozen=True, eq=False)
class _Tried:
    """What became of one set of parameters; `losses` are those of the folds that it came to."""

    number: int
    parameters: Mapping[str, Any]
    state: str
    seconds: float
    losses: tuple[float, ...]

    @property
    def log_loss(self) -> float:
        return float(np.mean(self.losses))

    def row(self, chosen: int) -> dict[str, Any]:
        values = {name: self.parameters.get(name, range_.silent) for name, range_ in SPACE.items()}
        return {
            "trial": self.number,
            "state": self.state,
            "seconds": self.seconds,
            "log_loss": self.log_loss if self.state == FINISHED else None,
            **values,
            "pruned_at_fold": len(self.losses) if self.state == PRUNED else None,
            "chosen": self.number == chosen,
        }


@dataclass(frozen=True, eq=False)
class _Arena:
    """The folds that choose, each encoded and binned once for all trials."""

    history: History
    folds: Sequence[Fold]
    recipe: Recipe
    seed: int
    default_losses: list[float] = field(default_factory=list)

    @cached_property
    def data(self) -> list[tuple[Any, Any]]:
        """For every fold the training and validation data, as XGBoost's matrices."""
        kept = rows_of_whole_units(self.history.units, MOST_ROWS_TO_CHOOSE, self.seed)
        used = np.zeros(self.history.rows.num_rows, dtype=np.bool_)
        used[kept] = True
        return [self._data(fold.train[used[fold.train]], fold.validate[used[fold.validate]]) for fold in self.folds]

    def _data(self, train: Any, validate: Any) -> tuple[Any, Any]:
        history = self.history
        known = history.rows.take(train)
        encoding = Encoding.fit(known, features_of(history.problem))
        weights = self.recipe.window.weights(history.times[train])
        learning = training_data(encoding.matrix(known), history.labels[train], encoding, weights)
        validation = dmatrix(encoding.matrix(history.rows.take(validate)), encoding, history.labels[validate])
        return learning, validation

    def validation_loss(self, fold: int, parameters: Mapping[str, Any], deadline: float) -> float | None:
        """Calibrated log-loss at the best round of a fold, None where the time was out before it was found.

        The fold itself says when to stop and how to calibrate, so the value is slightly too good, for all trials
        alike. Without the calibration, which what ships has too, slow learners would look worse than they are.
        """
        import xgboost as xgb

        learning, validation = self.data[fold]
        stop = _stop_at(deadline)
        booster = xgb.train(
            xgboost_parameters(replace(self.recipe, parameters=parameters), self.seed),
            learning,
            num_boost_round=MAX_ROUNDS,
            evals=[(validation, "fold")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
            callbacks=[stop],
        )
        if stop.stopped:
            return None
        said = np.asarray(
            booster.predict(validation, iteration_range=(0, booster.best_iteration + 1)), dtype=np.float64
        )
        known = validation.get_label()
        return point("log_loss", known, fit_calibration(known, said).apply(said))


def _stop_at(deadline: float) -> Any:
    """A callback that ends the training at a time of the monotonic clock, and says whether it did."""
    from xgboost.callback import TrainingCallback

    class Stop(TrainingCallback):  # type: ignore[misc]  # XGBoost has no types
        stopped = False

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            self.stopped = monotonic() > deadline
            return self.stopped

    return Stop()


def _try(arena: _Arena, trials: int, deadline: float, report: Report) -> list[_Tried]:
    """The default, then others, until the trials or the time are used up."""
    tried: list[_Tried] = []
    with _quiet_optuna():
        study = _study(arena)
        for number in range(trials + 1):
            if monotonic() > deadline:
                break
            tried.append(_one(arena, study, number, deadline))
            report(_progress(tried, trials, deadline))
    return tried


def _study(arena: _Arena) -> "Study":
    import optuna

    # Learning curves at different learning rates cannot be compared round by round, so a trial is pruned between
    # folds only: where it is behind half of the finished ones.
    pruner = optuna.pruners.MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING)
    sampler = optuna.samplers.TPESampler(seed=arena.seed, n_startup_trials=RANDOM_TRIALS)
    study = optuna.create_study(sampler=sampler, pruner=pruner, direction="minimize")
    # A default outside the space is evaluated as it is; the sampler takes it for the nearest point inside.
    values = {name: arena.recipe.parameters.get(name, range_.silent) for name, range_ in SPACE.items()}
    study.enqueue_trial({name: SPACE[name].nearest(value) for name, value in values.items()})
    return study


def _one(arena: _Arena, study: "Study", number: int, deadline: float) -> _Tried:
    from optuna.trial import TrialState

    start = monotonic()
    trial = study.ask({name: range_.distribution() for name, range_ in SPACE.items()})
    parameters = {**arena.recipe.parameters, **(trial.params if number else {})}
    losses, state = _judged(arena, trial, parameters, number, deadline)
    tried = _Tried(number, parameters, state, monotonic() - start, tuple(losses))
    if state == FINISHED:
        study.tell(trial, tried.log_loss)
    else:
        study.tell(trial, state=TrialState.PRUNED if state == PRUNED else TrialState.FAIL)
    return tried


def _judged(
    arena: _Arena, trial: "Trial", parameters: Mapping[str, Any], number: int, deadline: float
) -> tuple[list[float], str]:
    """Losses of the folds that the trial came to, and its state.

    The pruner gets the mean difference from the default, which does not move with how hard a fold is.
    """
    losses: list[float] = []
    for fold in range(len(arena.folds)):
        loss = arena.validation_loss(fold, parameters, deadline)
        if loss is None:
            return losses, OUT_OF_TIME
        losses.append(loss)
        if not number:
            arena.default_losses.append(loss)
        trial.report(float(np.mean(np.subtract(losses, arena.default_losses[: fold + 1]))), fold)
        if number and fold + 1 < len(arena.folds) and trial.should_prune():
            return losses, PRUNED
    return losses, FINISHED


def _progress(tried: Sequence[_Tried], trials: int, deadline: float) -> str:
    last = tried[-1]
    name = f"trial {last.number} of {trials}" if last.number else "default parameters"
    said = {
        FINISHED: f"log-loss {last.log_loss:.5f}" if last.losses else "",
        PRUNED: f"dropped after fold {len(last.losses)}, behind half of the others",
        OUT_OF_TIME: "dropped, the time is out",
    }[last.state]
    finished = [trial for trial in tried if trial.state == FINISHED]
    best = min(finished, key=lambda trial: trial.log_loss, default=None)
    where = f" (best {best.log_loss:.5f} in {_named(best.number)})" if best else ""
    return f"{name}: {said}{where}, {max(0.0, deadline - monotonic()):.0f} s left"


def _named(number: int) -> str:
    return f"trial {number}" if number else "the default"


def _confirmed(history: History, last: Fold, default: Recipe, tuned: Recipe) -> Estimate:
    """Log-loss saved by the tuned recipe on the last fold, both trained as a candidate is."""
    recipes = {DEFAULT: default, TUNED: tuned}
    scores = {name: history.scores(history.fit(last.train, each), last.validate) for name, each in recipes.items()}
    settings = history.problem.evaluation
    replicates = replicate_metrics(
        history.labels[last.validate],
        scores,
        history.units[last.validate],
        repeats=max(settings.bootstrap_repeats, LEAST_REPEATS),
        seed=settings.seed,
    )
    return paired_difference(replicates, TUNED, DEFAULT, "log_loss")


def _confirmation(best: _Tried, gain: Estimate) -> str:
    figures = f"{gain.value:+.6f} (95 % interval {gain.low:+.6f} to {gain.high:+.6f})"
    where = "on the latest fold, which had no part in choosing it"
    if gain.low > 0:
        return f"Trial {best.number} is adopted: {where}, it saves log-loss against the default, {figures}."
    short_of = f"trial {best.number} was best, but {where}, its gain is not significant, {figures}"
    return f"The default parameters stay: {short_of}."


def _nothing_better(tried: Sequence[_Tried]) -> str:
    evaluated = sum(trial.state in (FINISHED, PRUNED) for trial in tried)
    if not evaluated:
        return "The default parameters stay: the time limit was reached before they were evaluated."
    if evaluated == 1:
        return "The default parameters stay: there was no time, or no trial, for any others."
    return f"The default parameters stay: none of the {evaluated} sets tried was better on the folds that choose."


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """No log line per trial, no warning of experimental parts; the log level is put back."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
