"""A home of the default problem as its sensors find it: rows as the assets write them, and runs that there were."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from mlguide_assets.defs.workspace import PROBLEM, Workspace
from mlguide_assets.deploy.gate.history import record
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.observe.drift.data_drift import SCHEMA as DRIFT
from mlguide_assets.observe.performance.verdict import VERDICTS_SCHEMA
from mlguide_assets.prepare.lake.small_tables import small_table

REACHED = date(2026, 1, 10)
"""The day that has begun, where a test says no other: the one before is the last that has landed."""
DAY = timedelta(days=1)


class House:
    """Writes what assets would write, records runs as the daemon would, and has sensors look at both."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.workspace, self.instance = Workspace(root=str(folder)), instance
        self.home, self.lake = self.workspace.home, self.workspace.lake
        self.cursors: dict[str, str | None] = {}

    def land(
        self, days: int = 30, rows: int = 10, *, last: date = REACHED - DAY, known: int | None = None, unknown: int = 0
    ) -> None:
        """Days up to the last one, each with the same number of decisions, on which its digest depends.

        Args:
            known: how many of those that have matured have an outcome; default: all.
            unknown: how many of the last matured days have no known outcome.
        """
        landed = [last - back * DAY for back in range(days)][::-1]
        matured = [rows if last - day > PROBLEM.label.window else 0 for day in landed]
        columns = {"day": landed, "rows": [rows] * days, "digest": [str(rows)] * days}
        first_unknown = last - PROBLEM.label.window - unknown * DAY
        found = [0 if day >= first_unknown else count for day, count in zip(landed, matured, strict=True)]
        columns |= {"matured": matured, "known": found if known is None else [min(known, each) for each in found]}
        self.lake.write("landed_days", pa.table({**columns, "outcomes": pa.nulls(days, pa.string())}))
        self.lake.write("user_emails", pa.table({"user_id": [rows]}))

    def train(self, until: date) -> None:
        """A candidate that has learned up to a day, and was decided on."""
        at, facts = f"{until} 12:00", json.dumps({"refit_until": until.isoformat()})
        self.lake.write("candidate_model", pa.table({"trained_at": [at], "facts": [facts]}))
        record(
            self.lake,
            version="3",
            trained_at=at,
            verdict="refused",
            reasons=["So it was decided."],
            champion_before=None,
            decided_by="gate",
        )

    def install(self, version: str = "3", reference_ends: date = date(2026, 1, 7)) -> None:
        """A champion whose reference for drift ends on a day."""
        bundles = self.home.bundles(PROBLEM.key)
        (bundles / version).mkdir(parents=True)
        (bundles / version / "metadata.json").write_text(json.dumps({"test_last": reference_ends.isoformat()}))
        (bundles / "champion.json").write_text(json.dumps({"version": version, "manifest": "0" * 64}))

    def note_drift(self, day: date, level: str, *, version: str = "3") -> None:
        """A day whose sends as a whole, scores, and most important feature drift as much as `level` says."""
        shared = {"day": day.isoformat(), "source": "sends", "model_version": version, "level": level, "rows": 900}
        rows = [
            {**shared, "column": column, "importance": 1.0, "reason": f"It is {level}."}
            for column in ("(all)", "probability", "theme")
        ]
        self.lake.write_partition("data_drift", day.isoformat(), small_table(rows, DRIFT))

    def measure(self, *verdicts: str) -> None:
        """Verdicts on the champion's performance, of one window a day."""
        rows = [
            {"day": f"2026-01-{at + 1:02d}", "window_days": 7, "verdict": verdict, "difference": -0.1,
             "reason": f"It has {verdict}."}
            for at, verdict in enumerate(verdicts)
        ]  # fmt: skip
        table = small_table(rows, VERDICTS_SCHEMA)
        version = pa.array(["3"] * len(rows), pa.string())
        self.lake.write("performance_verdicts", table.append_column("model_version", version))

    def run(self, job: str, *, fails: bool | Exception = False, **tags: str) -> Any:
        """A run of a job, which has ended: with an error where it fails."""
        return _job(job, fails).execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def materialise(self, *names: str, day: date, job: str | None = None, fails: bool = False) -> None:
        """A run of assets for a day: those of a job, or as a person or a backfill chooses them."""
        days, made = dg.DailyPartitionsDefinition(start_date=f"{day}"), _fail if fails else _work
        assets = [dg.asset(name=name, partitions_def=days)(made) for name in names]
        found = dg.Definitions(assets, jobs=[dg.define_asset_job(job)] if job else [])
        run = found.resolve_job_def(job) if job else found.resolve_implicit_global_asset_job_def()
        # A job says by itself what it makes.
        chosen = None if job else [dg.AssetKey(name) for name in names]
        run.execute_in_process(
            instance=self.instance, partition_key=f"{day}", asset_selection=chosen, raise_on_error=False
        )

    def begin(self, job: str, **tags: str) -> dg.DagsterRun:
        """A run of a job that goes on."""
        return self.instance.create_run_for_job(_job(job), tags=tags, status=dg.DagsterRunStatus.STARTED)

    def look(self, sensor: Any) -> list[Any]:
        """What a sensor answers, with the cursor that it left: requests for runs, or the reason for none."""
        cursor, resources = self.cursors.get(sensor.name), {"workspace": self.workspace}
        with dg.build_sensor_context(self.instance, cursor=cursor, resources=resources) as context:
            answer = sensor(context)
            answers = [answer] if isinstance(answer, dg.RunRequest | dg.SkipReason) else list(answer)
            self.cursors[sensor.name] = context.cursor
        return answers

    def requested(self, sensor: Any) -> list[dg.RunRequest]:
        """The runs that a sensor requests; where there are none, it has said why."""
        answers = self.look(sensor)
        assert all(each.skip_message for each in answers if isinstance(each, dg.SkipReason))
        assert answers
        return [each for each in answers if isinstance(each, dg.RunRequest)]

    def tick(self, schedule: Any) -> Any:
        """What a schedule that follows the world answers on the day that has been reached."""
        self.cursors[schedule.name] = (REACHED - DAY).isoformat()
        (answer,) = self.look(schedule)
        return answer

    def tell_of_failure(self, sensor: Any, run: Any) -> None:
        """Have a sensor look at the end of a run that failed."""
        (event,) = [each for each in run.all_events if each.event_type == dg.DagsterEventType.RUN_FAILURE]
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=event,
            dagster_instance=self.instance,
            dagster_run=run.dagster_run,
            resources={"workspace": self.workspace},
        )
        sensor(context.for_run_failure())

    def look_at_runs(self, *sensors: Any) -> None:
        """Have sensors of runs look at those that have ended since their last look, in any code location."""
        for sensor in sensors:
            context = dg.build_sensor_context(
                self.instance,
                cursor=self.cursors.get(sensor.name),
                # A name that the runs do not have.
                repository_name="__repository__",
                resources={"workspace": self.workspace},
            )
            self.cursors[sensor.name] = sensor.evaluate_tick(context).cursor

    @property
    def incidents(self) -> list[str]:
        return [incident.key for incident in book_of(self.home, PROBLEM).incidents()]


def _job(name: str, fails: bool | Exception = False) -> dg.JobDefinition:
    def ingest() -> None:
        if isinstance(fails, Exception):
            # As libraries do: what a person is to read is what it was raised from.
            raise ValueError("a step failed") from fails
        if fails:
            _fail()

    return dg.GraphDefinition(name=name, node_defs=[dg.op(ingest)]).to_job(name=name)


def _work() -> None:
    pass


def _fail() -> None:
    raise RuntimeError("the source is down")
