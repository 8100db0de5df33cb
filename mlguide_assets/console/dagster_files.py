"""Dagster's own files in a home, whose faults are said in one sentence before anything goes on with them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from mlguide_assets.console.machine import damaged_database, history_damaged
from mlguide_assets.errors import InputError, first_line
from mlguide_assets.settings import Home

_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")


@contextlib.contextmanager
def refusing_settings(home: Home) -> Iterator[None]:
    """Turn what Dagster finds wrong in its settings, which a user may change, into one sentence.

    Raises:
        InputError: they cannot be used.
    """
    from dagster._core.errors import DagsterInvalidConfigError
    from dagster_shared.check import CheckError

    try:
        yield
    except DagsterInvalidConfigError as error:
        reason = "; ".join(first_line(each.message) for each in error.errors)
    except (CheckError, UnicodeError) as error:
        reason = first_line(error)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        reason = f"{getattr(error, 'problem', None) or 'the bytes are not text'}{line}"
    else:
        return
    raise InputError(
        f"{home.dagster / 'dagster.yaml'} has settings that Dagster cannot use ({reason}): fix it, or delete it, and "
        f"mlguide writes its own again."
    )


def refuse_damaged_history(home: Home) -> None:
    """Refuse databases that SQLite does not read: the daemon would go on, do nothing, and say so in its log alone.

    Raises:
        InputError: one is damaged.
    """
    paths: list[Path] = [home.dagster / name for name in _DATABASES]
    if damaged := damaged_database(path for path in paths if path.exists()):
        raise InputError(history_damaged(damaged))
