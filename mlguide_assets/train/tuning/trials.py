"""Trials of parameters on the folds that choose. One that is behind, or out of time, is dropped."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.progress import Report
from mlguide_assets.train.backtest.history import History
from mlguide_assets.train.evaluation.metrics import point
from mlguide_assets.train.folds import Fold, rows_of_whole_units
from mlguide_assets.train.models.calibration import fit_calibration
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import MAX_ROUNDS, PATIENCE, dmatrix, training_data, xgboost_parameters
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.tuning.parameter_space import SPACE

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

MOST_ROWS_TO_CHOOSE = 100_000

RANDOM_TRIALS = 8
"""Drawn blindly, before the sampler (TPE; Bergstra et al., 2011) takes what it has seen into account."""

TRIALS_BEFORE_PRUNING = 4

FINISHED, PRUNED, OUT_OF_TIME = "finished", "pruned", "out of time"

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
class Tried:
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
class Arena:
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


def try_parameters(arena: Arena, trials: int, deadline: float, report: Report) -> list[Tried]:
    """The default, then others, until the trials or the time are used up."""
    tried: list[Tried] = []
    with _quiet_optuna():
        study = _study(arena)
        for number in range(trials + 1):
            if monotonic() > deadline:
                break
            tried.append(_one(arena, study, number, deadline))
            report(_progress(tried, trials, deadline))
    return tried


def _study(arena: Arena) -> "Study":
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


def _one(arena: Arena, study: "Study", number: int, deadline: float) -> Tried:
    from optuna.trial import TrialState

    start = monotonic()
    trial = study.ask({name: range_.distribution() for name, range_ in SPACE.items()})
    parameters = {**arena.recipe.parameters, **(trial.params if number else {})}
    losses, state = _evaluated(arena, trial, parameters, number, deadline)
    tried = Tried(number, parameters, state, monotonic() - start, tuple(losses))
    if state == FINISHED:
        study.tell(trial, tried.log_loss)
    else:
        study.tell(trial, state=TrialState.PRUNED if state == PRUNED else TrialState.FAIL)
    return tried


def _evaluated(
    arena: Arena, trial: "Trial", parameters: Mapping[str, Any], number: int, deadline: float
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


def _progress(tried: Sequence[Tried], trials: int, deadline: float) -> str:
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
