from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlguide_assets.prepare.simulator import generate
from mlguide_assets.prepare.simulator.generate import email_content, user_profiles, write
from mlguide_assets_tests.prepare.simulator.worlds import SMALL, history

FILES = {"user_profiles.parquet", "email_content.parquet", "user_emails.parquet", "oracle.parquet"}


def test_writes_the_history_in_order_of_time(tmp_path: Path) -> None:
    rows = write(SMALL, tmp_path / "new" / "folder")
    out = tmp_path / "new" / "folder"
    assert {path.name for path in out.iterdir()} == FILES
    assert pq.read_table(out / "user_profiles.parquet").equals(user_profiles(SMALL))
    assert pq.read_table(out / "email_content.parquet").equals(email_content(SMALL))
    ordered = history(SMALL).sort_by([("delivered_at", "ascending"), ("user_id", "ascending")])
    sent, oracle = pq.read_table(out / "user_emails.parquet"), pq.read_table(out / "oracle.parquet")
    assert sent.equals(ordered.select(["user_id", "email_id", "unsubscribed", "delivered_at"]))
    truth = ["user_id", "email_id", "delivered_at", "probability", "unsubscribed_at"]
    assert oracle.equals(ordered.select(truth))
    assert rows == {path.stem: pq.read_metadata(path).num_rows for path in out.iterdir()}


def test_equal_worlds_give_equal_bytes(tmp_path: Path) -> None:
    write(SMALL, tmp_path / "one")
    write(SMALL, tmp_path / "two")
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_many_buckets_hold_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(SMALL, tmp_path / "one")
    monkeypatch.setattr(generate, "_ROWS_PER_BUCKET", 700)
    monkeypatch.setattr(generate, "_BLOCK_SENDS", 1)
    write(SMALL, tmp_path / "many")
    for name in FILES:
        assert pq.read_table(tmp_path / "many" / name).equals(pq.read_table(tmp_path / "one" / name))


def test_progress_rises_to_one(tmp_path: Path) -> None:
    shares: list[float] = []
    write(SMALL, tmp_path, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 2


@pytest.mark.parametrize("at", [0.1, 0.9], ids=["generating", "sorting"])
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path, at: float) -> None:
    (tmp_path / "user_emails.parquet").write_bytes(b"of yesterday")

    def full_disk(share: float) -> None:
        if share >= at:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        write(SMALL, tmp_path, full_disk)
    assert [path.name for path in tmp_path.iterdir()] == ["user_emails.parquet"]
    assert (tmp_path / "user_emails.parquet").read_bytes() == b"of yesterday"
