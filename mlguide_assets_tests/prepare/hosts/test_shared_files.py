"""Files that hosts share: on one host in the home alone, else on object storage: a local S3 server."""

import threading
from pathlib import Path

import pytest

from mlguide_assets.define.loading import current_problem, dump_problem, problems_of_home
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts import shared_files
from mlguide_assets.prepare.hosts.shared_problems import fetch_problems, publish_problems
from mlguide_assets.prepare.lake import bucket as bucket_module
from mlguide_assets.settings import DATABASE_VARIABLE, HOME_VARIABLE, LAKE_VARIABLE, Home, shared_address
from mlguide_assets_tests.object_store import ObjectServer
from mlguide_assets_tests.samples import sample_problem

NOWHERE = "postgresql://nobody@127.0.0.1:9/none"
"""Whether hosts share files is known without asking the database."""


@pytest.fixture
def shared(objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the lake of hosts, of which this process is one."""
    monkeypatch.setenv(LAKE_VARIABLE, address := objects.address())
    monkeypatch.setenv(DATABASE_VARIABLE, NOWHERE)
    move_to(tmp_path / "one", monkeypatch)
    return address


@pytest.fixture(params=["one host", "hosts"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "hosts":
        request.getfixturevalue("shared")
    (tmp_path / "one").mkdir(exist_ok=True)
    return tmp_path / "one"


def move_to(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this process be the host with that home."""
    home.mkdir(exist_ok=True)
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    return home


class TestSmallFiles:
    def test_what_is_written_is_read_and_marked(self, home: Path) -> None:
        path, marks = home / "bundles" / "champion.json", list[object]()
        assert (shared_files.read(path), shared_files.mark(path)) == (None, None)
        for content in (b"1", b"2"):
            shared_files.replace(path, content)
            assert shared_files.read(path) == content
            marks.append(shared_files.mark(path))
        assert marks[0] != marks[1] == shared_files.mark(path)
        assert shared_files.names(home / "bundles") == ["champion.json"]
        shared_files.remove(path)
        assert shared_files.read(path) is None

    def test_a_change_follows_from_what_was_there(self, home: Path) -> None:
        path = home / "clock.json"
        assert shared_files.change(path, lambda before: (before or b"") + b"a") == b"a"
        assert shared_files.change(path, lambda before: (before or b"") + b"b") == b"ab"

    def test_no_change_of_another_host_is_lost(self, shared: str, tmp_path: Path) -> None:
        path, wait = tmp_path / "one" / "count", threading.Barrier(2)

        def count(digit: bytes) -> None:
            wait.wait()
            for _ in range(5):
                shared_files.change(path, lambda before: (before or b"") + digit)

        threads = [threading.Thread(target=count, args=(digit,)) for digit in (b"a", b"b")]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(shared_files.read(path) or b"") == sorted(b"aaaaabbbbb")


class TestFolders:
    def test_a_folder_of_one_host_is_fetched_by_another(
        self, shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "one" / "bundles" / "7"
        (folder / "plots").mkdir(parents=True)
        (folder / "model").write_bytes(b"m")
        (folder / "plots" / "a.png").write_bytes(b"p")
        shared_files.publish_folder(folder)
        other = move_to(tmp_path / "other", monkeypatch) / "bundles" / "7"
        assert shared_files.has_folder(other)
        fetched = shared_files.fetch_folder(other)
        assert {path.relative_to(fetched).as_posix() for path in fetched.rglob("*") if path.is_file()} == {
            "model",
            "plots/a.png",
        }
        assert (fetched / "model").read_bytes() == b"m"
        shared_files.remove_folder(other)
        assert not shared_files.has_folder(other.with_name("8"))
        assert shared_files.names(other.parent) == []

    def test_half_a_folder_is_never_seen(
        self, shared: str, objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "one" / "bundles" / "7"
        folder.mkdir(parents=True)
        (folder / "model").write_bytes(b"m")
        monkeypatch.setattr(bucket_module, "RETRY_SECONDS", 0.5)
        with objects.failing(lambda method, _: "503 SlowDown" if method == "PUT" else None), pytest.raises(InputError):
            shared_files.publish_folder(folder)
        other = move_to(tmp_path / "other", monkeypatch) / "bundles" / "7"
        assert not shared_files.fetch_folder(other).exists()

    def test_one_host_asks_nobody(self, tmp_path: Path) -> None:
        shared_files.publish_folder(tmp_path)
        assert shared_files.fetch_folder(tmp_path / "none") == tmp_path / "none"
        assert not shared_files.has_folder(tmp_path / "none")


def test_files_are_shared_where_both_database_and_lake_are(shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shared_address() == f"{shared}/_shared"
    monkeypatch.delenv(DATABASE_VARIABLE)
    assert shared_address() is None
    monkeypatch.setenv(DATABASE_VARIABLE, NOWHERE)
    monkeypatch.setenv(LAKE_VARIABLE, "/a/folder")
    assert shared_address() is None


def test_a_path_outside_the_home_is_refused(shared: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not in the subpath"):
        shared_files.replace(tmp_path / "elsewhere", b"")


def test_problems_are_shared_and_passwords_are_not(
    shared: str, objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = sample_problem("postgresql://u:s3cret@host/db")
    one = Home(tmp_path / "one")
    kept = dump_problem(problem, passwords=True)
    one.active_problem.write_text(kept)
    publish_problems(one, [problem], problem)
    fetch_problems(one)
    assert one.active_problem.read_text() == kept, "the host that was given the password has it still"
    other = Home(move_to(tmp_path / "other", monkeypatch))
    fetch_problems(other)
    assert current_problem(other).source == sample_problem("postgresql://u:***@host/db").source
    assert [path.name for path in other.problems.iterdir()] == [f"{problem.key}.yaml"]
    assert not any(b"s3cret" in content for content in objects.objects(shared).values())
    # Half a file, as a full disk leaves it, or an edit: what all hosts have repairs it.
    (other.problems / f"{problem.key}.yaml").write_text("name: [")
    fetch_problems(other)
    assert list(problems_of_home(other)) == [problem.key]
