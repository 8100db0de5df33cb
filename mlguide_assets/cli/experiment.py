"""`mlguide experiment …`: one thin command per verb."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mlguide_assets.cli.common import Commands, HomeOption, JsonOption, handle_errors
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home

experiment = typer.Typer(
    name="experiment",
    cls=Commands,
    no_args_is_help=True,
    help="Plan, run and read experiments; analyse the data of any experiment, without a home.",
)


FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="'personalised', or the path of an experiment file.")]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Its name; 'mlguide experiment list' lists what was started.")
]


@experiment.command()
@handle_errors
def plan(file: FileArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Say how many units and days an experiment needs, and which effect it can detect. Nothing starts.

    Example: mlguide experiment plan personalised
    """
    from mlguide_assets.console.experiment import show_plan

    show_plan(Home.locate(home), file, as_json)


@experiment.command()
@handle_errors
def start(
    file: FileArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why now: it is kept in the record.")] = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Start an experiment: the next day that is planned assigns its units. It cannot be changed afterwards.

    Example: mlguide experiment start my_experiment.yaml --reason "The new emails are ready."
    """
    from mlguide_assets.console.experiment import start_experiment

    start_experiment(Home.locate(home), file, reason, as_json)


@experiment.command()
@handle_errors
def status(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show the running experiments: day, share, exposed units by arm, and the next look; no outcome."""
    from mlguide_assets.console.experiment import show_status

    show_status(Home.locate(home), as_json)


@experiment.command()
@handle_errors
def results(name: NameArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show every look at an experiment: verdict, rule, effect with its interval, and a picture of all looks.

    Example: mlguide experiment results personalised
    """
    from mlguide_assets.console.experiment import show_results

    show_results(Home.locate(home), name, as_json)


@experiment.command()
@handle_errors
def stop(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why: it is kept in the record.", show_default=False)],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Stop an experiment: from the next day that is planned on, its units are as all others.

    Example: mlguide experiment stop personalised --reason "Its emails had a wrong link."
    """
    from mlguide_assets.console.experiment import stop_experiment

    stop_experiment(Home.locate(home), name, reason, as_json)


@experiment.command("list")
@handle_errors
def list_(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List all experiments that were ever started: running, stopped or finished, when and why."""
    from mlguide_assets.console.experiment import list_experiments

    list_experiments(Home.locate(home), as_json)


@experiment.command()
@handle_errors
def value(
    model: Annotated[
        str | None,
        typer.Option(
            help="Version to value as if it decided: one that decides nothing yet is enough. Default: the challenger.",
            metavar="VERSION",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Literal["generic", "champion", "random"] | None,
        typer.Option(help="Or a policy whose probabilities the plans state.", show_default=False),
    ] = None,
    against: Annotated[
        Literal["generic", "champion", "random"], typer.Option(help="The policy that it is compared with.")
    ] = "champion",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Estimate what a model or a policy would be worth, before any traffic, from this home's plans.

    The plans say what was done and with which probability; the model scores the same units and candidates with the
    features of the same days, none of which it has learned from. Where the plans explore too little of what it would
    do, its value is withheld and the reason is given, which is an answer: exit code 0.

    Example: mlguide experiment value --model 2

    Example: mlguide experiment value --policy random --against generic
    """
    if model and policy:
        raise InputError("Name either --model VERSION or --policy NAME, not both.")
    from mlguide_assets.console.value import show_value

    show_value(Home.locate(home), model, policy, against, as_json)


DecimalCommaOption = Annotated[
    bool, typer.Option("--decimal-comma", help="Numbers in text are written as in 1.234,56.", show_default=False)
]
DataOption = Annotated[Path, typer.Option(help="CSV or Parquet file, or a folder of parts: a row or more per unit.")]
UnitOption = Annotated[str, typer.Option(metavar="COLUMN", help="The unit that was assigned, such as the user.")]
VariantOption = Annotated[str, typer.Option(metavar="COLUMN", help="The variant that the unit got.")]
ControlOption = Annotated[str, typer.Option(metavar="VALUE", help="The variant that the others are compared with.")]
MetricOption = Annotated[
    list[str],
    typer.Option(
        metavar="COLUMN[:binary|mean][:higher|lower]",
        help="What decides. binary: 0 or 1, where any row of the unit counts; mean: a number, summed over the rows "
        "of the unit; default: binary where all values are 0 or 1. Higher is better unless ':lower' says "
        "otherwise. Repeat for more.",
    ),
]
GuardrailOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN:MARGIN[:absolute][:higher|lower]",
        help="What must not get worse by the margin or more: a share of the control's value (0.05 or 5%), or with "
        "':absolute' in the column's own unit (0.002 of a rate is 0.2 percentage points). Without ':higher' or "
        "':lower', it may move neither way. Repeat for more.",
        show_default=False,
    ),
]
CovariateOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="A number known before the experiment: checked for balance, and used to reduce variance "
        "(CUPED). Repeat for more.",
        show_default=False,
    ),
]
SegmentOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="In each of its values the ratio of the variants is checked. Repeat for more.",
        show_default=False,
    ),
]
RatioOption = Annotated[
    str | None,
    typer.Option(
        help="Planned shares: of the control, then of the other variants by name. Default: equal shares.",
        metavar="1:1",
        show_default=False,
    ),
]
TriggerOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="1 for units to which the variants would have done something different, else 0: these "
        "are also analysed alone. It must be known of all variants alike.",
        show_default=False,
    ),
]
AlphaOption = Annotated[float, typer.Option(help="Significance level: two-sided, and one-sided of guardrails.")]


@experiment.command()
@handle_errors
def analyse(
    data: DataOption,
    unit: UnitOption,
    variant: VariantOption,
    control: ControlOption,
    metric: MetricOption,
    guardrail: GuardrailOption = None,
    covariate: CovariateOption = None,
    segment: SegmentOption = None,
    ratio: RatioOption = None,
    trigger: TriggerOption = None,
    alpha: AlphaOption = 0.05,
    decimal_comma: DecimalCommaOption = False,
    as_json: JsonOption = False,
) -> None:
    """Analyse an experiment that ran anywhere: health, effects with intervals, guardrails, verdict. Needs no home.

    Health comes first: sample ratio, units in several variants, balance of the covariates, enough events. An unhealthy
    experiment has no verdict, and its numbers are withheld. That is an answer, so the exit code is 0.

    The analysis holds for a sample size that was fixed beforehand: looking every day and stopping when p is small
    is wrong far more often than alpha says.

    Example: mlguide experiment analyse --data ab.csv --unit user --variant arm --control A --metric paid:binary

    Example: mlguide experiment analyse --data ab.csv --unit user --variant arm --control A --metric paid:binary
    --guardrail complained:0.002:absolute:lower --covariate visits_before
    """
    from mlguide_assets.console.analyse import guardrail_option, metric_option, ratio_option, show_analysis
    from mlguide_assets.define.values import canonical_text
    from mlguide_assets.experiment.analysis.reading import ExperimentFile

    file = ExperimentFile(
        path=data,
        unit=unit,
        variant=variant,
        control=canonical_text(control),
        metrics=tuple(map(metric_option, metric)),
        guardrails=tuple(map(guardrail_option, guardrail or ())),
        covariates=tuple(covariate or ()),
        segments=tuple(segment or ()),
        ratio=ratio_option(ratio) if ratio is not None else None,
        alpha=alpha,
        trigger=trigger,
        decimal_comma=decimal_comma,
    )
    show_analysis(file, as_json)


@experiment.command("off-policy")
@handle_errors
def off_policy(
    data: Annotated[Path, typer.Option(help="CSV or Parquet file, or a folder of parts: a row per logged decision.")],
    action: Annotated[str, typer.Option(metavar="COLUMN", help="The action that was taken.")],
    reward: Annotated[str, typer.Option(metavar="COLUMN", help="What came of it: a number.")],
    propensity: Annotated[
        str, typer.Option(metavar="COLUMN", help="The probability with which that action was taken, above 0.")
    ],
    target: Annotated[
        Literal["uniform"] | None,
        typer.Option(help="The policy to evaluate: every logged action with equal probability.", show_default=False),
    ] = None,
    target_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
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
        typer.Option(
            metavar="COLUMN", help="Whose decision it is. Default: every row is independent.", show_default=False
        ),
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Known beforehand, for the outcome model of DR; repeat for more. Without one, the "
            "model is the mean of each action.",
            show_default=False,
        ),
    ] = None,
    decimal_comma: DecimalCommaOption = False,
    as_json: JsonOption = False,
) -> None:
    """Estimate what a policy would be worth, from decisions logged with known probabilities. Needs no home.

    Estimators: IPS, SNIPS, DR. Where the log holds too little of what the policy would do, the estimates are withheld
    and the reason is given, which is an answer: exit code 0.

    Example: mlguide experiment off-policy --data log.csv --action offer --reward paid --propensity p --target uniform
    """
    if (target is None) == (target_column is None):
        raise InputError("Name the policy to evaluate with either --target uniform or --target-column COLUMN.")
    if target_kind and not target_column:
        raise InputError("--target-kind says what --target-column holds, which is not given.")
    from mlguide_assets.console.off_policy import show_off_policy
    from mlguide_assets.experiment.off_policy.reading import LogFile

    known = tuple(context or ())
    columns = LogFile(data, action, reward, propensity, target_column, target_kind, unit, known, decimal_comma)
    show_off_policy(columns, as_json)
