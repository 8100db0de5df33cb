"""`mlguide experiment …`: one thin command per verb."""

import typer

experiment = typer.Typer(
    name="experiment",
    no_args_is_help=True,
    help="Plan, run and read experiments; analyse the data of any experiment, without a home.",
)
