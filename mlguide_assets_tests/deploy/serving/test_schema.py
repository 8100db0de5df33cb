"""The API against its own description: whatever it is asked, it answers as /openapi.json says, and never with a 500."""

import json
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from schemathesis.checks import CHECKS, load_all_checks

from mlguide_assets.deploy.serving.describing import settable_features
from mlguide_assets.deploy.serving.messages import id_type, requests_of
from mlguide_assets_tests.deploy.serving.others import AS_OF as OTHERS_AS_OF
from mlguide_assets_tests.deploy.serving.serving import AS_OF, Client, Server
from mlguide_assets_tests.samples import USERS
from mlguide_assets_tests.train.sends import PROBLEM

FEW, MANY = 25, 100
"""Requests per operation and kind."""
OPERATIONS = [
    ("POST", "/predict"),
    ("POST", "/recommend"),
    ("GET", "/users"),
    ("GET", "/emails"),
    ("GET", "/problem"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]
PREDICTIONS = OPERATIONS[:2]

load_all_checks()
_ALWAYS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]
_OF_KIND: dict[schemathesis.GenerationMode, list[str]] = {
    schemathesis.GenerationMode.POSITIVE: _ALWAYS,
    schemathesis.GenerationMode.NEGATIVE: [*_ALWAYS, "negative_data_rejection"],
}


@pytest.fixture(scope="module")
def schema(server: Server) -> Any:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")


def ask_much(schema: Any, method: str, path: str, mode: schemathesis.GenerationMode, *, examples: int) -> set[int]:
    """Ask one operation what its schema allows, or forbids; the statuses that were seen."""
    checks: list[Any] = CHECKS.get_by_names(_OF_KIND[mode])
    seen: set[int] = set()

    @given(case=schema[path][method].as_strategy(mode), chosen=st.data())
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples == FEW,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case[Any], chosen: st.DataObject) -> None:
        if mode == schemathesis.GenerationMode.POSITIVE and isinstance(case.body, dict):
            make_answerable(case.body, chosen)
        response = case.call(session=session)
        seen.add(response.status_code)
        case.validate_response(response, checks=checks)

    with requests.Session() as session:
        ask()
    return seen


def make_answerable(body: dict[str, Any], chosen: st.DataObject) -> None:
    """Ask about users and instants that there are, mostly: of any 64-bit numbers nothing is known."""
    for name in ("user_ids", "email_ids", "customer_ids"):
        if body.get(name):
            body[name] = [each % (USERS + 5) for each in body[name]]
    if body.get("as_of") and chosen.draw(st.booleans()):
        body["as_of"] = (OTHERS_AS_OF if "customer_ids" in body else AS_OF).isoformat() + "Z"
    for payment in body.get("payments") or [body]:
        if payment.get("paid") and chosen.draw(st.booleans()):
            payment["paid"] = OTHERS_AS_OF.isoformat() + "Z"


def test_the_description_lists_what_there_is(client: Client) -> None:
    description = client.get("/openapi.json").json()
    listed = {(method.upper(), path) for path, methods in description["paths"].items() for method in methods}
    assert listed == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_the_schema_allows_is_answered_as_it_says(schema: Any, method: str, path: str) -> None:
    seen = ask_much(schema, method, path, schemathesis.GenerationMode.POSITIVE, examples=FEW)
    assert 200 in seen


@pytest.mark.parametrize(("method", "path"), OPERATIONS[:4])
def test_what_the_schema_forbids_is_refused(schema: Any, method: str, path: str) -> None:
    seen = ask_much(schema, method, path, schemathesis.GenerationMode.NEGATIVE, examples=FEW)
    assert 422 in seen


@pytest.mark.parametrize("mode", [*_OF_KIND])
@pytest.mark.parametrize(("method", "path"), [("POST", "/predict"), ("GET", "/cards")])
def test_of_payments_too(payments_server: Server, method: str, path: str, mode: schemathesis.GenerationMode) -> None:
    """An event, one or several, whose ids are texts and numbers."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{payments_server.port}/openapi.json")
    seen = ask_much(schema, method, path, mode, examples=FEW)
    assert (200 if mode == schemathesis.GenerationMode.POSITIVE else 422) in seen


@pytest.mark.parametrize("mode", [*_OF_KIND])
@pytest.mark.parametrize(("method", "path"), [("POST", "/predict"), ("GET", "/customers")])
def test_of_customers_too(orders_server: Server, method: str, path: str, mode: schemathesis.GenerationMode) -> None:
    """Entities at cut-offs: their ids are all that is asked about, and features follow from what they did."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{orders_server.port}/openapi.json")
    seen = ask_much(schema, method, path, mode, examples=FEW)
    assert (200 if mode == schemathesis.GenerationMode.POSITIVE else 422) in seen


@pytest.mark.slow
@pytest.mark.parametrize("mode", [*_OF_KIND])
@pytest.mark.parametrize(("method", "path"), PREDICTIONS)
def test_much_is_answered_as_the_schema_says(
    schema: Any, method: str, path: str, mode: schemathesis.GenerationMode
) -> None:
    ask_much(schema, method, path, mode, examples=MANY)


_IDS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**63, True, 1.0, "1", None]), max_size=3)
_ANY = st.none() | st.booleans() | st.integers(-2, 30) | st.floats(-2, 30) | st.text(max_size=3)
_BODIES = st.fixed_dictionaries(
    {"user_ids": _IDS},
    optional={
        "email_ids": st.none() | _IDS,
        "probability": _ANY,
        "explain": st.booleans(),
        "as_of": st.datetimes().map(str) | st.sampled_from(["2024-04-20T01:00:00Z", "1713571200", 1713571200, None]),
        "what_if": st.dictionaries(st.sampled_from(["tenure_days", "day_of_week", "hour_of_day", "age"]), _ANY),
        "on_unknown": st.sampled_from(["list", "base_rate", "guess", None]),
    },
)


_REQUESTS = requests_of(PROBLEM, dict.fromkeys(PROBLEM.decision.nouns, id_type(1)), settable_features(PROBLEM))
_FORMS = [TypeAdapter(_REQUESTS.predict), TypeAdapter(_REQUESTS.recommend)]


@settings(max_examples=200, deadline=None)
@given(body=_BODIES.map(json.dumps), form=st.sampled_from(_FORMS))
def test_a_body_that_is_read_once_is_read_as_fastapi_reads_it(body: str, form: Any) -> None:
    """The shortcut has pydantic parse the JSON; the route is given what Python's parser made of it."""

    def read(how: Any, given: Any) -> Any:
        try:
            return how(given)
        except ValidationError:
            return None

    assert read(form.validate_json, body.encode()) == read(form.validate_python, json.loads(body))
