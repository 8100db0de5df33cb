"""A log in a file of anyone's: which columns are what, and what of them cannot be true."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.english import agreeing, counted
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.off_policy.context_columns import codes_of, context_columns, context_of
from mlguide_assets.experiment.off_policy.log import PolicyLog, Predictions
from mlguide_assets.experiment.off_policy.outcome_model import (
    Decisions,
    predict_actions,
    predict_uniform,
)
from mlguide_assets.experiment.spelled_names import UNKNOWN, SpelledNames
from mlguide_assets.prepare.named import named
from mlguide_assets.prepare.sources.data_file import read_columns, refuse_null_words
from mlguide_assets.prepare.sources.spellings import number_reader, read_texts, without_null_words

LEAST_PROPENSITY, LARGEST_REWARD = 1e-30, 1e100
"""With these, squares of weights and sums of weighted rewards are finite."""

TargetKind = Literal["uniform", "probability", "action"]


@dataclass(frozen=True)
class LogFile:
    """A file with one row per decision, and the columns that matter.

    Attributes:
        target: the column of the target policy; None: each action that was logged is as likely as any other.
        target_kind: what that column holds, where its values could be both: the target's `probability` of the
            logged action, or the `action` that it would take. None: what the values say.
        unit: None: each row is a unit of its own.
        context: what was known when the action was taken, for the outcome model.
        decimal_comma: numbers in text are written as in `1.234,56`.
    """

    path: Path
    action: str
    reward: str
    propensity: str
    target: str | None = None
    target_kind: Literal["probability", "action"] | None = None
    unit: str | None = None
    context: tuple[str, ...] = ()
    decimal_comma: bool = False

    def options(self) -> dict[str, str]:
        """Each column by the option that names it, but for the context."""
        named = {
            "--action": self.action,
            "--reward": self.reward,
            "--propensity": self.propensity,
            "--target-column": self.target,
            "--unit": self.unit,
        }
        return {option: column for option, column in named.items() if column is not None}


@dataclass(frozen=True)
class ReadLog:
    """A log, its actions in order, and what was understood by the target.

    `predict` fits outcome models; None where the target's probabilities of other actions are not known.
    """

    log: PolicyLog
    actions: tuple[str, ...]
    target: TargetKind
    predict: Callable[[], Predictions] | None


def read_log(file: LogFile, connection: Any, scratch: Path) -> ReadLog:
    """Read the columns of a log, and refuse what cannot be true.

    Args:
        connection: as `engine.connect` opens it.
        scratch: an empty folder, for what reading needs.

    Raises:
        InputError: a column is missing, or holds what it must not.
    """
    table = _open(file, connection, scratch)
    columns = connection.to_pyarrow(table)
    actions = SpelledNames.of(columns["action"])
    if len(actions.names) < 2:
        raise InputError(
            f"--action {file.action}: every row has the action {actions.names[0]!r}; a policy needs two to choose."
        )
    units = codes_of(columns["unit"]) if file.unit else np.arange(columns.num_rows)
    context = context_of(columns, file.context, file.path)
    decisions = Decisions(units, context, actions.codes(columns["action"]), columns["reward"].to_numpy())
    return _with_target(file, columns, decisions, actions)


def _with_target(file: LogFile, columns: pa.Table, decisions: Decisions, actions: SpelledNames) -> ReadLog:
    kind, names, unsupported = _target_kind(file, columns, actions), actions.names, 0.0
    unlogged: str | None = None
    predict: Callable[[], Predictions] | None = None
    if kind == "uniform":
        target = np.full(columns.num_rows, 1 / len(names))
        predict = partial(predict_uniform, decisions, len(names))
    elif kind == "action":
        chosen = actions.codes(columns["target"])
        target = (chosen == decisions.actions).astype(np.float64)
        unsupported = float((chosen == UNKNOWN).mean())
        unlogged = next(iter(columns["target"].filter(pa.array(chosen == UNKNOWN)).slice(0, 1).to_pylist()), None)
        predict = partial(predict_actions, decisions, chosen)
    else:
        if file.context:
            raise InputError(
                f"--context is for DR, which needs the target's probability of every action, while {file.target!r} "
                f"holds those of the logged actions: leave --context out."
            )
        target = columns["target_number"].to_numpy()
    propensities = columns["propensity"].to_numpy()
    log = PolicyLog(decisions.units, decisions.rewards, propensities, target, unsupported, unlogged)
    return ReadLog(log, names, kind, predict)


_NUMBERS = ("--reward", "--propensity")


def _open(file: LogFile, connection: Any, scratch: Path) -> ibis.Table:
    """The columns that matter, by their roles; `target_number` is null where the target is no number."""
    options = file.options()
    asked = [*options.items(), *(("--context", column) for column in file.context)]
    _refuse_two_roles(asked)
    table = read_columns(file.path, asked, connection, scratch, numbers=_NUMBERS, decimal_comma=file.decimal_comma)
    refuse_null_words(table, file.path, [each for each in options.items() if each[0] not in _NUMBERS])
    texts = [column for option, column in asked if option not in _NUMBERS]
    table = table.mutate({column: without_null_words(table[column], in_text=True) for column in texts})
    _refuse_missing(table, file.path, options)
    _refuse_impossible(table, file)
    wanted = {
        "action": read_texts(table[file.action]),
        "reward": table[file.reward],
        "propensity": table[file.propensity],
    }
    if file.target is not None:
        wanted["target"] = read_texts(table[file.target])
        wanted["target_number"] = number_reader(file.decimal_comma)(table[file.target])
    if file.unit is not None:
        wanted["unit"] = table[file.unit].cast("string")
    return table.select(*named(wanted), *named(context_columns(table, file.context, file.decimal_comma)))


def _refuse_two_roles(named: list[tuple[str, str]]) -> None:
    roles: dict[str, str] = {}
    for option, column in named:
        # The unit may be known beforehand, like anything else of it.
        if column in roles and (roles[column], option) != ("--unit", "--context"):
            raise InputError(f"{option} {column}: this column is {roles[column]} already; name another.")
        roles.setdefault(column, option)


def _refuse_missing(table: ibis.Table, path: Path, options: dict[str, str]) -> None:
    missing = {option: table[column].isnull().sum() for option, column in options.items()}
    counts = table.aggregate([table.count().name("rows"), *named(missing)])
    found = counts.to_pyarrow().to_pylist()[0]
    if not found.pop("rows"):
        raise InputError(f"{path} has no rows: it needs one per logged decision.")
    for option, missing in found.items():
        if missing:
            words = " (words such as NA, none and - are read as no value)" if option in _NUMBERS else ""
            raise InputError(
                f"{option} {options[option]}: {counted(missing, 'row')} of {path} {agreeing(missing, 'has')} no "
                f"value there{words}; complete or remove them."
            )


def _refuse_impossible(table: ibis.Table, file: LogFile) -> None:
    propensity, reward = table[file.propensity], table[file.reward]
    wrong = table.filter((propensity < LEAST_PROPENSITY) | (propensity > 1))
    for value in wrong.limit(1).to_pyarrow()[file.propensity].to_pylist():
        raise InputError(
            f"--propensity {file.propensity}: {file.path} holds {value:g} there; the probability with which an action "
            f"was taken is above 0 (not below {LEAST_PROPENSITY:g}) and at most 1."
        )
    for value in table.filter(reward.abs() > LARGEST_REWARD).limit(1).to_pyarrow()[file.reward].to_pylist():
        raise InputError(
            f"--reward {file.reward}: {file.path} holds {value:g} there; rewards are at most {LARGEST_REWARD:g} in "
            f"size: correct it, or count in a larger unit."
        )


def _target_kind(file: LogFile, columns: pa.Table, actions: SpelledNames) -> TargetKind:
    """What the target column holds, as it was said or else as its values say.

    Raises:
        InputError: it can be both, or it was said to be, or can only be, probabilities, and some are none.
    """
    if file.target is None:
        return "uniform"
    if file.target_kind == "action":
        return "action"
    numbers = columns["target_number"]
    inside = pc.fill_null(pc.and_(pc.greater_equal(numbers, 0), pc.less_equal(numbers, 1)), False)
    shown = f"--target-column {file.target}"
    if not pc.all(inside).as_py():
        if file.target_kind == "probability" or not (numbers.null_count or actions.numbers):
            wrong = columns["target"].filter(pc.invert(inside))[0].as_py()
            raise InputError(f"{shown}: {file.path} holds {wrong!r} there, which is no probability from 0 to 1.")
        return "action"
    if file.target_kind is None and _may_be_actions(numbers, actions):
        raise InputError(
            f"{shown}: its values may be actions or probabilities; say which with --target-kind action or "
            f"--target-kind probability."
        )
    return "probability"


def _may_be_actions(numbers: pa.ChunkedArray, actions: SpelledNames) -> bool:
    """Whether probabilities are logged actions as well; 0 and 1 may also be actions that were never logged."""
    logged = pc.is_in(numbers, pa.array(actions.numbers, pa.float64()))
    possible = pc.or_(logged, pc.is_in(numbers, pa.array([0.0, 1.0])))
    return bool(pc.any(logged).as_py() and pc.all(possible).as_py())
