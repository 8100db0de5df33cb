"""`mlguide experiment analyse`: an experiment in a file of anyone's, as JSON or as tables."""

from mlguide_assets.console.analysis_tables import print_analysis
from mlguide_assets.console.interruption import scratch_folder
from mlguide_assets.console.terminal import console, print_json
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.analysis.analysis import analyse
from mlguide_assets.experiment.analysis.design import Better, Kind
from mlguide_assets.experiment.analysis.reading import ExperimentFile, GuardrailOption, MetricOption, read_experiment
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.sources.data_file import refusing_damage

_KINDS: dict[str, Kind] = {"binary": "binary", "mean": "mean"}
_BETTER: dict[str, Better] = {"higher": "higher", "lower": "lower"}


def show_analysis(file: ExperimentFile, as_json: bool) -> None:
    """Print what the experiment in a file says.

    Raises:
        InputError: the file cannot be read, or is not what the options say.
    """
    with (
        scratch_folder("mlguide-") as folder,
        console.status("Analysing the experiment"),
        refusing_damage(file.path),
    ):
        rows, design = read_experiment(file, connect(folder), folder)
        found = analyse(rows, design)
    if as_json:
        print_json(found.as_json())
    else:
        print_analysis(found, design, str(file.path))


def metric_option(text: str) -> MetricOption:
    """`COLUMN[:binary|mean][:higher|lower]`.

    >>> metric_option("unsubscribed:binary:lower")
    MetricOption(column='unsubscribed', kind='binary', better='lower')

    Raises:
        InputError: there is no column.
    """
    column, kind, better, _ = _suffixes(text, absolute=False)
    if not column:
        raise InputError(
            f"--metric {text}: write the column, and after it, where needed, ':binary' or ':mean', and ':higher' or "
            f"':lower' for the direction that is better, such as revenue:mean or unsubscribed:binary:lower."
        )
    return MetricOption(column, kind, better or "higher")


def guardrail_option(text: str) -> GuardrailOption:
    """`COLUMN:MARGIN[:absolute][:binary|mean][:higher|lower]`: a share of the control's value, unless it is absolute.

    >>> guardrail_option("latency:5%:lower")
    GuardrailOption(column='latency', margin=0.05, relative=True, kind=None, better='lower')
    >>> guardrail_option("complained:0.002:absolute:lower").relative
    False

    Raises:
        InputError: there is no margin that is a number.
    """
    named, kind, better, absolute = _suffixes(text, absolute=True)
    relative = not absolute
    column, _, margin = named.rpartition(":")
    percent = margin.endswith("%") and relative
    try:
        size = float(margin.removesuffix("%") if percent else margin)
    except ValueError:
        column, size = "", 0.0
    if not column:
        raise InputError(
            f"--guardrail {text}: write the column and the margin, as a share of the control's value or in its own "
            f"unit, such as latency:0.05:lower or complained:0.002:absolute:lower."
        )
    return GuardrailOption(column, size / 100 if percent else size, relative, kind, better)


def ratio_option(text: str) -> tuple[float, ...]:
    """`1:1`, `90:10` or `2:1:1`.

    Raises:
        InputError: it is not numbers between colons.
    """
    try:
        return tuple(float(share) for share in text.split(":"))
    except ValueError:
        raise InputError(
            f"--ratio {text}: write one share for each variant, the control first, such as 1:1 or 90:10."
        ) from None


def _suffixes(text: str, *, absolute: bool) -> tuple[str, Kind | None, Better | None, bool]:
    """What is before the kind, the direction and `absolute`, where that may be, and these.

    A column may have colons in its name, and any of the words before its end.
    """
    kind, better, found = None, None, False
    while True:
        rest, _, last = text.rpartition(":")
        if kind is None and last in _KINDS:
            kind = _KINDS[last]
        elif better is None and last in _BETTER:
            better = _BETTER[last]
        elif absolute and not found and last == "absolute":
            found = True
        else:
            return text, kind, better, found
        text = rest
