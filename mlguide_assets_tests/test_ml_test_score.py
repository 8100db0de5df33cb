"""The ML Test Score is what the paper says, and what the tests of a run earn."""

import pytest

from mlguide_assets_tests.ml_test_score import ITEMS, LOWEST, Result, lines, points, score

PASSED, FAILED, SKIPPED, LOOKED_AT = (
    Result("passed"),
    Result("failed"),
    Result("skipped"),
    Result("passed", manual=True),
)


def test_there_are_28_items_in_four_sections_of_seven() -> None:
    assert len(ITEMS) == 28
    assert list(ITEMS) == [f"{s}-{n}" for s in ("data", "model", "infra", "monitor") for n in range(1, 8)]


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], 0),
        ([PASSED], 1),
        ([PASSED, LOOKED_AT], 1),
        ([LOOKED_AT], 0.5),
        ([SKIPPED], 0),
        ([SKIPPED, PASSED], 1),
        ([SKIPPED, LOOKED_AT], 0.5),
        ([PASSED, FAILED], 0),
        ([PASSED, Result("failed", manual=True)], 0),
    ],
)
def test_points_of_an_item(results: list[Result], expected: float) -> None:
    assert points(results) == expected


def test_the_score_is_the_least_of_the_sections() -> None:
    results = {name: [PASSED] for name in ITEMS}
    assert score(results).total == 7
    found = score({**results, "infra-2": [LOOKED_AT], "infra-5": [FAILED], "data-1": [LOOKED_AT]})
    assert found.sections == {"data": 6.5, "model": 7, "infra": 5.5, "monitor": 7}
    assert found.total == 5.5
    assert found.lowest[:3] == ["infra-5", "infra-2", "data-1"]
    assert len(found.lowest) == LOWEST
    assert next(lines(found)).startswith("5.5 of 7")


SUITE = """
import pytest

@pytest.mark.ml_test_score("data-1", "model-1")
def test_two_items(): pass

@pytest.mark.ml_test_score("infra-1", manual=True)
@pytest.mark.parametrize("n", [1, 2])
def test_manual(n): pass

@pytest.mark.ml_test_score("monitor-1")
def test_fails(): assert False

@pytest.fixture
def broken():
    yield
    raise RuntimeError

@pytest.mark.ml_test_score("monitor-2")
def test_teardown_fails(broken): pass

@pytest.mark.ml_test_score("monitor-3")
def test_skipped(): pytest.skip()

@pytest.mark.ml_test_score("monitor-4")
@pytest.mark.xfail
def test_expected_to_fail(): assert False

@pytest.mark.ml_test_score("monitor-5")
def test_passes(): pass

def test_unmarked(): pass
"""
# Of plugins, only what is tested: an inner run imports them anew.
PLUGIN = (
    "-pmlguide_assets_tests.ml_test_score",
    "-pno:cacheprovider",
    "-pno:schemathesis",
    "-pno:faker",
    "--strict-markers",
)


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_run_prints_the_score_also_of_another_process(pytester: pytest.Pytester, processes: str) -> None:
    pytester.makepyfile(SUITE)
    printed = pytester.runpytest(*PLUGIN, "-n", processes).stdout
    printed.fnmatch_lines(
        ["*ML Test Score*", "0.5 of 7, the least of: Data 1, Model 1, Infrastructure 0.5, Monitoring 1"]
    )
    assert printed.str().count("  0  ") == LOWEST


@pytest.mark.parametrize("mark", ['"data-8"', "", '"data-1", manuell=True'])
def test_an_unknown_id_is_an_error(pytester: pytest.Pytester, mark: str) -> None:
    pytester.makepyfile(f"import pytest\n\n@pytest.mark.ml_test_score({mark})\ndef test_it(): pass\n")
    done = pytester.runpytest(*PLUGIN)
    assert done.ret != 0
    done.stdout.fnmatch_lines(["*test_it: ml_test_score takes ids of data-1, *"])


def test_a_run_without_marked_tests_prints_no_score(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    assert "ML Test Score" not in pytester.runpytest(*PLUGIN).stdout.str()
