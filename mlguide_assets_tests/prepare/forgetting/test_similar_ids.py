"""The ids of others that contain an id or may be the same, of all rows that a text may be about."""

from pathlib import Path

import pyarrow as pa

from mlguide_assets.prepare.forgetting.forget_list import Entity
from mlguide_assets.prepare.forgetting.similar_ids import ids_around, other_spellings
from mlguide_assets.prepare.lake.lake import Lake

GUEST = Entity("guest", "guest_id", "guests", "ref", {"bookings": "guest"})


def test_ids_of_rows_read_and_of_rows_rejected_are_known(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert ids_around(lake, GUEST, "AB") == frozenset()
    lake.write("guests", pa.table({"ref": ["AB", "AB 12", "A", None]}))
    lake.write("bookings", pa.table({"guest": ["AB", "x/AB", "ab"], "ref": ["AB of a booking"] * 3}))
    rows = ["ref=AB-7; age=3", "n=1; guest=AB, C; price=2", "ref=AB of a booking"]
    lake.write("quarantined_rows", pa.table({"table": ["guests", "bookings", "bookings"], "row": rows}))
    assert ids_around(lake, GUEST, "AB") == {"AB 12", "x/AB", "AB-7", "AB, C"}


def test_a_number_needs_none(tmp_path: Path) -> None:
    assert ids_around(Lake(tmp_path), GUEST, 5) == frozenset()


def test_an_id_may_be_written_otherwise(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("guests", pa.table({"ref": ["ab12-ÄF", "AB 12 äf", "AB12", "-", None]}))
    assert other_spellings(lake, GUEST, "AB12ÄF") == other_spellings(lake, GUEST, "{ab-12-äf}")
    assert other_spellings(lake, GUEST, "ab12-ÄF") == ("AB 12 äf",)
    assert other_spellings(lake, GUEST, "AB12") == other_spellings(lake, GUEST, "--") == ()
    assert other_spellings(lake, GUEST, 12) == ()
