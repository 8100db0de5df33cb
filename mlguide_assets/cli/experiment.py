"""`mlguide experiment …`: one thin command per verb."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mlguide_assets.cli.common import JsonOption, told
from mlguide_assets.errors import InputError

experiment = typer.Typer(
    name="experiment",
    no_args_is_help=True,
    help="Plan, run and read experiments; analyse the data of any experiment, without a home.",
)


@experiment.command("off-policy")
@told
def off_policy(
    data: Annotated[Path, typer.Option(help="CSV or Parquet file, or a folder of parts: a row per logged decision.")],
    action: Annotated[str, typer.Option(help="Column of the action that was taken.")],
    reward: Annotated[str, typer.Option(help="Column of what came of it: a number.")],
    propensity: Annotated[
        str, typer.Option(help="Column of the probability with which that action was taken, above 0.")
    ],
    target: Annotated[
        Literal["uniform"] | None,
        typer.Option(help="The policy to evaluate: every logged action with equal probability.", show_default=False),
    ] = None,
    target_column: Annotated[
        str | None,
        typer.Option(
            help="Or the column that holds it: its probability of the logged action (numbers from 0 to 1), or the "
            "action that it would take.",
            show_default=False,
        ),
    ] = None,
    target_kind: Annotated[
        Literal["probability", "action"] | None,
        typer.Option(help="What --target-column holds, where it could be either.", show_default=False),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="Column of whose decision it is. Default: every row is independent.", show_default=False),
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that was known beforehand, for the outcome model of DR; repeat for more. Without one, the "
            "model is the mean of each action.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate what a policy would be worth, from decisions logged with known probabilities. Needs no home.

    Estimators: IPS, SNIPS, DR. Where the log holds too little of what the policy would do, the estimates are withheld
    and the reason is given, which is an answer: exit code 0.
    """
    if (target is None) == (target_column is None):
        raise InputError("Name the policy to evaluate with either --target uniform or --target-column COLUMN.")
    if target_kind and not target_column:
        raise InputError("--target-kind says what --target-column holds, which is not given.")
    from mlguide_assets.console.off_policy import show_off_policy
    from mlguide_assets.experiment.off_policy.reading import LogFile

    columns = LogFile(data, action, reward, propensity, target_column, target_kind, unit, tuple(context or ()))
    show_off_policy(columns, as_json)
