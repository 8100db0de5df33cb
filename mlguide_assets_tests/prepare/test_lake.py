"""The lake in one process: snapshots, partitions, history, cleaning, and what a failing disk leaves."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake import Lake, MissingTableError
from mlguide_assets_tests.prepare.ingesting import ingested
from mlguide_assets_tests.samples import sample_problem


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())})


def values(lake: Lake, table: str = "t", **which: object) -> list[int]:
    return sorted(lake.read(table, **which).to_pyarrow()["n"].to_pylist())  # type: ignore[arg-type]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_what_is_written_is_read(lake: Lake) -> None:
    snapshot = lake.write("t", numbers(1, 2))
    assert values(lake) == [1, 2]
    assert (snapshot.rows, snapshot.sequence) == (2, 1)
    assert lake.tables() == {"t": snapshot}


def test_an_expression_over_the_table_itself_can_replace_it(lake: Lake) -> None:
    lake.write("t", numbers(1, 2))
    lake.write("t", lake.read("t").filter(lambda t: t.n > 1))
    assert values(lake) == [2]


def test_equal_content_keeps_the_snapshot(lake: Lake) -> None:
    first = lake.write("t", numbers(1))
    assert lake.write("t", numbers(1)) == first
    assert lake.history("t") == [first]


def test_content_that_comes_back_is_a_new_snapshot_with_the_old_hash(lake: Lake) -> None:
    first, _, third = lake.write("t", numbers(1)), lake.write("t", numbers(2)), lake.write("t", numbers(1))
    assert (third.sequence, third.content_hash) == (3, first.content_hash)
    assert values(lake) == [1]


def test_a_partition_is_replaced_and_the_others_are_kept(lake: Lake) -> None:
    lake.write_partition("t", "2024-01-01", numbers(1))
    lake.write_partition("t", "2024-01-02", numbers(2))
    lake.write_partition("t", "2024-01-01", numbers(3, 4))
    assert values(lake) == [2, 3, 4]
    assert values(lake, partitions=["2024-01-02"]) == [2]


def test_rewriting_a_partition_with_its_content_changes_nothing(lake: Lake) -> None:
    lake.write_partition("t", "2024-01-01", numbers(1))
    before = lake.write_partition("t", "2024-01-02", numbers(2))
    assert lake.write_partition("t", "2024-01-01", numbers(1)) == before


def test_partitions_of_equal_content_are_kept_apart(lake: Lake) -> None:
    lake.write_partition("t", "2024-01-01", numbers(1))
    lake.write_partition("t", "2024-01-02", numbers(1))
    assert values(lake) == [1, 1]


def test_a_partition_nobody_wrote_is_missed_by_name(lake: Lake) -> None:
    lake.write_partition("t", "2024-01-01", numbers(1))
    with pytest.raises(MissingTableError, match="'t' has no partition '2024-01-02'"):
        lake.read("t", partitions=["2024-01-02"])


def test_appending_only_adds(lake: Lake) -> None:
    for number in (1, 1, 2):
        before = lake.snapshot("t").partitions if lake.exists("t") else {}
        after = lake.append("t", numbers(number)).partitions
        assert {key: after[key] for key in before} == before
    assert values(lake) == [1, 1, 2]


def test_the_five_newest_snapshots_are_kept_with_their_data_and_no_more(lake: Lake) -> None:
    written = [lake.write("t", numbers(number)) for number in range(8)]
    assert lake.history("t") == written[-5:]
    folder = lake.root / "t"
    assert {path.name for path in (folder / "data").iterdir()} == {
        snapshot.partitions["all"].file for snapshot in written[-5:]
    }
    assert len(list((folder / "snapshots").iterdir())) == 5
    assert [values(lake, snapshot_id=snapshot.id) for snapshot in written[-5:]] == [[3], [4], [5], [6], [7]]
    with pytest.raises(MissingTableError, match="There is no snapshot '000001"):
        lake.read("t", snapshot_id=written[0].id)


def test_one_snapshot_can_be_all_that_is_kept(tmp_path: Path) -> None:
    lake = Lake(tmp_path, keep=1)
    for number in range(3):
        lake.write("t", numbers(number))
    assert values(lake) == [2]
    assert len(lake.history("t")) == 1


def test_a_partition_that_an_older_snapshot_names_is_kept(lake: Lake) -> None:
    first = lake.write_partition("t", "2024-01-01", numbers(1))
    for number in range(3):
        lake.write_partition("t", "2024-01-02", numbers(number))
    assert values(lake, snapshot_id=first.id) == [1]


def test_a_manifest_that_never_became_current_is_not_history_and_is_cleaned(lake: Lake) -> None:
    first = lake.write("t", numbers(1))
    folder = lake.root / "t" / "snapshots"
    orphan = folder / "000002-ffffffffffff.json"
    orphan.write_text((folder / f"{first.id}.json").read_text().replace('"sequence": 1', '"sequence": 2'))
    assert lake.history("t") == [first]
    second = lake.write("t", numbers(2))
    assert lake.history("t") == [first, second]
    assert not orphan.exists()
    assert values(lake) == [2]


def test_a_table_nobody_wrote_is_missed_with_those_there_are(lake: Lake) -> None:
    lake.write("users", numbers(1))
    with pytest.raises(MissingTableError, match=r"There is no table 'user' .*\(tables: users\): run 'mlguide run'"):
        lake.read("user")


def test_an_empty_table_keeps_its_columns(lake: Lake) -> None:
    lake.write("t", numbers())
    assert lake.read("t").schema().names == ("n",)
    assert values(lake) == []


def test_a_lake_below_a_regular_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lake = Lake(tmp_path / "file" / "lake")
    with pytest.raises(InputError) as caught:
        lake.write("t", numbers(1))
    told = str(caught.value)
    assert "\n" not in told
    assert "Table 't' could not be written to" in told
    assert str(tmp_path / "file" / "lake") in told
    assert "(Not a directory)" in told
    assert "mend permissions" in told
    with pytest.raises(MissingTableError, match="There is no table 't'"):
        lake.read("t")


def test_a_home_below_a_regular_file_is_told_before_a_source_is_read(duck: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"What is read could not be written to .*mend permissions") as caught:
        ingested(sample_problem(tmp_path), duck, tmp_path / "file")
    assert "\n" not in str(caught.value)
