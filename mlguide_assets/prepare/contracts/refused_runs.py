"""What a refused run leaves: the tables as they were, and for inspection the rows that it would have set aside."""

import contextlib
from collections.abc import Iterator

from mlguide_assets.define.contracts import SetAside
from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.contracts.contract_tables import CONTRACT, QUARANTINED
from mlguide_assets.prepare.contracts.refusals import refuse_blocked
from mlguide_assets.prepare.ingest import Ingested
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import LakePlace

REFUSED = "refused_rows"
"""The rows that the contract would have set aside at an ingest that was refused for their number."""


@contextlib.contextmanager
def nothing_changed_if_refused(place: LakePlace, problem: Problem) -> Iterator[None]:
    """Take back what was prepared where what follows, such as training, refuses it.

    Args:
        place: of the lake.

    Raises:
        InputError: the refusal, as it was raised.
    """
    lake = Lake(place)
    before = _current(lake, problem)
    try:
        yield
    except InputError:
        changed = {table: before[table] for table, now in _current(lake, problem).items() if now != before[table]}
        # What a model was registered with stays: then the run was refused for something that came after it.
        if not any(_is_pinned(lake, table) for table in changed):
            for table, snapshot_id in changed.items():
                lake.restore(table, snapshot_id)
        raise


def refuse(read: Ingested, problem: Problem, lake: Lake) -> None:
    """Raise for the first broken rule that blocks; where too many rows were set aside, keep these to be looked at.

    Raises:
        InputError: a rule that blocks is broken.
    """
    limits = {rule.name for rule in problem.rules if isinstance(rule, SetAside)}
    if any(result.rule in limits and result.action == "block" and not result.passed for result in read.results):
        aside = read.quarantined
        known = {key: lake.read(QUARANTINED, partitions=[key]) for key in aside.kept}
        lake.write_partitions(REFUSED, Partitions({**known, **aside.rebuilt}, inputs={}))
    refuse_blocked(read.results, problem.rules, read.place)
    if lake.exists(REFUSED):
        lake.restore(REFUSED, None)


def _current(lake: Lake, problem: Problem) -> dict[str, str | None]:
    prepared = (*problem.tables, CONTRACT, QUARANTINED, problem.core_table, problem.features_table)
    return {table: lake.snapshot(table).id if lake.exists(table) else None for table in prepared}


def _is_pinned(lake: Lake, table: str) -> bool:
    return lake.exists(table) and lake.snapshot(table).id in lake.pinned(table).values()
