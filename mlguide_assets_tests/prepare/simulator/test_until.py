"""The world as it was known at an instant: a later look adds rows and brings outcomes to light, and changes nothing."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mlguide_assets.prepare.simulator.generate import write
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.prepare.simulator.worlds import LARGE, SMALL, history

TABLES = ("user_profiles", "email_content", "user_emails", "oracle")
USUAL = World(sends=60_000)
SHIFTED = replace(USUAL, covariate_shift=date(2025, 7, 1), concept_shift=date(2025, 7, 1))
DAY = timedelta(days=1)
WEEK = 7 * DAY
# Midnight and noon, around the shift, on the last day, and after the end.
LOOKS = [datetime(2025, *when) for when in ((6, 15), (7, 1), (7, 1, 12), (12, 31))] + [datetime(2026, 3, 1)]

Seen = dict[str, pa.Table]


def seen(world: World, until: datetime | None, folder: Path) -> Seen:
    write(world, folder, until=until)
    return {name: pq.read_table(folder / f"{name}.parquet") for name in TABLES}


def restricted(later: Seen, until: datetime) -> Seen:
    """What of a later look was known at `until`, by the definition: every fact has a time."""
    sent = pa.array(later["user_emails"]["delivered_at"].to_numpy() < np.datetime64(until))
    emails, oracle = later["user_emails"].filter(sent), later["oracle"].filter(sent)
    known = pc.fill_null(pc.less_equal(oracle["unsubscribed_at"], pa.scalar(until, pa.timestamp("us"))), False)
    place = emails.column_names.index("unsubscribed")
    return {
        "user_profiles": _dated_before(later["user_profiles"], "date_joined", until),
        "email_content": _dated_before(later["email_content"], "created_at", until),
        "user_emails": emails.set_column(place, "unsubscribed", pc.if_else(known, "yes", "no")),
        "oracle": oracle,
    }


def _dated_before(table: pa.Table, column: str, until: datetime) -> pa.Table:
    return table.filter(pa.array(table[column].to_numpy().astype("datetime64[us]") < np.datetime64(until)))


@pytest.mark.parametrize("world", [USUAL, SHIFTED], ids=["usual", "shifted"])
@pytest.mark.parametrize("until", LOOKS, ids=str)
def test_a_world_seen_until_a_day_is_the_world_seen_later_as_it_was_known_then(
    world: World, until: datetime, tmp_path: Path
) -> None:
    now = seen(world, until, tmp_path / "now")
    for name, later in (("day", until + DAY), ("month", until + 30 * DAY)):
        before = restricted(seen(world, later, tmp_path / name), until)
        for table in TABLES:
            assert now[table].equals(before[table]), table
    assert now["user_emails"].num_rows > 0


def test_a_no_becomes_yes_within_the_label_window_and_never_after_it(tmp_path: Path) -> None:
    until, late = datetime(2025, 3, 1), datetime(2025, 3, 20)
    first = seen(LARGE, until, tmp_path)
    final = restricted(seen(LARGE, late, tmp_path), late)["user_emails"].slice(0, first["user_emails"].num_rows)
    changed = first["user_emails"]["unsubscribed"].to_numpy() != final["unsubscribed"].to_numpy()
    assert 5 <= changed.sum() < 50
    assert set(final["unsubscribed"].to_numpy()[changed]) == {"yes"}
    assert first["user_emails"]["delivered_at"].to_numpy()[changed].min() > np.datetime64(until - WEEK)
    # A week later all of them are known.
    week = seen(LARGE, until + WEEK, tmp_path)["user_emails"].slice(0, len(changed))
    assert week.equals(final)


def test_by_default_the_whole_history_is_seen(tmp_path: Path) -> None:
    write(SMALL, tmp_path / "default")
    write(SMALL, tmp_path / "end", until=datetime(2026, 1, 1))
    for name in TABLES:
        assert (tmp_path / "default" / f"{name}.parquet").read_bytes() == (
            tmp_path / "end" / f"{name}.parquet"
        ).read_bytes()


def test_a_send_is_seen_only_after_its_own_instant(tmp_path: Path) -> None:
    times = np.sort(history(SMALL)["delivered_at"].to_numpy())
    instant = times[9_000]
    at = seen(SMALL, instant.item(), tmp_path)["user_emails"]["delivered_at"].to_numpy()
    after = seen(SMALL, instant.item() + timedelta(seconds=1), tmp_path)["user_emails"]["delivered_at"].to_numpy()
    assert at.max() < instant == after.max()
    assert len(after) - len(at) == np.count_nonzero(times == instant)


def test_a_world_without_a_past_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in order"):
        write(SMALL, tmp_path, until=datetime(2024, 12, 30))
    assert not list(tmp_path.iterdir())
