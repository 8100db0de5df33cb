"""The API of a problem: what its routes take and give, and in which words."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.opening import open_store
from mlguide_assets.deploy.online_store.store import StoreError
from mlguide_assets.deploy.serving.answers import Answers, answers_of
from mlguide_assets.deploy.serving.describing import ProblemWords, decided_problem, settable_features, words_of
from mlguide_assets.deploy.serving.examples import ids_of
from mlguide_assets.deploy.serving.listing import List, lists_of
from mlguide_assets.deploy.serving.messages import Requests, id_type, requests_of
from mlguide_assets.deploy.serving.usual_values import usual_values
from mlguide_assets.settings import Home


@dataclass(frozen=True)
class Api:
    """What the routes of a problem take and give.

    Attributes:
        ids: noun → the type of its ids.
        words: what the problem is called, for the playground.
        usual: see `usual_values`.
    """

    problem: Problem
    ids: Mapping[str, Any]
    requests: Requests
    answers: Answers
    lists: tuple[List, ...]
    words: ProblemWords
    usual: Mapping[str, Any]


def api_of(
    home: Home,
    problem: Problem,
    store: str | None,
    *,
    real: bool,
    served_as: str | None = None,
    served: Sequence[str] = (),
) -> Api:
    """The API of a home: its types follow from the problem and from what is published by now.

    Args:
        real: whether its description, which needs no key, may show values of the data.
        served_as: the name of the problem among `served`, those of the server; default: it is the only one.
    """
    publication = None
    with contextlib.suppress(StoreError):
        snapshot = open_store(home, problem.key, store).current()
        publication = snapshot.publication if snapshot else None
    decided, complete = decided_problem(home, problem)
    some = {noun: next(iter(known), None) for noun, known in ids_of(problem, publication).items()}
    ids = {noun: id_type(each) for noun, each in some.items()}
    requests = requests_of(problem, ids, settable_features(decided) if complete else None)
    lists = lists_of(decided)
    texts = {noun: None if each is None else isinstance(each, str) for noun, each in some.items()}
    usual = usual_values(home, problem) if real else {}
    name = served_as or problem.name
    words = words_of(decided, lists, texts, flat=requests.flat, usual=usual, served_as=name, served=served or [name])
    return Api(problem, ids, requests, answers_of(problem, ids), lists, words, usual)
