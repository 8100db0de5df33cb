"""A training that does not fit is refused before it begins."""

import ibis
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.train.candidate import train_candidate
from mlguide_assets.train.room import require_room_for_training
from mlguide_assets_tests.samples import sample_problem


def test_it_follows_the_number_of_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = sample_problem("unread")
    monkeypatch.setattr("mlguide_assets.prepare.memory.available_memory", lambda: 1_500_000_000)
    require_room_for_training(300_000, problem)
    whole = problem.model_copy(update={"training": problem.training.model_copy(update={"trainer": "in_memory"})})
    with pytest.raises(InputError, match=r"Training on 3,000,000 sends needs about \d\.\d GB of memory, and 1\.5 GB"):
        require_room_for_training(3_000_000, whole)


def test_nothing_is_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlguide_assets.prepare.memory.available_memory", lambda: 1)
    with pytest.raises(InputError, match="Training on 2 sends"):
        train_candidate(ibis.memtable({"no": [1, 2]}), sample_problem("unread"))
