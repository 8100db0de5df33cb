"""`mlguide canary …`: a version that goes live step by step, as a person sees and stops it."""

from typing import Annotated

import typer

from mlguide_assets.cli.common import Commands, HomeOption, JsonOption, handle_errors
from mlguide_assets.settings import Home

canary = typer.Typer(
    name="canary",
    cls=Commands,
    no_args_is_help=True,
    help="See and stop a model version that goes live for few units first.",
)


@canary.command()
@handle_errors
def status(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show how far the canary is: version, share of the units, counts, and why it goes on, pauses or ended."""
    from mlguide_assets.console.canary import show_canary

    show_canary(Home.locate(home), as_json)


@canary.command()
@handle_errors
def stop(
    reason: Annotated[str, typer.Option("--reason", help="Why: it is kept in the record.", show_default=False)],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Stop the canary: running servers answer its units by the champion at once, and the version does not come back.

    Example: mlguide canary stop --reason "Support reports wrong emails."
    """
    from mlguide_assets.console.canary import stop

    stop(Home.locate(home), reason, as_json)
