"""`mlguide forget`: one entity leaves everything that is kept here, after a confirmation."""

import json
import sys

import typer

from mlguide_assets.console.terminal import console, screen
from mlguide_assets.define.loading import current_problem
from mlguide_assets.deploy.forgetting import Forgetting, forget
from mlguide_assets.deploy.online_store.store import StoreError
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.erasing import Erasure
from mlguide_assets.prepare.forgetting import USER
from mlguide_assets.settings import Home


def forget_user(home: Home, given: str, *, yes: bool, as_json: bool, store: str | None) -> None:
    """Forget one user, and say what was removed and which models learned from it.

    Raises:
        InputError: there is no such home, the id is not a number, there is no terminal to ask at, or a file or a store
            cannot be written.
    """
    home.require_used()
    try:
        erasure = Erasure(USER, int(given))
    except ValueError:
        raise InputError(f"--user is the id of a user, a whole number; given: {given!r}.") from None
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise InputError(
                "Forgetting cannot be undone, and there is no terminal to ask for confirmation: add --yes."
            )
        typer.confirm(
            f"Remove {USER.noun} {erasure.key} from every table, snapshot, log and store of {home.root}, for good?",
            abort=True,
        )
    try:
        done = forget(home, current_problem(home), erasure, lambda text: console.print(f"  {text}"), store=store)
    except StoreError as error:
        raise InputError(f"{error} What was begun is completed by running this again.") from error
    if as_json:
        sys.stdout.write(json.dumps({**done.__dict__, "entity": USER.noun, "found": done.found}, indent=2) + "\n")
    else:
        _print(erasure, done, home)


def _print(erasure: Erasure, done: Forgetting, home: Home) -> None:
    name = f"{erasure.entity.noun} {erasure.key}"
    if not done.found:
        screen.print(f"Nothing is kept of {name}. It is on the list now: no ingest will bring it in.")
    else:
        screen.print(f"Forgot {name}; no later ingest brings it back.")
    for table, rows in done.tables.items():
        screen.print(f"  {rows:>9,} rows of {table}, and of its earlier snapshots")
    screen.print(f"  {done.online_rows:>9,} rows of the online store")
    screen.print(f"  {done.log_lines:>9,} requests of the prediction log that had not landed")
    screen.print(f"  {done.other_files:>9,} other files: logs, reports, histories")
    if done.learned:
        learned = ", ".join(f"{version} (snapshot {snapshot})" for version, snapshot in done.learned.items())
        screen.print(f"Versions that learned from it: {learned}.")
        screen.print(home.commands("They keep what they learned: 'mlguide run' trains one without it."))
    screen.print("Files that were exported or copied elsewhere, and backups, are not reached.")
