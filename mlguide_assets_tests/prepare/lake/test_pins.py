"""Pinned snapshots: what keeps them, what lets them go, and what a crash leaves."""

import contextlib
import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import remove_left
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets_tests.prepare.lake.tables import numbers, values


def test_a_pinned_snapshot_survives_ten_writes_and_counts_for_none_of_the_kept(local: Lake) -> None:
    written = [local.write("t", numbers(number)) for number in range(2)]
    local.pin("t", written[0].id, "champion")
    written += [local.write("t", numbers(number)) for number in range(2, 12)]
    assert local.pinned("t") == {"champion": written[0].id}
    assert local.history("t") == [written[0], *written[-5:]]
    assert values(local, snapshot_id=written[0].id) == [0]
    assert local.read_arrow("t", snapshot_id=written[0].id) == numbers(0)
    assert len(list((local.root / "t" / "data").iterdir())) == 6
    # Another process finds the same.
    assert Lake(local.root).history("t") == local.history("t")


def test_every_partition_of_a_pinned_snapshot_stays(local: Lake) -> None:
    local.write_partition("t", "a", numbers(1))
    pinned = local.write_partition("t", "b", numbers(2))
    local.pin("t", pinned.id, "champion")
    for number in range(10):
        local.write_partition("t", "ab"[number % 2], numbers(100 + number))
    assert values(local, snapshot_id=pinned.id) == [1, 2]


def test_the_current_snapshot_can_be_pinned_and_another_is_still_kept(tmp_path: Path) -> None:
    lake = Lake(tmp_path, keep=1)
    written = []
    for number in range(4):
        written.append(lake.write("t", numbers(number)))
        if number == 1:
            lake.pin("t", written[1].id, "champion")
    assert lake.history("t") == [written[1], written[3]]


def test_an_unpinned_snapshot_goes_at_the_next_write(local: Lake) -> None:
    first = local.write("t", numbers(0))
    for reason in ("champion", "challenger 2"):
        local.pin("t", first.id, reason)
    for number in range(1, 9):
        local.write("t", numbers(number))
    local.unpin("t", "champion")
    local.write("t", numbers(9))
    assert values(local, snapshot_id=first.id) == [0]
    local.unpin("t", "challenger 2")
    local.unpin("t", "challenger 2")
    assert local.pinned("t") == {}
    assert values(local, snapshot_id=first.id) == [0]
    local.write("t", numbers(10))
    with pytest.raises(MissingTableError, match="There is no snapshot '000001"):
        local.read("t", snapshot_id=first.id)
    assert len(list((local.root / "t" / "data").iterdir())) == 5


def test_a_reason_pins_one_snapshot_and_moves_when_pinned_again(lake: Lake) -> None:
    written = []
    for number in range(7):
        written.append(lake.write("t", numbers(number)))
        lake.pin("t", written[-1].id, "champion")
    assert lake.pinned("t") == {"champion": written[-1].id}
    written.append(lake.write("t", numbers(7)))
    # The pinned one, which is the last but one, and five others.
    assert lake.history("t") == written[2:]


def test_a_snapshot_that_is_gone_or_never_was_cannot_be_pinned(local: Lake) -> None:
    with pytest.raises(MissingTableError, match="There is no snapshot '1' of table 't'"):
        local.pin("t", "1", "champion")
    assert not local.root.exists()
    written = [local.write("t", numbers(number)) for number in range(6)]
    folder = local.root / "t" / "snapshots"
    # What a crash kept from becoming current.
    current = (folder / f"{written[-1].id}.json").read_text()
    orphan = current.replace('"sequence": 6', '"sequence": 7').replace(written[-1].id, "000007-ffffffffffff")
    (folder / "000007-ffffffffffff.json").write_text(orphan)
    for gone in (written[0].id, "000007-ffffffffffff", "../current"):
        with pytest.raises(MissingTableError, match="There is no snapshot"):
            local.pin("t", gone, "champion")
    assert local.pinned("t") == {}


@pytest.mark.parametrize("reason", ["", ".", "..", ".hidden", "a/b", "../current", "/etc/x"])
def test_a_reason_is_a_plain_name(lake: Lake, reason: str) -> None:
    snapshot = lake.write("t", numbers(1))
    for refused in (lambda: lake.pin("t", snapshot.id, reason), lambda: lake.unpin("t", reason)):
        with pytest.raises(ValueError, match="is a plain name"):
            refused()
    assert values(lake) == [1]


@pytest.mark.parametrize("content", [b"", b"000001-0123", b"\xff\x00", None])
def test_a_damaged_pin_is_said_before_a_writer_lets_go_what_it_kept(local: Lake, content: bytes | None) -> None:
    first = local.write("t", numbers(0))
    local.pin("t", first.id, "learned")
    pin = local.root / "t" / "pins" / "learned"
    pin.unlink()
    if content is None:
        pin.mkdir()
    else:
        pin.write_bytes(content)
    for ask in (lambda: local.pinned("t"), lambda: local.write("t", numbers(1))):
        with pytest.raises(InputError, match=f"{pin} is damaged, .*: restore it from a backup, or remove it"):
            ask()
    assert values(local) == [0]
    remove_left(pin)
    local.write("t", numbers(1))
    assert values(local) == [1]


def test_unpinning_what_nobody_pinned_makes_nothing(lake: Lake) -> None:
    lake.unpin("t", "champion")
    assert lake.pinned("t") == {}
    assert not lake.root.exists()


def pin_and_die(root: Path, snapshot_id: str) -> None:
    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Path.replace = die  # type: ignore[method-assign, assignment]
    Lake(root).pin("t", snapshot_id, "champion")


def test_a_pin_killed_half_way_leaves_the_one_before_and_no_rubbish_after_the_next_write(local: Lake) -> None:
    first, second = local.write("t", numbers(1)), local.write("t", numbers(2))
    local.pin("t", first.id, "champion")
    # Spawned rather than forked, since a fork would share DuckDB's threads.
    process = multiprocessing.get_context("spawn").Process(target=pin_and_die, args=(local.root, second.id))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    pins = local.root / "t" / "pins"
    assert len(list(pins.iterdir())) == 2
    assert local.pinned("t") == {"champion": first.id}
    local.write("t", numbers(3))
    assert [path.name for path in pins.iterdir()] == ["champion"]


def test_pins_moved_while_another_writes_and_cleans_always_lead_to_whole_snapshots(tmp_path: Path) -> None:
    lake, moved = Lake(tmp_path, keep=1), 0
    lake.pin("t", lake.write("t", numbers(0)).id, "moving")
    with ThreadPoolExecutor(1) as pool:
        writes = pool.submit(lambda: [Lake(tmp_path, keep=1).write("t", numbers(number)) for number in range(1, 60)])
        while not writes.done():
            # Who looks first and pins then may come too late, and is told.
            with contextlib.suppress(MissingTableError):
                lake.pin("t", lake.snapshot("t").id, "moving")
                moved += 1
            assert lake.read_arrow("t", snapshot_id=lake.pinned("t")["moving"]).num_rows == 1
        writes.result()
    assert moved > 0
