"""What a home is used for once it has a model, and worlds to try it on: from `mlguide report` to `mlguide serve`."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mlguide_assets.cli.common import HomeOption, JsonOption, handle_errors, join_hosts
from mlguide_assets.console.interruption import ends_when_asked
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home, shared_address

commands = typer.Typer()

NoHomeOption = Annotated[
    Path | None, typer.Option("--home", help="Accepted, but nothing is read or written there.", hidden=True)
]


@commands.command(rich_help_panel="Look")
@handle_errors
def report(
    out: Annotated[Path, typer.Option(help="A file ending in .html; replaced if it exists.")] = Path("report.html"),
    home: HomeOption = None,
) -> None:
    """Write all that is known of the model in production as one HTML page.

    Champion and its history, performance realised and estimated, drift by feature and day, retraining and
    incidents on one time line, the health of the API. It is read from what 'mlguide run', 'mlguide ui' and
    'mlguide serve' have left in the home. Nothing is recomputed, and the page says what was never run.
    The page makes no network requests, so it can be mailed.
    """
    from mlguide_assets.console.report import write_page

    write_page(Home.locate(home), out)


@commands.command(rich_help_panel="Look")
@handle_errors
def alerts(
    acknowledge: Annotated[
        str | None,
        typer.Option(
            "--acknowledge",
            metavar="ID",
            help="Say that you are on it: no reminders until it is resolved.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the open alerts, those with the largest effect on the cost of decisions first, each with what to do."""
    from mlguide_assets.console.alerts import show_alerts

    show_alerts(Home.locate(home), acknowledge, as_json)


@commands.command(
    rich_help_panel="Operate",
    # Which options name an entity follows from the problem of the home.
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="--NOUN ID [OPTIONS]",
)
@handle_errors
def forget(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    store: Annotated[
        str | None,
        typer.Option(help="Online store, as of 'mlguide serve'. Default: $MLGUIDE_ONLINE_STORE.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Remove one entity from everything that is kept here, permanently, and list the models that learned from it.

    --NOUN is an entity of the problem: mlguide forget --user 7. Tables with all their snapshots, features, online
    stores, prediction log, quarantined rows, logs and reports, of this and of all problems of the home that read it
    from the same tables. Later ingests leave it out. Interrupted, it is completed by running it again.
    """
    from mlguide_assets.console.forget import forget_one

    forget_one(Home.locate(home), context.args, yes=yes, as_json=as_json, store=store)


@commands.command(rich_help_panel="Simulate")
@handle_errors
def simulate(
    out: Annotated[
        Path, typer.Option(help="Folder for the Parquet files. It is created if missing; its parent must exist.")
    ],
    problem: Annotated[
        str, typer.Option(help="Whose world: planeswalker (emails), fraud (payments), or a problem file.")
    ] = "planeswalker",
    sends: Annotated[
        int | None,
        typer.Option(help="Number of sends or payments; default: as the problem says.", min=100, show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Another seed is another world; default: the problem's.", min=0, show_default=False),
    ] = None,
    home: NoHomeOption = None,  # noqa: ARG001 - `handle_errors` reads it
) -> None:
    """Write a simulated world: its tables, and the oracle that knows the truth."""
    from mlguide_assets.console.simulate import simulate_to

    simulate_to(out, problem, sends, seed)


@commands.command(rich_help_panel="Simulate")
@handle_errors
def replay(
    days: Annotated[int, typer.Option(help="Days to live through after the first training.", min=1, max=366)] = 90,
    scenario: Annotated[
        str,
        typer.Option(
            help="What is planted: calm, covariate_shift, concept_shift, broken_feed, better_challenger, "
            "harmful_challenger, experiment, or the path of a scenario file."
        ),
    ] = "calm",
    seed: Annotated[int, typer.Option(help="Another seed is another world.", min=0)] = 7,
    sends: Annotated[
        int | None, typer.Option(help="Size of the world's history; default 300,000.", min=100, show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write a page with the time line; ends in .html.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home", help="Keep everything in this new folder, to look at. Default: removed.", show_default=False
        ),
    ] = None,
) -> None:
    """Live through months in minutes, with planted events, and compare what the system did with the truth.

    The jobs and sensors are those of 'mlguide ui', on the simulated company: plan, sends, outcomes, drift, retraining,
    gate, experiment, promotion or rollback. At the end: each planted event, what was noticed and done about it, false
    alarms, and what the decisions were worth. The same scenario, days and seed give the same result.

    Example: mlguide replay --scenario concept_shift --out replay.html
    """
    with ends_when_asked():
        from mlguide_assets.console.replay import replay as replay_days

        replay_days(days=days, scenario=scenario, seed=seed, sends=sends, home=home, out=out, as_json=as_json)


@commands.command(rich_help_panel="Look")
@handle_errors
def export(
    table: Annotated[
        str | None, typer.Argument(help="A table of the lake. Without it, the tables are listed.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A file ending in .parquet or .csv, replaced if it exists; with --format, the name of a new folder. "
            "The folder around it must exist.",
            show_default=False,
        ),
    ] = None,
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Export this day.", show_default=False)] = None,
    all_days: Annotated[bool, typer.Option("--all", help="Export every day that is kept.")] = False,
    folder: Annotated[
        Literal["delta", "parquet"] | None,
        typer.Option(
            "--format",
            help="Write a folder for another engine: a Delta table, which gains a version if it exists, or Parquet "
            "files, one per partition.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write a table of the lake to a Parquet or CSV file, or to a folder for another engine.

    Tables that are written once per scoring day, such as predictions and plans, may hold every entity again for
    each day. The newest day is exported unless --day or --all is given. In CSV files, text that a spreadsheet
    would run as a formula is written behind an apostrophe; Parquet files hold the values as they are.

    Example: mlguide export send_plan --out plan.csv
    """
    from mlguide_assets.console.export import Which, export_table, list_tables, parse_day

    place = Home.locate(home)
    if table is None:
        if out or day or all_days or folder:
            raise InputError(
                "--out, --day, --all and --format say how one table is written: name it first, as 'mlguide export' "
                "alone lists them."
            )
        list_tables(place)
        return
    if out is None:
        example = f"folder to write, such as --out {table}" if folder else f"file to write, such as --out {table}.csv"
        raise InputError(f"--out is missing: name the {example}.")
    export_table(place, table, out, Which(None if day is None else parse_day(day), all_days), folder)


@commands.command(rich_help_panel="Operate")
@handle_errors
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 3000,
    home: HomeOption = None,
) -> None:
    """Open the Dagster UI on this home, with the daemon that does the daily work.

    It reads the source every retraining.refresh_every, scores and monitors every day that arrives, retrains when there
    is a reason, and raises alerts: 'mlguide alerts' lists them, and the webhook in MLGUIDE_ALERT_WEBHOOK gets them.

    It has no password: keep it on this machine. Requests must name a loopback host, the host given, or one in
    MLGUIDE_ALLOWED_HOSTS.
    """
    from mlguide_assets.console.ui import serve

    raise typer.Exit(serve(Home.locate(home), host, port))


def _join_or_wait(home: Home, arguments: Mapping[str, Any]) -> None:
    """Join the hosts; where their store is unreachable, wait for it, and answer requests with 503."""
    if shared_address() is None:
        return
    from mlguide_assets.deploy.serving.waiting import wait_for_store

    wait_for_store(lambda: join_hosts(home), host=arguments["host"], port=arguments["port"])


@commands.command(rich_help_panel="Operate")
@partial(handle_errors, join=_join_or_wait)
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer.", min=1, max=64)] = 1,
    store: Annotated[
        str | None,
        typer.Option(
            help="Online store for many hosts: redis://host:6379/0. Default: $MLGUIDE_ONLINE_STORE, else a file here.",
            show_default=False,
        ),
    ] = None,
    access_log: Annotated[bool, typer.Option(help="Log every request, not only what is out of the ordinary.")] = True,
    home: HomeOption = None,
) -> None:
    """Answer predictions over HTTP, with a playground on the same address.

    Each problem of the home is served below /problems/NAME/, and the one of its last run also without that; with
    --problem it is served alone.

    The form of a request follows from the problem: ids of entities, with candidates where a decision chooses, or the
    columns of an event, such as a payment. /openapi.json on the same address describes it, with examples that are
    answered.

    Callers must send the key that is in MLGUIDE_API_KEY, if it is set. A promotion or rollback reaches the running
    server within two seconds. Every answer is in the prediction log before it is sent; 'mlguide run' lands the log.

    Requests must name a loopback host, the host given, or one in MLGUIDE_ALLOWED_HOSTS, such as a proxy's name.
    """
    from mlguide_assets.deploy.serving.server import serve as serve_api

    serve_api(Home.locate(home), host=host, port=port, workers=workers, store=store, access_log=access_log)
