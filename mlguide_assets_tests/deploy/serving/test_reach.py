"""By which names a server may be addressed, and which pages may have a browser ask it."""

import pytest

from mlguide_assets.deploy.serving.reach import AllowedHosts, bind, is_loopback
from mlguide_assets.errors import InputError

LOCAL = AllowedHosts.of("127.0.0.1", "")
EVERYWHERE = AllowedHosts.of("0.0.0.0", "")
PROXIED = AllowedHosts.of("127.0.0.1", "ml.example.com, OTHER.example.com")


def status(allowed: AllowedHosts, *headers: tuple[str, str]) -> int | None:
    refusal = allowed.refusal([(name.encode(), value.encode("latin-1")) for name, value in headers])
    return None if refusal is None else refusal[0]


@pytest.mark.parametrize(
    ("allowed", "host", "expected"),
    [
        *(
            (LOCAL, host, None)
            for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:3000", "[::1]:3000", "localhost.")
        ),
        *((LOCAL, host, 403) for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.7")),
        *(
            (LOCAL, host, 403)
            for host in ("", ":8000", "127.0.0.1@evil.example", "evil.example/127.0.0.1", "[::1", "a:b")
        ),
        *((EVERYWHERE, host, None) for host in ("10.0.0.7", "192.0.2.1:8000", "[2001:db8::1]:80", "localhost")),
        *((EVERYWHERE, host, 403) for host in ("evil.example", "10.0.0.7.evil.example")),
        *((PROXIED, host, None) for host in ("ml.example.com", "Other.Example.com:443", "127.0.0.1")),
        (PROXIED, "www.ml.example.com", 403),
        (AllowedHosts.of("ml.internal", ""), "ml.internal:8000", None),
        (AllowedHosts.of("127.0.0.1", "*"), "evil.example", None),
    ],
)
def test_only_known_hosts_are_answered(allowed: AllowedHosts, host: str, expected: int | None) -> None:
    assert status(allowed, ("host", host)) == expected


@pytest.mark.parametrize(
    ("allowed", "host", "origin", "expected"),
    [
        (LOCAL, "localhost:3000", "http://localhost:3000", None),
        (LOCAL, "localhost", "http://localhost:80", None),
        (LOCAL, "[::1]:3000", "http://[::1]:3000", None),
        *((LOCAL, "localhost:3000", origin, 403) for origin in ("http://localhost:8080", "http://127.0.0.1:3000")),
        *(
            (LOCAL, "localhost:3000", origin, 403)
            for origin in ("http://evil.example", "null", "", "file://", "x" * 9000)
        ),
        (LOCAL, "evil.example:3000", "http://evil.example:3000", 403),
        # A proxy that speaks TLS, and names itself or the server behind it.
        (PROXIED, "ml.example.com", "https://ml.example.com", None),
        (PROXIED, "127.0.0.1:3000", "https://ml.example.com", None),
        (PROXIED, "127.0.0.1:3000", "https://evil.example", 403),
    ],
)
def test_only_pages_of_the_same_host_are_answered(
    allowed: AllowedHosts, host: str, origin: str, expected: int | None
) -> None:
    assert status(allowed, ("host", host), ("origin", origin)) == expected


def test_a_request_names_one_host_and_at_most_one_origin() -> None:
    assert status(LOCAL) == 400
    assert status(LOCAL, ("host", "localhost"), ("host", "evil.example")) == 400
    assert status(LOCAL, ("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil")) == 400


def test_the_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGUIDE_ALLOWED_HOSTS", "ml.example.com")
    assert status(AllowedHosts.of("127.0.0.1"), ("host", "ml.example.com")) is None


@pytest.mark.parametrize(
    "listed",
    [
        "ml.example.com.",
        "ML.Example.com:8443",
        "https://ml.example.com",
        "http://ml.example.com:80/",
        "a, ml.example.com",
    ],
)
def test_a_host_may_be_listed_as_the_address_of_its_page(listed: str) -> None:
    allowed = AllowedHosts.of("127.0.0.1", listed)
    assert status(allowed, ("host", "ml.example.com"), ("origin", "https://ml.example.com")) is None
    assert status(allowed, ("host", "www.ml.example.com")) == 403


@pytest.mark.parametrize(
    ("listed", "host"),
    [
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("2001:db8:0:0::7", "[2001:db8::7]:8000"),
        ("[2001:db8::7]:8000", "[2001:DB8:0::7]"),
        ("", "[0:0:0:0:0:0:0:1]:3000"),
    ],
)
def test_a_name_has_one_spelling(listed: str, host: str) -> None:
    assert status(AllowedHosts.of("127.0.0.1", listed), ("host", host)) is None


@pytest.mark.parametrize(
    "listed",
    ["*.example.com", "a.example;b.example", "a.example b.example", "https://a.example/x", "user@a.example", "."],
)
def test_what_would_match_no_request_is_refused(listed: str) -> None:
    with pytest.raises(InputError, match="is not the name of a host"):
        AllowedHosts.of("127.0.0.1", listed)


def test_a_refusal_says_what_to_do() -> None:
    refusal = LOCAL.refusal([(b"host", b"evil.example")])
    assert refusal is not None
    assert "MLGUIDE_ALLOWED_HOSTS" in refusal[1]
    assert "evil" not in refusal[1]


def test_what_only_this_machine_can_reach() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "", "10.0.0.7", "ml.example.com")] == [False] * 5


def test_an_address_that_is_taken_or_none_of_this_machine_is_named() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        for host, number in (("127.0.0.1", port), ("192.0.2.1", port), ("127.0.0.1", 70_000)):
            with pytest.raises(InputError, match=f"{host}, port {number}, cannot be served on"):
                bind(host, number)
