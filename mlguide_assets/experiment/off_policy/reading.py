"""A log in a file of anyone's: which columns are what, and what of them cannot be true."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.errors import InputError
from mlguide_assets.experiment.off_policy.log import PolicyLog, Predictions
from mlguide_assets.experiment.off_policy.outcome_model import (
    UNKNOWN,
    Context,
    Decisions,
    predict_actions,
    predict_uniform,
)
from mlguide_assets.prepare.sources.data_file import read_columns
from mlguide_assets.prepare.sources.spellings import without_null_words
from mlguide_assets.statistics.arrays import Integers

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
    """

    path: Path
    action: str
    reward: str
    propensity: str
    target: str | None = None
    target_kind: Literal["probability", "action"] | None = None
    unit: str | None = None
    context: tuple[str, ...] = ()

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
    actions, names = _coded(columns["action"])
    if len(names) < 2:
        raise InputError(
            f"--action {file.action}: every row has the action {names[0]!r}; a policy needs two to choose."
        )
    units = _coded(columns["unit"])[0] if file.unit else np.arange(columns.num_rows)
    context = _context(columns, len(file.context))
    decisions = Decisions(units, context, actions, columns["reward"].to_numpy())
    return _with_target(file, columns, decisions, names)


def _with_target(file: LogFile, columns: pa.Table, decisions: Decisions, names: tuple[str, ...]) -> ReadLog:
    kind, unsupported = _target_kind(file, columns, names), 0.0
    predict: Callable[[], Predictions] | None = None
    if kind == "uniform":
        target = np.full(columns.num_rows, 1 / len(names))
        predict = partial(predict_uniform, decisions, len(names))
    elif kind == "action":
        chosen = _codes_among(columns["target"], names)
        target = (chosen == decisions.actions).astype(np.float64)
        unsupported = float((chosen == UNKNOWN).mean())
        predict = partial(predict_actions, decisions, chosen)
    else:
        if file.context:
            raise InputError(
                f"--context is for DR, which needs the target's probability of every action, while {file.target!r} "
                f"holds those of the logged actions: leave --context out."
            )
        target = columns["target_number"].to_numpy()
    propensities = columns["propensity"].to_numpy()
    log = PolicyLog(decisions.units, decisions.rewards, propensities, target, unsupported)
    return ReadLog(log, names, kind, predict)


_NUMBERS = ("--reward", "--propensity")


def _open(file: LogFile, connection: Any, scratch: Path) -> ibis.Table:
    """The columns that matter, by their roles; `target_number` is null where the target is no number."""
    options = file.options()
    named = [*options.items(), *(("--context", column) for column in file.context)]
    _refuse_two_roles(named)
    table = read_columns(file.path, named, connection, scratch, numbers=_NUMBERS)
    texts = [column for option, column in named if option not in _NUMBERS]
    table = table.mutate(**{column: without_null_words(table[column], in_text=True) for column in texts})
    _refuse_missing(table, file.path, options)
    _refuse_impossible(table, file)
    like_numbers = file.target is not None and table[file.action].type().is_numeric()
    wanted = {
        "action": _text(table[file.action], like_numbers),
        "reward": table[file.reward],
        "propensity": table[file.propensity],
    }
    if file.target is not None:
        wanted["target"] = _text(table[file.target], like_numbers and table[file.target].type().is_numeric())
        wanted["target_number"] = table[file.target].try_cast("float64")
    if file.unit is not None:
        wanted["unit"] = table[file.unit].cast("string")
    return table.select(**wanted, **_known(table, file.context))


def _known(table: ibis.Table, context: tuple[str, ...]) -> dict[str, Any]:
    """Columns of context as numbers where they are numbers or times, else as text."""
    named = {}
    for place, name in enumerate(context):
        column = table[name]
        if column.type().is_temporal():
            column = column.cast("timestamp").epoch_seconds()
        is_number = column.type().is_numeric() or column.type().is_boolean()
        named[f"context{place}"] = column.cast("float64" if is_number else "string")
    return named


def _refuse_two_roles(named: list[tuple[str, str]]) -> None:
    roles: dict[str, str] = {}
    for option, column in named:
        # The unit may be known beforehand, like anything else of it.
        if column in roles and (roles[column], option) != ("--unit", "--context"):
            raise InputError(f"{option} {column}: this column is {roles[column]} already; name another.")
        roles.setdefault(column, option)


def _text(column: Any, as_number: bool) -> Any:
    """As text; numbers so that 2 and 2.0 are the same action."""
    return (column.cast("float64") if as_number else column).cast("string")


def _refuse_missing(table: ibis.Table, path: Path, options: dict[str, str]) -> None:
    counts = table.aggregate(
        rows=table.count(), **{option: table[column].isnull().sum() for option, column in options.items()}
    )
    found = counts.to_pyarrow().to_pylist()[0]
    if not found.pop("rows"):
        raise InputError(f"{path} has no rows: it needs one per logged decision.")
    for option, missing in found.items():
        if missing:
            raise InputError(
                f"{option} {options[option]}: {missing:,} rows of {path} have no value there; complete or remove them."
            )


def _refuse_impossible(table: ibis.Table, file: LogFile) -> None:
    propensity = table[file.propensity]
    wrong = table.filter((propensity <= 0) | (propensity > 1))
    for value in wrong.limit(1).to_pyarrow()[file.propensity].to_pylist():
        raise InputError(
            f"--propensity {file.propensity}: {file.path} holds {value:g} there; the probability with which an action "
            f"was taken is above 0 and at most 1."
        )


def _target_kind(file: LogFile, columns: pa.Table, names: tuple[str, ...]) -> TargetKind:
    """What the target column holds, as it was said or else as its values say.

    Raises:
        InputError: it can be both, or it was said to be, or can only be, probabilities, and some are none.
    """
    if file.target is None:
        return "uniform"
    numbers = columns["target_number"]
    inside = pc.and_(pc.greater_equal(numbers, 0), pc.less_equal(numbers, 1))
    probable = pc.all(pc.fill_null(inside, False)).as_py()
    if file.target_kind == "action":
        return "action"
    shown = f"--target-column {file.target}"
    numeric_only = not numbers.null_count and not any(map(_is_number, names))
    if not probable and (file.target_kind == "probability" or numeric_only):
        wrong = columns["target"].filter(pc.invert(pc.fill_null(inside, False)))[0].as_py()
        raise InputError(f"{shown}: {file.path} holds {wrong!r} there, which is no probability from 0 to 1.")
    known = pc.all(pc.is_in(columns["target"], pa.array(names))).as_py()
    if probable and known and file.target_kind is None:
        raise InputError(
            f"{shown}: its values may be actions or probabilities; say which with --target-kind action or "
            f"--target-kind probability."
        )
    return "probability" if probable else "action"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _coded(column: pa.ChunkedArray) -> tuple[Integers, tuple[str, ...]]:
    """A column of text as codes (n,) from 0, and what each stands for, in order."""
    names = tuple(sorted(pc.unique(column).drop_null().to_pylist()))
    return _codes_among(column, names), names


def _codes_among(column: pa.ChunkedArray, names: tuple[str, ...]) -> Integers:
    """The place of each value among the names, (n,); `UNKNOWN` for others."""
    places = pc.index_in(column, pa.array(names, pa.string()))
    codes: Integers = pc.fill_null(places, UNKNOWN).to_numpy().astype(np.int64)
    return codes


def _context(columns: pa.Table, count: int) -> Context:
    """Numbers as they are, all else as categories; missing values are NaN."""
    parts, categorical = [], []
    for place in range(count):
        values, is_category = _context_column(columns[f"context{place}"])
        parts.append(values)
        categorical.append(is_category)
    empty = np.empty((columns.num_rows, 0), np.float32)
    return Context(np.column_stack(parts) if parts else empty, tuple(categorical))


def _context_column(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.float32], bool]:
    """The values (n,) and whether they are categories. Text that is numbers throughout is numbers."""
    try:
        return pc.cast(column, pa.float64()).to_numpy().astype(np.float32), False
    except pa.ArrowInvalid:
        codes = _coded(column)[0].astype(np.float32)
        return np.where(codes == UNKNOWN, np.float32(np.nan), codes), True
