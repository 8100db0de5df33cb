"""A person decides on versions, and checks what was decided: `mlguide promote`, `rollback`, `history`, `reproduce`."""

from typing import Annotated

import typer

from mlguide_assets.cli.common import HomeOption, JsonOption, handle_errors
from mlguide_assets.settings import Home

commands = typer.Typer()

VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="A registered version; 'mlguide history' lists those decided on.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why; kept in the record of decisions. Required.", show_default=False)
]


@commands.command(rich_help_panel="Decide")
@handle_errors
def promote(
    number: VersionArgument,
    reason: ReasonOption = "",
    home: HomeOption = None,
) -> None:
    """Make a version champion by hand: one that waits for approval, or one that the gate did not promote.

    Example: mlguide promote 2 --reason "I have read its card."
    """
    from mlguide_assets.console.decide import promote as promote_version

    promote_version(Home.locate(home), number, reason)


@commands.command(rich_help_panel="Decide")
@handle_errors
def rollback(
    reason: ReasonOption = "",
    to: Annotated[
        str | None, typer.Option("--to", help="An earlier champion. Default: the one before.", show_default=False)
    ] = None,
    home: HomeOption = None,
) -> None:
    """Go back to an earlier champion, at once; only 'mlguide promote' brings back the one that is left.

    Example: mlguide rollback --reason "Complaints have doubled since noon."
    """
    from mlguide_assets.console.decide import rollback as roll_back

    roll_back(Home.locate(home), to, reason)


@commands.command(rich_help_panel="Look")
@handle_errors
def history(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show every decision: when, which version, what, from which champion, by whom, why."""
    from mlguide_assets.console.decide import show_history

    show_history(Home.locate(home), as_json)


@commands.command(rich_help_panel="Decide")
@handle_errors
def reproduce(
    number: VersionArgument,
    home: HomeOption = None,
) -> None:
    """Train a version again from what it was trained from, and compare it byte by byte; nothing is changed.

    Exits 0 where model, predictions and metrics are identical, 1 where anything differs.

    Example: mlguide reproduce 1
    """
    from mlguide_assets.console.decide import reproduce as reproduce_version

    raise typer.Exit(0 if reproduce_version(Home.locate(home), number) else 1)
