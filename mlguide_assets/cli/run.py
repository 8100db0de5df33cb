"""`mlguide run`, and what comes before and after it: `init`, `check` and `status`."""

from pathlib import Path
from typing import Annotated

import typer

from mlguide_assets.cli.common import HomeOption, JsonOption, handle_errors
from mlguide_assets.console.interruption import ends_when_asked
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home

commands = typer.Typer()


@commands.command(rich_help_panel="Begin")
@handle_errors
def run(
    problem: Annotated[
        str | None,
        typer.Option(
            help="The name of one of this home, a shipped problem (planeswalker, guide, fraud, journey_churn), or the "
            "path of a problem file. Default: the one this home worked on last, else planeswalker.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Read the tables of the problem from here instead: a folder, an http(s) URL prefix, or a database URI "
            "such as postgresql://user@host/db.",
            show_default=False,
        ),
    ] = None,
    sends: Annotated[int | None, typer.Option(help="Size of the simulated world.", show_default=False)] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="What computes the large tables: duckdb, or spark, where MLGUIDE_SPARK says "
            "(local[2], spark://host:7077, sc://host:15002).",
            show_default=False,
        ),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="First search for a better recipe: backtest of the training window, tuning. Minutes."
        ),
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Materialise the whole graph: read, check, join, train, evaluate, decide, score.

    Exit codes: 0 also when the gate refuses the model, which is an answer; 2 for bad input, which changes nothing; 1
    for any other failure.

    Example: mlguide run --problem fraud

    Example: mlguide run --source path/to/folder
    """
    place = Home.locate(home)
    with ends_when_asked():
        from mlguide_assets.console.run import choose_problem
        from mlguide_assets.console.run import run as run_all

        run_all(place, choose_problem(place, problem, source, sends, engine), thorough=thorough)
    _show(place, as_json)


@commands.command(rich_help_panel="Begin")
@handle_errors
def init(
    source: Annotated[
        str | None,
        typer.Option(
            help="A folder of CSV or Parquet files, or a database URI such as postgresql://user@host/db.",
            show_default=False,
        ),
    ] = None,
    old: Annotated[
        Path | None,
        typer.Option("--from", help="Instead: a problem file in the old form, to be rewritten.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write. Default: called like the source, here.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Draft a problem file from tables: entities, events, keys, references, times, and what could be predicted.

    Each line has the evidence for it as a comment; lines with '# ?' are guesses to check. Nothing is trained.

    Example: mlguide init --source data/shop --out shop.yaml
    """
    from mlguide_assets.console.init import convert_to, draft_to

    if (source is None) == (old is None):
        raise InputError("Give --source, a folder or database to draft from, or --from, a file to rewrite.")
    if old is not None:
        convert_to(old, out, force=force)
    else:
        draft_to(str(source), out, force=force)


@commands.command(rich_help_panel="Begin")
@handle_errors
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A problem file, or the name of a shipped problem.")],
    source: Annotated[
        str | None, typer.Option(help="Read the tables from this folder or database instead.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a problem file would train on, without training: rows, positives, features, days, what is wrong.

    Exits 2 when the file or the source is bad, or the contract blocks it.

    Example: mlguide check payment.yaml --source payments
    """
    from mlguide_assets.console.check import check as check_file

    check_file(file, source, as_json=as_json)


@commands.command(rich_help_panel="Look")
@handle_errors
def status(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show the state of this home: champion, last decision, quality, contract, tables."""
    place = Home.locate(home)
    place.require_used()
    _show(place, as_json)


def _show(home: Home, as_json: bool) -> None:
    from mlguide_assets.console.status import collect
    from mlguide_assets.console.status_text import print_status
    from mlguide_assets.console.terminal import print_json, screen

    value = collect(home)
    if as_json:
        print_json(value)
    else:
        print_status(value, home, screen)
