"""No text shows a password, a token or a signature, however an address or a library writes it."""

import traceback
from time import process_time

import pytest

from mlguide_assets.define.secrets import (
    addresses_in_environment,
    masked,
    nothing_secret_raised,
    reason,
    shown_address,
    splits,
)

SHOWN = {
    "postgresql://user:secret@host:5432/db": "postgresql://user:***@host:5432/db",
    "postgresql://:secret@host/db": "postgresql://:***@host/db",
    "postgresql://user:se/cr@et@host/db": "postgresql://user:***@host/db",
    "postgresql://user:sec ret?@host/db": "postgresql://user:***@host/db",
    "postgresql://host/db?user=u&password=secret": "postgresql://host/db?user=u&password=***",
    "postgresql://host/db?sslpassword=se@cret&x=1": "postgresql://host/db?sslpassword=***&x=1",
    "postgresql://user:${SECRET}@host/db": "postgresql://user:${SECRET}@host/db",
    "https://user:secret@host/files": "https://user:***@host/files",
    "https://secret@host/files": "https://***@host/files",
    "https://host/files?sv=1&sig=secret&se=2": "https://host/files?sv=1&sig=***&se=2",
    "https://host/x?X-Amz-Signature=secret": "https://host/x?X-Amz-Signature=***",
    "https://host/x?X-Goog-Credential=secret": "https://host/x?X-Goog-Credential=***",
    "https://host/x#access_token=secret": "https://host/x#access_token=***",
    "postgresql://user@host/db": "postgresql://user@host/db",
    "https://host/files?design=1": "https://host/files?design=1",
    "https://host/a@b/files": "https://host/a@b/files",
    "/data/a@b/files": "/data/a@b/files",
}


@pytest.mark.parametrize("address", SHOWN)
def test_an_address_is_shown_without_its_secrets(address: str) -> None:
    assert shown_address(address) == SHOWN[address]
    assert shown_address(SHOWN[address]) == SHOWN[address]


QUOTED = (
    "could not connect to 'postgresql://u:secret@host/db' (and mysql://u:secret@host)",
    'connection "host=h user=u password=secret dbname=d" failed',
    "host=h password='a secret' dbname=d",
    '{"user": "u", "api_key": "secret"}',
    "GET https://host/x?sig=secret HTTP/1.1",
    "AccountName=a;AccountKey=secret==;",
    "Authorization: Bearer secret",
    "Authorization: Digest username='u', response='secret'",
    "PROXY-AUTHORIZATION: ApiKey secret",
    "curl -H 'Authorization: token secret' https://host",
    "{'x-api-key': b'secret', 'Cookie': 'a=b; session=secret'}",
    "[(b'authorization', b'Basic secret'), ('X-Auth-Token', 'secret')]",
    "X-API-Key: secret",
    "Private-Token:secret",
    "> Cookie: a=b; session=secret",
    "Set-Cookie: id=secret; Path=/",
    "password: secret",
    "PASSWORD => 'secret'",
    "server --api-key secret",
    r'{"error": "{\"token\": \"secret\"}"}',
    "sent Bearer secret.0123456789",
    "user:secret@host refused",
    "//user:secret@host/db",
    "?next=https%3A%2F%2Fuser%3Asecret%40host",
    "?next=https%3A%2F%2Fhost%2Fx%3Fsig%3Dsecret",
)


@pytest.mark.parametrize("text", QUOTED)
def test_what_others_quote_is_masked(text: str) -> None:
    assert "secret" not in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "3 checks passed=True, author=x",
        "no password supplied",
        "a key: what is unique",
        "user_id=7, key 'x'",
        "tables.users.columns.auth_token: 'txt' is no kind",
        "the basic responsibilities of a bearer",
        "at 10:20 @home, by me@firm",
    ],
)
def test_words_that_only_sound_like_secrets_stay(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("quoted", ["nonnumeric port: 's#cret@host'", "login with s%23cret refused", "bad: s#cret"])
def test_the_secret_of_a_known_address_is_masked_wherever_it_stands(quoted: str) -> None:
    assert "cret" not in masked(quoted, "postgresql://user:s%23cret@host/db")


SPLIT = (
    "postgresql://user:secret@host:5432/db",
    "postgresql://user:se%2Fcret@[::1]:5432/db",
    "postgresql://host:5432/db?user=me@firm",
    "https://host/a@b/files",
    "local[2]",
)
UNSPLIT = (
    "postgresql://user:se/cret@host/db",
    "postgresql://user:se#cret@host:5432/db",
    "postgresql://user:se[cret@host/db",
    "postgresql://user:12/secret@host/db",
    "postgresql://user:12?secret@host/db",
    "postgresql://user:secret",
)


def test_addresses_that_can_be_split_are_told_from_others() -> None:
    assert all(splits(address) for address in SPLIT)
    assert not any(splits(address) for address in UNSPLIT)


@pytest.mark.parametrize("address", UNSPLIT)
def test_a_library_that_stumbles_over_an_address_is_not_quoted(address: str) -> None:
    said = reason(f"invalid port 'se' or 'cret' or 'secret' or '12' in {address}", address)
    assert said == "its address cannot be split into user, password, host and port: in a password, a slash is %2F"


def test_a_piece_of_a_password_at_which_libraries_end_it_is_masked() -> None:
    address = "postgresql://user:Tr0ub4dor/x+1@ho5t@host/db"
    said = masked("Port 'Tr0ub4dor' of host 'ho5t@host': x+1", address)
    assert said == "Port '***' of host '***@host': ***"


def _fail_as_libraries_do(address: str) -> None:
    try:
        try:
            raise OSError(13, "refused", address)
        except OSError as error:
            raise KeyError(f"password=secret in {address}") from error
    except KeyError:
        # A chain by context alone.
        raise ValueError("cannot be read: secret")  # noqa: B904


def test_no_error_and_none_that_it_came_from_carries_a_secret() -> None:
    address = "postgresql://user:secret@host/db"
    with pytest.raises(ValueError, match=r"cannot be read: \*\*\*") as met, nothing_secret_raised(address):
        _fail_as_libraries_do(address)
    chain = [met.value, met.value.__context__, met.value.__context__.__cause__]  # type: ignore[union-attr]
    assert not any("secret" in "".join(traceback.format_exception_only(each)) for each in chain)
    assert "refused" in str(chain[-1])


def test_addresses_of_our_own_variables_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGUIDE_PROBLEM", "name: x\nsource:\n  uri: postgresql://u:secret@host/db\n")
    assert "secret" not in masked("login with secret", *addresses_in_environment())


SLOW_IF_CARELESS = [
    "a:",
    "a:b@",
    "%3Fsig",
    "%3A%2F%2Fa%3A",
    "bearer 1",
    "x-token:",
    "('token",
    "\\'",
    "cookie: ",
    "--key ",
]


@pytest.mark.parametrize(
    "piece", ["a", "a-", "a.", "token", "passwordx", "api_key", "authorization", "a+", "x=", "?a", *SLOW_IF_CARELESS]
)
def test_a_long_text_is_masked_in_time(piece: str) -> None:
    """Data are printed, too: 40 kB of dots or dashes between letters took minutes."""
    text = piece * (40_000 // len(piece))
    started = process_time()
    assert "secret" not in masked(f"?{text}!\npassword=secret")
    assert process_time() - started < 2
