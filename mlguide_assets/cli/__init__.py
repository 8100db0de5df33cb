"""`mlguide …`: one thin command per verb. Heavy imports happen inside the commands."""

from importlib.metadata import version
from typing import Annotated

import typer

from mlguide_assets.cli import decide, operate, run
from mlguide_assets.cli.canary import canary
from mlguide_assets.cli.common import Commands
from mlguide_assets.cli.experiment import experiment

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
# Without a name: their commands are those of `mlguide` itself, and the help has them in this order.
for verbs in (run.commands, decide.commands, operate.commands):
    app.add_typer(verbs)
app.add_typer(experiment, rich_help_panel="Experiment")
app.add_typer(canary, rich_help_panel="Experiment")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlguide {version('mlguide')}")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """The machine-learning lifecycle as a Dagster asset graph, from the definition of a problem to retraining."""
