"""Variables in addresses of sources: what they hold reaches the server as it is."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from mlguide_assets.prepare.sources.addresses import expand_variables

ODD = "a/b#c?d+e%41f@g:h i&j=k[l]ä"


@pytest.fixture(autouse=True)
def _given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", ODD)
    monkeypatch.setenv("PAIR", "user:p/w")
    monkeypatch.setenv("PLACE", "host:5432/db?sslmode=require")
    monkeypatch.setenv("WHOLE", "postgresql://user:p%2Fw@host/db")


def test_a_user_and_a_password_are_taken_as_they_are() -> None:
    parts = urlsplit(expand_variables("postgresql://${ODD}:x${ODD}@host:5432/db"))
    assert unquote(str(parts.username)) == ODD
    assert unquote(str(parts.password)) == f"x{ODD}"
    assert (parts.hostname, parts.port, parts.path) == ("host", 5432, "/db")


def test_a_password_among_the_parameters_is_taken_as_it_is() -> None:
    query = parse_qs(urlsplit(expand_variables("postgresql://host/db?user=${ODD}&password=${ODD}&x=1")).query)
    assert query == {"user": [ODD], "password": [ODD], "x": ["1"]}


@pytest.mark.parametrize(
    ("uri", "expanded"),
    [
        ("postgresql://user:p%2Fw@${PLACE}", "postgresql://user:p%2Fw@host:5432/db?sslmode=require"),
        ("postgresql://${PAIR}@host/db", "postgresql://user:p%2Fw@host/db"),
        ("${WHOLE}", "postgresql://user:p%2Fw@host/db"),
        ("duckdb:///data/me@firm/${ODD}.duckdb", f"duckdb:///data/me@firm/{ODD}.duckdb"),
        ("sqlite://${ODD}@x/shop.db", f"sqlite://{ODD}@x/shop.db"),
    ],
)
def test_everything_else_stays_as_it_is(uri: str, expanded: str) -> None:
    assert expand_variables(uri) == expanded
