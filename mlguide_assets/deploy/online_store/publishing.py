"""From the tables of the lake to the state that is published online."""

from datetime import date, datetime

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.store import OnlineStore, Publication, State, StoreError
from mlguide_assets.prepare.features.tables import email_state, last_sends
from mlguide_assets.prepare.lake.lake import Lake

MOST_CANDIDATES = 1000
SOME_USERS = 30
PUBLISHED_FROM = ("core_users", "user_profiles", "email_content")
"""What logged features are computed from again, to compare."""

KEPT_PUBLICATIONS = 8
_PIN = "published-"


def state_of(
    users: ibis.Table,
    core_users: ibis.Table,
    email_content: ibis.Table,
    send_features: ibis.Table,
    problem: Problem,
    lake: Lake,
    as_of: datetime,
) -> State:
    """The state of an instant, with its emails and last sends.

    Args:
        users: rows of `user_state` as of the instant.
    """
    # In memory: it is looked into four times, and there are not many emails.
    emails = ibis.memtable(email_state(core_users, email_content, problem, as_of).to_pyarrow())
    newest = emails.order_by(emails.created_at.desc(), emails.email_id.desc()).limit(MOST_CANDIDATES)
    busiest = users.order_by(users.number_of_emails.desc(), "user_id").limit(SOME_USERS)
    publication = Publication(
        as_of=as_of,
        snapshots={table: lake.snapshot(table).id for table in PUBLISHED_FROM},
        newest_emails=tuple(newest.email_id.to_pyarrow().to_pylist()),
        some_users=tuple(busiest.user_id.to_pyarrow().to_pylist()),
    )
    return State(publication, users, emails, last_sends(send_features, problem, as_of))


def publish_online(store: OnlineStore, state: State, lake: Lake, *, newest: date) -> str:
    """Publish the state of the newest day, and keep what it was computed from while its answers may be asked after.

    It replaces whatever is published, also the state of a later day: then the data of that day were taken back.

    Args:
        newest: the day to score for, by the data's clock.

    Returns:
        What is online now and why, as a sentence.
    """
    if state.publication.as_of.date() != newest:
        return f"Not published: users are served as of {newest}, the newest day that the data reach."
    before = _as_of(store)
    reason, snapshots = f"{_PIN}{state.publication.id}", state.publication.snapshots
    new = [table for table in snapshots if reason not in lake.pinned(table)]
    # Before it is published: no answer may come from what is not kept.
    for table in new:
        lake.pin(table, snapshots[table], reason)
    store.publish(state, over_newer=True)
    _let_go(lake, state.publication.id)
    if before is not None and before > state.publication.as_of:
        return f"Published, in place of the state of {before}, which the data no longer reach."
    return "Published."


def _as_of(store: OnlineStore) -> datetime | None:
    """Of the state that is published; None where there is none, or it is damaged."""
    try:
        current = store.current()
    except StoreError:
        return None
    return current.publication.as_of if current else None


def _let_go(lake: Lake, current: str) -> None:
    """Unpin all publications but the last, and the current one."""
    for reason in list(pinned_publications(lake))[:-KEPT_PUBLICATIONS]:
        for table in PUBLISHED_FROM if reason != current else ():
            lake.unpin(table, f"{_PIN}{reason}")


def pinned_publications(lake: Lake) -> dict[str, dict[str, str]]:
    """The publications whose tables are kept: id → table → snapshot."""
    pins = {table: lake.pinned(table) for table in PUBLISHED_FROM}
    ids = set.intersection(*({reason for reason in kept if reason.startswith(_PIN)} for kept in pins.values()))
    return {reason.removeprefix(_PIN): {table: kept[reason] for table, kept in pins.items()} for reason in sorted(ids)}
