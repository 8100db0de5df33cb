"""A run that is refused leaves the tables as they were, and the rows to look at that it would have set aside."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED
from mlguide_assets.prepare.contracts.refused_runs import REFUSED, nothing_changed_if_refused, refuse
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.prepare.ingesting import keep, lake_over
from mlguide_assets_tests.samples import arrow, sample_problem, sample_tables, write_sample

PROBLEM = sample_problem("nowhere")
REFERENCE = {
    "table": "user_emails",
    "rule": "references",
    "column": "user_id",
    "target": "user_profiles",
    "action": "quarantine",
}


def rows(*values: int) -> pa.Table:
    return pa.table({"value": values})


def values(lake: Lake, table: str) -> list[int]:
    return lake.read_arrow(table)["value"].to_pylist()


def test_what_is_refused_later_on_is_taken_back(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("user_emails", rows(1))
    lake.write("promotion_decisions", rows(1))

    def refused() -> None:
        lake.write("user_emails", rows(2))
        lake.write("core_users", rows(2))
        lake.append("promotion_decisions", rows(2))
        raise InputError("no positives")

    with pytest.raises(InputError, match="no positives"), nothing_changed_if_refused(tmp_path, PROBLEM):
        refused()
    assert values(lake, "user_emails") == [1]
    assert not lake.exists("core_users")
    assert sorted(values(lake, "promotion_decisions")) == [1, 2], "a record of what happened stays"
    lake.write("core_users", rows(3))
    lake.write("user_emails", rows(3))
    assert [snapshot.sequence for snapshot in lake.history("user_emails")] == [1, 2]


def test_what_a_model_was_registered_with_stays(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("user_emails", rows(1))

    def refused() -> None:
        lake.pin("user_emails", lake.write("user_emails", rows(2)).id, "version-1")
        raise InputError("the server is gone")

    with pytest.raises(InputError), nothing_changed_if_refused(tmp_path, PROBLEM):
        refused()
    assert values(lake, "user_emails") == [2]


def test_what_is_not_refused_is_kept(tmp_path: Path) -> None:
    with nothing_changed_if_refused(tmp_path, PROBLEM):
        Lake(tmp_path).write("user_emails", rows(1))
    assert values(Lake(tmp_path), "user_emails") == [1]


def test_renumbered_users_are_refused_and_the_rows_can_be_seen(duck: Any, tmp_path: Path) -> None:
    tables = sample_tables()
    users = [{**row, "id": row["id"] + 1000} for row in tables["user_profiles"].to_pylist()]
    renumbered = write_sample(tmp_path / "new", tables={**tables, "user_profiles": arrow("user_profiles", users)})
    lake = lake_over(duck, tmp_path / "lake")
    for source, refused in ((renumbered, True), (write_sample(tmp_path / "shop"), False)):
        problem = sample_problem(source, contracts=[REFERENCE])
        with ingest(problem, lake, oracle=tmp_path, report=lambda _: None) as read:
            if not refused:
                refuse(read, problem, lake)
                break
            with pytest.raises(InputError, match="would lose 600 of 600 rows") as caught:
                refuse(read, problem, lake)
        assert "no user_id is an id of user_profiles: one of the two tables was renumbered" in str(caught.value)
        assert list(lake.tables()) == [REFUSED]
        assert lake.snapshot(REFUSED).rows == 600
    assert not lake.exists(REFUSED)
    assert not lake.exists(QUARANTINED)


def test_rows_that_were_set_aside_before_are_among_those_of_a_refused_run(duck: Any, tmp_path: Path) -> None:
    """They are in the lake already, and not written again where nothing is refused."""
    tables = sample_tables()
    emails = tables["email_content"].to_pylist()
    written = {**tables, "email_content": arrow("email_content", [{**emails[0], "number_of_buttons": -1}, *emails[1:]])}
    users = [{**row, "id": row["id"] + 1000} for row in tables["user_profiles"].to_pylist()]
    renumbered = {**written, "user_profiles": arrow("user_profiles", users)}
    buttons = {"table": "email_content", "rule": "range", "column": "number_of_buttons", "min": 0}
    lake = lake_over(duck, tmp_path / "lake")
    for folder, each in (("shop", written), ("renumbered", renumbered)):
        source = write_sample(tmp_path / folder, tables=each)
        problem = sample_problem(source, contracts=[REFERENCE, {**buttons, "action": "quarantine"}])
        with ingest(problem, lake, oracle=tmp_path, report=lambda _: None) as read:
            if each is written:
                refuse(read, problem, lake)
                keep(lake, read)
                continue
            assert list(read.quarantined.kept) == ["email_content"]
            with pytest.raises(InputError):
                refuse(read, problem, lake)
    assert (lake.snapshot(QUARANTINED).rows, lake.snapshot(REFUSED).rows) == (1, 601)
