"""Where things are: the home directory and every path below it, and the lake where it is elsewhere."""

import contextlib
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlguide_assets.errors import InputError

HOME_VARIABLE = "MLGUIDE_HOME"
OPTION_VARIABLE = "MLGUIDE_HOME_OPTION"
"""Set with `HOME_VARIABLE` by a command, for this process and those that it starts: the root of the home, and in a
second line what names it on the command line. The shell in which a printed command is typed has neither."""
DATABASE_VARIABLE = "MLGUIDE_DATABASE"
"""The PostgreSQL that several hosts share: run history, registry and alerts are in it rather than in the home."""
ALLOWED_HOSTS_VARIABLE = "MLGUIDE_ALLOWED_HOSTS"
"""Names by which `mlguide ui` and `mlguide serve` may be addressed besides their own, separated by commas."""
LAKE_VARIABLE = "MLGUIDE_LAKE"
"""Where the lakes of all problems are, if not in the home: `s3://bucket/prefix` and the like, or a folder."""
CHOSEN_VARIABLE = "MLGUIDE_CHOSEN_PROBLEM"
"""Set by `--problem`, for this process and those that it starts: the commands that they print repeat it."""
BUCKETS = ("s3", "gs", "az", "abfss")
"""The schemes of object storage."""
DEFAULT_HOME = ".mlguide"
LONGEST_HOME = 440
"""Bytes of a home's path. SQLite allows 504 for a database, and the longest name below a home has 61."""


COMMANDS_ON_A_HOME = (
    "run", "status", "promote", "rollback", "history", "reproduce", "report", "alerts", "forget", "export", "ui",
    "serve",
    *(f"experiment {name}" for name in ("value", "plan", "start", "status", "stop", "results", "list")),
    *(f"canary {name}" for name in ("status", "stop")),
)  # fmt: skip
"""Those that take the home that they work on: `--home`."""


@dataclass(frozen=True)
class LakePlace:
    """Where the lake of one problem is.

    Attributes:
        root: its folder; where it is on object storage, that of what this host keeps of it.
        address: on object storage, such as `s3://bucket/prefix/problem`.
    """

    root: Path
    address: str | None = None

    def __str__(self) -> str:
        return self.address or str(self.root)


@dataclass(frozen=True)
class Home:
    """The directory that holds everything one installation knows.

    Lake, bundles, oracle and online store are kept per problem (`Problem.key`), so two problems can share
    a home and never meet; the registry and Dagster's history are shared and name the problem themselves.
    """

    root: Path
    option: str = field(default="", compare=False)
    """What a command needs to find this home again: `--home DIR`, or nothing where it is the default."""

    @classmethod
    def locate(cls, given: Path | None = None) -> "Home":
        """The directory given, else `MLGUIDE_HOME`, else `.mlguide` in the working directory."""
        default = Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser().resolve()
        root = given.expanduser().resolve() if given else default
        entered, _, option = os.environ.get(OPTION_VARIABLE, "").partition("\n")
        if entered == str(root):
            return cls(root, option)
        return cls(root, "" if given is None or root == default else f"--home {shlex.quote(str(given))}")

    def make_default(self) -> None:
        """Let this process, and those that it starts, work on this home; the commands that they print still name it."""
        os.environ |= {HOME_VARIABLE: str(self.root), OPTION_VARIABLE: f"{self.root}\n{self.option}"}

    def commands(self, text: str) -> str:
        """A text whose `mlguide` commands find this home, and the problem that was chosen of it.

        >>> Home(Path("other"), "--home other").commands("'mlguide run' trains a model")
        "'mlguide run --home other' trains a model"
        >>> Home(Path("other"), "--home other").commands("'mlguide experiment list' lists them, 'mlguide init' drafts")
        "'mlguide experiment list --home other' lists them, 'mlguide init' drafts"
        """
        chosen = os.environ.get(CHOSEN_VARIABLE)
        for option in (f"--problem {chosen}" if chosen else "", self.option):
            text = with_option(text, option) if option else text
        return text

    @property
    def is_used(self) -> bool:
        """Whether anything was ever run here."""
        return any(path.exists() for path in (self.active_problem, self.dagster, self.root / "lake"))

    def require_used(self) -> None:
        """Refuse a home in which nothing was ever run, a mistyped path most likely, unless the lake is elsewhere.

        Raises:
            InputError: names the directory and how to fill it.
        """
        if not self.is_used and not os.environ.get(LAKE_VARIABLE):
            what = "has no run in it" if self.root.is_dir() else "does not exist"
            raise InputError(
                f"The home {self.root} {what}: check --home or {HOME_VARIABLE}, or fill it with 'mlguide run'."
            )

    def require_there(self) -> None:
        """Refuse a home whose folder does not exist, unless the lake is elsewhere: who only reads would make it, and
        wait in it for ever. An empty folder is a home that is filled later, such as a new disk of a container.

        Raises:
            InputError: names the directory and how to fill it.
        """
        if not self.root.is_dir():
            self.require_used()

    @property
    def active_problem(self) -> Path:
        """The problem that the last successful run worked on, complete and self-contained."""
        return self.root / "problem.yaml"

    @property
    def first_problem(self) -> Path:
        """The problem of a first run that has not succeeded, without passwords: what there is, is of this problem."""
        return self.root / "first_problem.yaml"

    @property
    def problems(self) -> Path:
        """The problems that a run has succeeded with, a file each, by their keys."""
        return self.root / "problems"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    @property
    def run_lock(self) -> Path:
        """Locked by the process whose run works on this home."""
        return self.root / ".run.lock"

    @property
    def ui_lock(self) -> Path:
        """Locked by the processes of `mlguide ui`."""
        return self.root / ".ui.lock"

    def lake(self, problem: str) -> LakePlace:
        """In the home, unless `MLGUIDE_LAKE` says where.

        Raises:
            InputError: it does not say where a lake can be.
        """
        if not (address := os.environ.get(LAKE_VARIABLE, "").rstrip("/")):
            return LakePlace(self.root / "lake" / problem)
        if folder := _folder_of(address):
            return LakePlace(folder / problem)
        return LakePlace(self.lake_cache / problem, f"{address}/{problem}")

    @property
    def lake_cache(self) -> Path:
        """What this host keeps of lakes on object storage; it may be removed while nothing runs."""
        return self.root / "lake_cache"

    def bundles(self, problem: str) -> Path:
        return self.root / "bundles" / problem

    @property
    def plots(self) -> Path:
        """The pictures that the UI shows: what is here is served to whoever may use it, by problem."""
        return self.root / "plots"

    def leakage(self, problem: str) -> Path:
        """What the leakage alarms found at last."""
        return self.root / "leakage" / f"{problem}.json"

    def candidates(self, problem: str) -> Path:
        return self.root / "candidates" / problem

    def oracle(self, problem: str) -> Path:
        """The simulator's truth, outside the lake: no feature or training code is given this path."""
        return self.root / "oracle" / problem

    def simulation_clock(self, problem: str) -> Path:
        """When the simulated world of a problem was first read, where it goes on in real time."""
        return self.root / "clocks" / f"{problem}.json"

    def card(self, problem: str, version: str) -> Path:
        return self.root / "cards" / problem / version

    def online_store(self, problem: str) -> Path:
        return self.root / "online" / f"{problem}.sqlite"

    def served(self, problem: str) -> Path:
        """The prediction log of the API, before it lands in the lake."""
        return self.root / "served" / problem

    def faults(self, problem: str) -> Path:
        """What the API refused or failed on, as its servers count it."""
        return self.served(problem) / "faults"

    def drift_reports(self, problem: str) -> Path:
        return self.root / "reports" / problem / "drift"

    def about(self, problem: str) -> tuple[Path, ...]:
        """Files and folders that record something of this problem alone, besides its lake, bundles and log."""
        folders = (self.candidates, self.oracle, self.alerts)
        files = (self.leakage, self.simulation_clock, self.ticks)
        shared = (self.plots, self.root / "cards", self.root / "reports", self.registry / "artifacts")
        return (*(place(problem) for place in (*folders, *files)), *(place / problem for place in shared))

    def forgotten(self, problem: str) -> Path:
        """The list of forgotten entities of a problem: it outlives the lake, and every ingest reads it."""
        return self.root / "forgotten" / f"{problem}.json"

    def alerts(self, problem: str) -> Path:
        return self.root / "alerts" / problem

    def ticks(self, problem: str) -> Path:
        """What every retraining trigger decided, before it lands in the lake."""
        return self.root / "retraining" / f"{problem}.jsonl"

    def ensure_writable(self) -> None:
        """Fail now, with one sentence, rather than half-way through a run; and keep what is written from others."""
        if (length := len(os.fsencode(self.root.absolute()))) > LONGEST_HOME:
            raise InputError(
                f"The path of the home directory {self.root} has {length} bytes, and SQLite opens no database "
                f"below one of more than {LONGEST_HOME}: choose a shorter one with --home or {HOME_VARIABLE}."
            )
        probe = self.root / f".write-test-{os.getpid()}"
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            # From now on this process, and those that it starts, write for the home's owner; for the group, too, where
            # the owner lets it write here. Never for others: there are rows, predictions and logs.
            os.umask(0o007 if self.root.stat().st_mode & 0o020 else 0o077)
            probe.write_bytes(b"mlguide")
            probe.unlink()
        except OSError as error:
            # On a full disk it is there, and empty.
            with contextlib.suppress(OSError):
                probe.unlink()
            raise InputError(
                f"The home directory {self.root} cannot be written ({error.strerror or error}): "
                f"choose another with --home or {HOME_VARIABLE}, or fix its permissions or free space."
            ) from error


def shared_address() -> str | None:
    """Below which hosts keep the files that all of them need; None where the home has all.

    That is where they share both a database, whose locks reach all of them, and a lake on object storage.

    Raises:
        InputError: `MLGUIDE_LAKE` does not say where a lake can be.
    """
    lake = os.environ.get(LAKE_VARIABLE, "").rstrip("/")
    if not lake or not os.environ.get(DATABASE_VARIABLE) or _folder_of(lake):
        return None
    # No problem has a key that begins so.
    return f"{lake}/_shared"


def _folder_of(address: str) -> Path | None:
    """The folder that the lake's variable names; None where it names object storage."""
    parts = urlsplit(address)
    if parts.scheme in BUCKETS and parts.netloc and not (parts.password or parts.query or parts.fragment):
        return None
    path = Path(unquote(parts.path) if parts.scheme == "file" else address).expanduser()
    if "://" in str(path) or not path.is_absolute() or parts.netloc:
        # It is not repeated: it may hold a password.
        raise InputError(
            f"{LAKE_VARIABLE} must be a bucket and a prefix ({', '.join(BUCKETS)}), such as s3://bucket/prefix, or an "
            f"absolute folder; keys and passwords are no part of it, they go in the variables of the store, such as "
            f"AWS_ACCESS_KEY_ID."
        )
    return path


def with_option(text: str, option: str) -> str:
    """The text with an option behind each command on a home that lacks it.

    >>> with_option("'mlguide run' trains one", "--problem churn")
    "'mlguide run --problem churn' trains one"
    """
    command = rf"\bmlguide (?![^'\n]{{0,80}}{option.split()[0]})(?:{'|'.join(COMMANDS_ON_A_HOME)})\b(?!-)"
    # A function: in a replacement text, a backslash of the path would be an escape.
    return re.sub(command, lambda found: f"{found[0]} {option}", text)
