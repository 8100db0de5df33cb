"""Files below a web address, served by a real server; what a server can do wrong is told in one sentence."""

import contextlib
import functools
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets_tests.prepare.ingesting import accepted, refusal
from mlguide_assets_tests.samples import sample_problem, sample_tables, write_sample

SAMPLE = {name: table.to_pylist() for name, table in sample_tables().items()}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and below some addresses misbehaves."""

    def do_GET(self) -> None:
        if self.path.startswith("/failing/"):
            self.send_error(500)
        elif self.path.startswith("/closed/"):
            self.send_error(403)
        elif self.path.startswith("/page/"):
            self._answer(b"<html>\nSign in\n</html>\n", 23)
        elif self.path.startswith("/breaking/"):
            self._answer(b"id,date joined\n1,20", 1_000)
        elif self.path.startswith("/silent/"):
            time.sleep(1.5)
            self.close_connection = True
        elif self.path.startswith("/dripping/"):
            self._drip()
        elif self.path.startswith("/mute/"):
            self.close_connection = True
        elif self.path.startswith("/guarded/") and self.headers["Authorization"] != "Basic dXNlcjpzIGNyZXQ=":
            self.send_error(401)
        elif self.path.startswith("/signed/") and not self.path.endswith(".csv?x=1&sig=secret"):
            self.send_error(403)
        else:
            self.path = self.path.replace("/guarded/", "/csv%20files/").replace("/signed/", "/csv%20files/")
            super().do_GET()

    def _answer(self, body: bytes, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(30):
                self.wfile.write(b"i")
                time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    write_sample(folder / "csv files")
    write_sample(folder / "parquet", "parquet")
    write_sample(folder / "mixed", "parquet")
    (folder / "mixed" / "user_emails.parquet").unlink()
    (folder / "mixed" / "user_emails.csv").write_bytes((folder / "csv files" / "user_emails.csv").read_bytes())
    handler = functools.partial(Handler, directory=str(folder))
    write_sample(folder / "both")
    (folder / "both" / "user_profiles.parquet").write_bytes(b"stale")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("folder", ["csv%20files", "parquet/", "mixed"])
def test_files_below_an_address_are_read_like_files(folder: str, site: str, duck: Any, tmp_path: Path) -> None:
    assert accepted(sample_problem(f"{site}/{folder}"), duck, tmp_path) == SAMPLE


FAULTS = {
    "nothing": ("HTTP 404", "check the address"),
    "failing": ("HTTP 500", "check the address"),
    "closed": ("HTTP 403", "check the address"),
    "breaking": ("it broke off after 19 of 1,000 bytes", "check the address and the connection"),
    "mute": ("Remote end closed connection", "check the address and the connection"),
}


@pytest.mark.parametrize("folder", FAULTS)
def test_a_server_that_fails_is_reported_in_one_sentence(folder: str, site: str, duck: Any, tmp_path: Path) -> None:
    message = refusal(sample_problem(f"{site}/{folder}"), duck, tmp_path)
    assert message.startswith(f"{site}/{folder}/user_profiles.csv")
    assert " cannot be read (" in message
    for words in (*FAULTS[folder], "or give a folder with --source"):
        assert words in message


@pytest.mark.parametrize("folder", ["silent", "dripping"])
def test_a_server_that_hangs_is_waited_for_no_longer_than_stated(
    folder: str, site: str, duck: Any, tmp_path: Path
) -> None:
    source = {"kind": "files", "uri": f"{site}/{folder}", "timeout": "1s"}
    message = refusal(sample_problem("", source=source), duck, tmp_path)
    assert f"{site}/{folder}/user_profiles.csv" in message
    assert "sent less than 64 KB in 1 s" in message or "timed out" in message


def test_of_two_files_below_an_address_the_problem_file_names_one(site: str, duck: Any, tmp_path: Path) -> None:
    message = refusal(sample_problem(f"{site}/both"), duck, tmp_path)
    assert "/both has user_profiles.csv and user_profiles.parquet, each of which could be table" in message
    named = sample_problem(f"{site}/both", tables={"user_profiles": {"from": "user_profiles.csv"}})
    assert accepted(named, duck, tmp_path) == SAMPLE


def test_a_page_in_place_of_a_file_is_reported_by_how_it_starts(site: str, duck: Any, tmp_path: Path) -> None:
    assert "starts with '<html>'" in refusal(sample_problem(f"{site}/page"), duck, tmp_path)


def test_a_server_that_is_not_there_is_reported_with_its_address(duck: Any, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        message = refusal(sample_problem(address), duck, tmp_path)
    assert address in message
    assert "Connection refused" in message


@pytest.mark.parametrize("address", ["http://no such host/x", "http://", "http://[::1/x"])
def test_what_is_no_address_is_reported_as_it_was_given(address: str, duck: Any, tmp_path: Path) -> None:
    message = refusal(sample_problem(address), duck, tmp_path)
    assert address.rstrip("/") in message
    assert "check the address" in message


def test_a_password_in_an_address_is_sent_and_not_shown(site: str, duck: Any, tmp_path: Path) -> None:
    secret = site.replace("http://", "http://user:s%20cret@")
    assert accepted(sample_problem(f"{secret}/guarded"), duck, tmp_path) == SAMPLE
    message = refusal(sample_problem(f"{secret.replace('s%20cret', 'secret')}/guarded"), duck, tmp_path)
    assert "HTTP 401" in message
    assert "secret" not in message


def test_a_signature_is_sent_with_every_file_and_not_shown(site: str, duck: Any, tmp_path: Path) -> None:
    assert accepted(sample_problem(f"{site}/signed/?x=1&sig=secret"), duck, tmp_path) == SAMPLE
    message = refusal(sample_problem(f"{site}/signed?X-Amz-Signature=another-secret"), duck, tmp_path)
    assert "HTTP 403" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://shop/tables", "No tables are read from s3://: copy the files of s3://shop/tables to a folder"),
        ("postgresql://u:hidden@host/shop", "postgresql://u:***@host/shop is the address of a database: write kind: "),
    ],
)
def test_files_of_an_address_that_is_none_of_the_web_are_no_folder_that_is_missing(
    uri: str, said: str, duck: Any, tmp_path: Path
) -> None:
    told = refusal(sample_problem("", source={"kind": "files", "uri": uri}), duck, tmp_path)
    assert said in told
    assert "hidden" not in told
