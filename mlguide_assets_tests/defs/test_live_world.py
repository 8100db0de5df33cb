"""A world whose clock runs, through the assets: days arrive, and the day to score for is the world's."""

import json
from pathlib import Path

import pytest
import yaml

from mlguide_assets.settings import Home
from mlguide_assets_tests.commands import python
from mlguide_assets_tests.samples import PROBLEM

SOURCE = {"kind": "simulator", "sends": 3000, "days": 60, "live": {"start": "2024-02-01", "day_every": "24h"}}
STEPS = ["", "2024-02-04", "2024-03-01"]
READ = f"""
import json, os
import dagster as dg
from mlguide_assets.definitions import defs
from mlguide_assets.defs.days import newest_day
from mlguide_assets.defs.workspace import Workspace
job = defs().resolve_implicit_global_asset_job_def()
for step in {STEPS}:
    os.environ["MLGUIDE_WORLD_TIME"] = step
    with dg.DagsterInstance.ephemeral() as instance:
        tables = [dg.AssetKey(name) for name in ("user_profiles", "email_content", "user_emails", "contract_results", "quarantined_rows")]
        result = job.execute_in_process(asset_selection=tables, instance=instance)
        (made,) = [each for each in result.asset_materializations_for_node("ingest") if each.asset_key.path == ["user_emails"]]
        world = {{key: value.value for key, value in made.metadata.items() if key.startswith("world")}}
        newest = Workspace().lake.read("user_emails").delivered_at.max().to_pyarrow().as_py()
        logs = [record.user_message for record in instance.all_logs(result.run_id)]
    print("READ", json.dumps([world, str(newest_day(Workspace())), str(newest.date()), [line for line in logs if "the world" in line]]))
    print("CLOCK", Workspace().home.simulation_clock("sample_simulated").read_text().replace("\\n", " "))
"""  # noqa: E501


@pytest.mark.slow
def test_days_arrive_and_the_scoring_date_is_the_worlds(tmp_path: Path) -> None:
    given = {"MLGUIDE_HOME": str(tmp_path), "MLGUIDE_PROBLEM": yaml.safe_dump({**PROBLEM, "source": SOURCE})}
    done = python(READ, cwd=tmp_path, **given)
    assert done.code == 0, done.err[-2000:]
    read = [json.loads(line[5:]) for line in done.out.splitlines() if line.startswith("READ ")]
    assert [newest for _, _, newest, _ in read] == ["2024-01-31", "2024-02-03", "2024-02-29"]
    assert [scored for _, scored, _, _ in read] == ["2024-02-01", "2024-02-04", "2024-03-01"]
    assert [world["world_seen_until"][:10] for world, *_ in read] == [scored for _, scored, _, _ in read]
    assert [world["world_ended"] for world, *_ in read] == [False, False, True]
    assert {world["world_ends"] for world, *_ in read} == {"2024-03-01"}
    assert [len(logs) for *_, logs in read] == [1, 1, 1]
    assert read[0][3] == ["the world is seen until 2024-02-01 00:00, of days until 2024-03-01"]
    assert "has ended on 2024-03-01 and its clock has stopped" in read[-1][3][0]
    kept = json.loads(Home(tmp_path).simulation_clock("sample_simulated").read_text())
    clocks = [json.loads(line[6:]) for line in done.out.splitlines() if line.startswith("CLOCK ")]
    # The first step reads the clock; the others are given the time, and leave it alone.
    assert clocks == [kept] * len(STEPS)
    assert kept["start"] == "2024-02-01"
