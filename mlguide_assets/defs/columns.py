"""The meaning of every column, as the UI shows it: each stage says it of its own tables."""

from collections.abc import Iterator, Mapping

from mlguide_assets.define.problem import Problem


def column_meanings(table: str, problem: Problem) -> dict[str, str]:
    """Column → meaning of one table; empty for a table that no stage writes."""
    return next((tables[table] for tables in _of_stages(problem) if table in tables), {})


def _of_stages(problem: Problem) -> Iterator[Mapping[str, dict[str, str]]]:
    # One after the other, since the tables of a stage bring its modules: to score a day takes those of the first two.
    from mlguide_assets.prepare import columns as prepare

    yield prepare.columns_of(problem)
    from mlguide_assets.deploy import columns as deploy

    yield deploy.columns_of(problem)
    from mlguide_assets.train import columns as train

    yield train.columns_of(problem)
    from mlguide_assets.observe import columns as observe

    yield observe.columns_of(problem)
    from mlguide_assets.experiment.columns import COLUMNS as EXPERIMENT
    from mlguide_assets.retrain.columns import COLUMNS as RETRAIN

    yield {**EXPERIMENT, **RETRAIN}
