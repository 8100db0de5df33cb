"""What a model card is made from: rows of the tables that the run wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class CardInputs:
    """All that a card is made from.

    Attributes:
        facts: of the candidate: rows, windows, rounds, lineage.
        decisions: rows of the record that concern the version.
        evaluation, slices, groups, behaviours, contracts, explanation: rows of the tables of these names.
        plots: name to PNG bytes.
    """

    version: str
    trained_at: str
    facts: Mapping[str, Any]
    decisions: Rows
    evaluation: Rows
    slices: Rows
    groups: Rows
    behaviours: Rows
    contracts: Rows
    explanation: Rows
    plots: Mapping[str, bytes]
