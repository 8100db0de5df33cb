"""What a failing disk and a lost file say."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets_tests.prepare.ingesting import ingested
from mlguide_assets_tests.prepare.lake.tables import numbers, values
from mlguide_assets_tests.samples import sample_problem


def test_a_lake_below_a_regular_file_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lake = Lake(tmp_path / "file" / "lake")
    with pytest.raises(InputError) as caught:
        lake.write("t", numbers(1))
    told = str(caught.value)
    assert "\n" not in told
    assert "Table 't' could not be written to" in told
    assert str(tmp_path / "file" / "lake") in told
    assert "(Not a directory)" in told
    assert "fix permissions" in told
    with pytest.raises(MissingTableError, match="There is no table 't'"):
        lake.read("t")


def test_a_folder_in_the_place_of_a_file_is_to_be_moved_away(tmp_path: Path) -> None:
    lock = tmp_path / "t" / ".lock"
    lock.mkdir(parents=True)
    with pytest.raises(InputError, match=f"move the folder {lock} away, since a file belongs there"):
        Lake(tmp_path).write("t", pa.table({"x": [1]}))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "a [1]")
    lake.write("t", numbers(1))
    [gone] = (lake.root / "t" / "data").iterdir()
    # Also where the lake has read it before.
    assert values(lake) == [1]
    gone.unlink()
    with pytest.raises(InputError) as caught:
        lake.read("t")
    assert str(caught.value).startswith(f"Table 't' cannot be read: the file {gone} is gone. Run again;")
    assert "\n" not in str(caught.value)


def test_a_home_below_a_regular_file_is_reported_before_a_source_is_read(duck: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"What is read could not be written to .*fix permissions") as caught:
        ingested(sample_problem(tmp_path), duck, tmp_path / "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"PAR1" + b"x" * 100 + b"\x20\0\0\0PAR1"])
def test_a_damaged_data_file_is_named(tmp_path: Path, content: bytes) -> None:
    lake = Lake(tmp_path)
    lake.write("t", pa.table({"x": [1]}))
    (file,) = (tmp_path / "t" / "data").iterdir()
    file.write_bytes(content)
    read = (lambda: lake.read_arrow("t"), lambda: lake.first_rows(lake.snapshot("t"), 1))
    for each in read:
        with pytest.raises(InputError, match=f"{file.name} is damaged: restore it from a backup"):
            each()


def test_a_file_that_does_not_end_as_it_was_written_is_not_held(tmp_path: Path) -> None:
    """A power cut may leave zeros in it. Whoever would keep it computes it again."""
    lake = Lake(tmp_path)
    partitions = lake.write_partition("t", "2026-01-01", pa.table({"x": [1]})).partitions
    assert lake.held("t", partitions) == partitions
    (file,) = lake.files("t")
    file.write_bytes(file.read_bytes()[:-6] + bytes(6))
    assert lake.held("t", partitions) == {}
    lake.write_partition("t", "2026-01-01", pa.table({"x": [1]}))
    assert lake.read_arrow("t")["x"].to_pylist() == [1]
