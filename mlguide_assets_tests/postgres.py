"""A real PostgreSQL of the tests: its own cluster in a folder of its own, on a free port of the loopback interface."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

USER, PASSWORD = "lifecycle", f"s3cret-{secrets.token_hex(8)}"
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


@dataclass(frozen=True)
class Postgres:
    """A running server, which can be stopped and started."""

    programs: Path
    folder: Path
    port: int

    def database(self) -> str:
        """The address of a new database, with its password."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._execute("postgres", f"CREATE DATABASE {name}")
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        """As an administrator does: sessions are ended, nothing that was acknowledged is lost."""
        self._control("stop", "-m", "fast")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{self.folder}' {FAST}"
        self._control("start", "-o", options, "-l", str(self.folder / "log"))

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", *arguments)

    def _execute(self, database: str, statement: str) -> None:
        address = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"
        self._run("psql", "-q", "-c", statement, address)

    def initialise(self) -> None:
        given = self.folder / "password"
        given.write_text(PASSWORD)
        # A command that ran in this process before may have kept new files to their owner.
        _give_to_postgres(given)
        try:
            self._run(
                *("initdb", "-D", str(self.folder / "data"), "-U", USER, "--auth=scram-sha-256"),
                *(f"--pwfile={given}", "-E", "UTF8", "--no-sync", "--no-instructions"),
            )
        finally:
            given.unlink()

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        owner = {"user": "postgres"} if os.geteuid() == 0 else {}
        subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=60,
            **owner,  # type: ignore[call-overload]
        )


def _give_to_postgres(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, "postgres")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server with nothing in it. The test is skipped where PostgreSQL is not installed."""
    programs = _programs()
    # Below no folder that only the user of the tests may enter.
    folder = Path(mkdtemp(prefix="mlguide-postgres-"))
    try:
        _give_to_postgres(folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        server = Postgres(programs, folder, port)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):
                server._control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of initdb, pg_ctl and psql: Debian keeps them off the PATH."""
    pytest.importorskip("dagster_postgres", reason="the extra 'hosts' is not installed")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found += [Path(path).resolve() for path in [shutil.which("initdb")] if path]
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("root may not run PostgreSQL, and there is no user postgres")
    return found[0].parent
