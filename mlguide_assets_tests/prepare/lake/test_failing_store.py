"""A store that fails, refuses or is not there: what that costs, and what is said."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake import bucket as bucket_module
from mlguide_assets.prepare.lake.bucket import Version
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import LakePlace
from mlguide_assets_tests.object_store import ObjectServer
from mlguide_assets_tests.prepare.lake.tables import numbers, values


def every_second(code: str, kinds: tuple[str, ...] = ("GET", "PUT", "DELETE")) -> Callable[[str, str], str | None]:
    calls = 0

    def rule(method: str, path: str) -> str | None:
        nonlocal calls
        calls += method in kinds
        return code if method in kinds and calls % 2 else None

    return rule


def puts_of(what: str, code: str) -> Callable[[str, str], str | None]:
    return lambda method, path: code if method == "PUT" and what in path else None


@pytest.mark.parametrize("failure", ["503 SlowDown", "cut", "cut after"])
def test_a_store_that_fails_in_bursts_costs_time_and_nothing_else(
    remote: Lake, other: Lake, objects: ObjectServer, failure: str
) -> None:
    kinds = ("PUT",) if failure == "cut after" else ("GET", "PUT", "DELETE")
    with objects.failing(every_second(failure, kinds)):
        for number in range(3):
            remote.append("t", numbers(number))
        assert other.read_arrow("t") == numbers(0, 1, 2)
    assert remote.snapshot("t").sequence == 3


def test_a_store_that_stays_away_is_reported_and_the_next_run_goes_on(
    remote: Lake, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = remote.write("t", numbers(1))
    monkeypatch.setattr(bucket_module, "RETRY_SECONDS", 0.5)
    later = Lake(remote.place)
    with objects.failing(puts_of("", "503 SlowDown")), pytest.raises(InputError) as caught:
        later.write("t", numbers(2))
    assert str(caught.value) == (
        f"The lake at {remote.place.address} is overloaded or failing (HTTP 503), and was tried again for 0 s: "
        f"run again later; what was there before is untouched."
    )
    assert remote.snapshot("t") == before
    later.write("t", numbers(2))
    assert values(remote) == [2]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("400 ExpiredToken", "refuses credentials whose session has expired"),
        ("403 InvalidAccessKeyId", "does not know these credentials"),
        ("403 AccessDenied", "does not allow this with these credentials"),
        ("301 PermanentRedirect", "is in another region"),
        ("400 Strange", r"failed \(Strange\)"),
    ],
)
def test_a_store_that_refuses_is_reported_in_one_sentence_without_keys(
    remote: Lake, objects: ObjectServer, failure: str, told: str
) -> None:
    remote.write("t", numbers(1))
    with objects.failing(lambda method, path: failure), pytest.raises(InputError, match=told) as caught:
        remote.write("t", numbers(2))
    assert values(remote) == [1]
    error: BaseException | None = caught.value
    assert "\n" not in str(error)
    while error is not None:
        # Also not where a record of the run looks.
        assert "AKIA" not in str(error)
        error = error.__cause__ or error.__context__


def test_a_session_that_expires_half_way_leaves_the_previous_snapshot(remote: Lake, objects: ObjectServer) -> None:
    remote.write("t", numbers(1))
    for last in ("/data/", "/snapshots/", "/head.json"):
        with objects.failing(puts_of(last, "400 ExpiredToken")), pytest.raises(InputError, match="session has expired"):
            remote.write("t", numbers(2))
        assert values(remote) == [1]
    remote.write("t", numbers(2))
    assert values(remote) == [2]


def test_a_missing_bucket_is_reported(objects: ObjectServer, tmp_path: Path) -> None:
    lake = Lake(LakePlace(tmp_path, "s3://nobodys/lake"))
    for look in (lambda: lake.write("t", numbers(1)), lake.tables, lambda: lake.exists("t")):
        with pytest.raises(InputError, match="s3://nobodys/lake has no bucket of that name: create it"):
            look()


def test_a_store_that_nobody_answers_for_is_reported(
    objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "RETRY_SECONDS", 0.2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="does not answer: check the network"):
        Lake(LakePlace(tmp_path, objects.address())).write("t", numbers(1))


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_reported(remote: Lake, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(InputError, match="no credentials were found: set those of the store"):
        remote.tables()


def test_a_store_without_conditional_writes_is_refused(
    remote: Lake, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "honours_conditions", False)
    with pytest.raises(InputError, match="ignores conditional writes"):
        remote.write("t", numbers(1))
    assert not remote.exists("t")


def test_a_condition_names_what_the_store_said() -> None:
    assert Version('"e"', None).mode == {"e_tag": '"e"'}
    assert Version(None, "7").mode == {"version": "7"}
