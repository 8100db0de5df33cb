"""Writing the model card of a version from what the run left, into the home and beside the version in the registry."""

from dataclasses import dataclass
from pathlib import Path

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.card.inputs import CardInputs
from mlguide_assets.deploy.card.rendering import write_card
from mlguide_assets.deploy.gate.history import decisions
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.prepare.hosts.shared_files import publish_file
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import folder_of, load_facts


@dataclass(frozen=True)
class Card:
    """A card's text without pictures, and its page."""

    text: str
    html: Path


def document_version(
    home: Home,
    lake: Lake,
    problem: Problem,
    registered_model: ibis.Table,
    candidate_model: ibis.Table,
    **tables: ibis.Table,
) -> Card:
    """Write the card of a registered version.

    Args:
        tables: evaluation, slices, groups, behaviours, contracts and explanation.
    """
    version = registered_model.to_pyarrow().to_pylist()[0]
    folder = folder_of(candidate_model, home.candidates(problem.key))
    inputs = CardInputs(
        version=version["version"],
        trained_at=version["trained_at"],
        facts=load_facts(folder),
        decisions=[row for row in decisions(lake) if row["version"] == version["version"]],
        plots={path.stem: path.read_bytes() for path in sorted((folder / "plots").glob("*.png"))},
        **{name: table.to_pyarrow().to_pylist() for name, table in tables.items()},
    )
    markdown, page = write_card(inputs, problem, home.card(problem.key, version["version"]))
    publish_file(page)
    registry_of(home, problem).log_pages(version["version"], page.parent, "card")
    return Card(markdown.read_text(encoding="utf-8").partition("## Pictures")[0], page)
