"""The ML Test Score (Breck et al., 2017), computed from markers on the tests and printed at the end of a run.

    @pytest.mark.ml_test_score("data-1")                 this test proves the item
    @pytest.mark.ml_test_score("infra-6", manual=True)   somebody has to look at what it produces

An item has one point when a test that proves it ran and passed, half a point when only manual ones did, none when one
of them failed or none ran. The score is the least of the four sums: a system is as ready as its weakest section.
It works under pytest-xdist: the markers of a test travel with its reports.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

MARKER = "ml_test_score"
LOWEST = 7
"""Items that are named at the end."""

ITEMS = {
    "data-1": "Feature expectations are captured in a schema",
    "data-2": "All features are beneficial",
    "data-3": "No feature's cost is too much",
    "data-4": "Features adhere to meta-level requirements",
    "data-5": "The data pipeline has appropriate privacy controls",
    "data-6": "New features can be added quickly",
    "data-7": "All input feature code is tested",
    "model-1": "Model specs are reviewed and submitted",
    "model-2": "Offline and online metrics correlate",
    "model-3": "All hyperparameters have been tuned",
    "model-4": "The impact of model staleness is known",
    "model-5": "A simpler model is not better",
    "model-6": "Model quality is sufficient on important data slices",
    "model-7": "The model is tested for considerations of inclusion",
    "infra-1": "Training is reproducible",
    "infra-2": "Model specs are unit tested",
    "infra-3": "The ML pipeline is integration tested",
    "infra-4": "Model quality is validated before serving",
    "infra-5": "The model is debuggable",
    "infra-6": "Models are canaried before serving",
    "infra-7": "Serving models can be rolled back",
    "monitor-1": "Dependency changes result in notification",
    "monitor-2": "Data invariants hold for inputs",
    "monitor-3": "Training and serving are not skewed",
    "monitor-4": "Models are not too stale",
    "monitor-5": "Models are numerically stable",
    "monitor-6": "Computing performance has not regressed",
    "monitor-7": "Prediction quality has not regressed",
}
"""The 28 tests of the paper, in its words."""

SECTIONS = {"data": "Data", "model": "Model", "infra": "Infrastructure", "monitor": "Monitoring"}


@dataclass(frozen=True)
class Result:
    """How one marked test ended: `outcome` is passed, failed or skipped."""

    outcome: str
    manual: bool = False


def points(results: Sequence[Result]) -> float:
    """The points of an item, given how its tests ended.

    >>> points([Result("passed", manual=True), Result("skipped")])
    0.5
    """
    passed = [result for result in results if result.outcome == "passed"]
    if not passed or any(result.outcome == "failed" for result in results):
        return 0.0
    return 0.5 if all(result.manual for result in passed) else 1.0


@dataclass(frozen=True)
class Score:
    """The points of every item, and what follows from them."""

    items: Mapping[str, float]

    @property
    def sections(self) -> dict[str, float]:
        return {
            section: sum(value for item, value in self.items.items() if item.startswith(f"{section}-"))
            for section in SECTIONS
        }

    @property
    def total(self) -> float:
        return min(self.sections.values())

    @property
    def lowest(self) -> list[str]:
        """The items with the fewest points, those of the weakest section first."""
        sums = self.sections
        return sorted(self.items, key=lambda item: (self.items[item], sums[item.split("-")[0]]))[:LOWEST]


def score(results: Mapping[str, Sequence[Result]]) -> Score:
    """The score, given the results of the tests of each item; items without any have no point."""
    return Score({item: points(results.get(item, ())) for item in ITEMS})


def lines(found: Score) -> Iterator[str]:
    """The score in words."""
    sums = ", ".join(f"{title} {found.sections[section]:g}" for section, title in SECTIONS.items())
    yield f"{found.total:g} of 7, the least of: {sums}"
    yield f"The {LOWEST} lowest items:"
    for item in found.lowest:
        yield f"  {found.items[item]:g}  {item}  {ITEMS[item]}"


def marks_of(item: pytest.Item) -> list[tuple[str, bool]]:
    """The ids that a test is marked with, and whether it is manual.

    Raises:
        pytest.UsageError: the marker has no id, an unknown one, or arguments that it does not take.
    """
    marks = []
    for mark in item.iter_markers(MARKER):
        unknown = [name for name in mark.args if name not in ITEMS]
        if not mark.args or unknown or mark.kwargs.keys() - {"manual"}:
            given = ", ".join(map(repr, unknown)) or f"{mark.args} {mark.kwargs}"
            raise pytest.UsageError(f"{item.nodeid}: {MARKER} takes ids of {', '.join(ITEMS)}; given: {given}")
        marks += [(name, bool(mark.kwargs.get("manual", False))) for name in mark.args]
    return marks


@dataclass(eq=False)
class Plugin:
    """What was seen so far: results by test and phase, since one test has several."""

    ended: dict[str, tuple[list[list[Any]], str]] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        marks = marks_of(item)
        if marks:
            item.user_properties.append((MARKER, [list(mark) for mark in marks]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        marks = dict(report.user_properties).get(MARKER)
        if marks is None:
            return
        _, before = self.ended.get(report.nodeid, (marks, ""))
        if report.when == "call" or report.outcome != "passed":
            self.ended[report.nodeid] = (marks, "failed" if "failed" in (before, report.outcome) else report.outcome)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.ended:
            return
        results = defaultdict(list)
        for marks, outcome in self.ended.values():
            for name, manual in marks:
                results[name].append(Result(outcome, manual))
        terminalreporter.section("ML Test Score")
        for line in lines(score(results)):
            terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(*ids, manual=False): proves these items of the ML Test Score")
    config.pluginmanager.register(Plugin(), "ml-test-score-board")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A marker that is wrong is an error of the module it stands in, in every process that collects it."""
    report: pytest.CollectReport = yield  # type: ignore[assignment, misc]
    try:
        for node in report.result or ():
            if isinstance(node, pytest.Item):
                marks_of(node)
    except pytest.UsageError as error:
        report.outcome, report.longrepr, report.result = "failed", str(error), []
    return report  # type: ignore[return-value]
