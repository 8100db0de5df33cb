"""`mlguide replay`, from the command line to its JSON and page, on a small world for one day."""

from pathlib import Path

import pytest

from mlguide_assets.console.replay import replay
from mlguide_assets.errors import InputError
from mlguide_assets_tests.commands import mlguide

SCENARIO = """\
name: a_column_is_lost
statement: The countries arrive empty.
plants:
  - {day: 1, what: empty_column, table: user_profiles, column: country}
"""
SERVICES = {
    "MLGUIDE_TRACKING_URI": "http://127.0.0.1:9",
    "MLGUIDE_ONLINE_STORE": "redis://127.0.0.1:9/0",
    "MLGUIDE_ALERT_WEBHOOK": "http://127.0.0.1:9/hook",
}
"""Set up for real work, where nobody answers: a replay that asked the registry or the store would fail."""

KEYS = (
    "days scenario seed events false_alarms retrainings promotions rollbacks harmful_days experiment saved_per_1000 "
    "regret_per_1000 seconds"
)


@pytest.mark.slow
def test_what_is_planted_is_noticed_and_nothing_else_is_an_alarm(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SCENARIO)
    asked = ("--days", "1", "--sends", "8000", "--scenario", "mine.yaml", "--json", "--out", "page.html")
    done = mlguide("replay", *asked, cwd=tmp_path, **SERVICES)
    assert done.code == 0, done.err
    assert done.err.startswith("day   0  the first training …"), "it takes longer than ten days that are printed"
    found = done.json()
    assert list(found) == KEYS.split()
    events = [(event["day"], event["kind"], event["about"]) for event in found["events"]]
    assert (1, "planted", "planted") in events
    assert (1, "noticed", "data") in events
    assert found["false_alarms"] == 0
    assert found["saved_per_1000"]["truth"] is not None
    page = (tmp_path / "page.html").read_text()
    assert "user_profiles.country arrives empty" in page
    assert "http" not in page.split("</style>")[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml", "page.html"]


def test_a_home_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "problem.yaml").write_text("name: mine")
    with pytest.raises(InputError, match="is in use, and a replay needs a new one"):
        replay(days=1, scenario="calm", seed=7, sends=None, home=tmp_path, out=None, as_json=True)


def test_a_page_must_be_html(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a file ending in \.html"):
        replay(days=1, scenario="calm", seed=7, sends=None, home=None, out=tmp_path / "page.txt", as_json=True)
