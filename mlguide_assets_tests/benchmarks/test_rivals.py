"""The benchmark compares equal work: our features, the hand-written SQL and the pandas code agree."""

from pathlib import Path

import pandas as pd

from mlguide_assets_tests.benchmarks.features import main


def test_all_ways_give_the_same_features(tmp_path: Path) -> None:
    for way in ("prepare", "ours", "sql", "pandas"):
        main(way, tmp_path, 3_000)
    ours, sql, pandas = (pd.read_parquet(tmp_path / f"{way}.parquet") for way in ("ours", "sql", "pandas"))
    assert len(ours) > 3_000
    assert ours.number_of_emails.max() > 10
    pd.testing.assert_frame_equal(ours, sql)
    pd.testing.assert_frame_equal(ours, pandas, check_dtype=False)
