"""From the tables of the lake to the state that is published online."""

from datetime import datetime

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.store import OnlineStore, Publication, State
from mlguide_assets.prepare.features.tables import email_state, last_sends
from mlguide_assets.prepare.lake import Lake

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


def publish_online(store: OnlineStore, state: State, lake: Lake) -> bool:
    """Publish a state, and keep what it was computed from as long as its answers may be asked after.

    Returns:
        Whether it was published: an older state does not replace a newer.
    """
    reason, snapshots = f"{_PIN}{state.publication.id}", state.publication.snapshots
    new = [table for table in snapshots if reason not in lake.pinned(table)]
    # Before it is published: no answer may come from what is not kept.
    for table in new:
        lake.pin(table, snapshots[table], reason)
    published = store.publish(state)
    for table in new:
        if not published:
            lake.unpin(table, reason)
    if published:
        _let_go(lake)
    return published


def _let_go(lake: Lake) -> None:
    """Unpin all publications but the last."""
    for reason in list(pinned_publications(lake))[:-KEPT_PUBLICATIONS]:
        for table in PUBLISHED_FROM:
            lake.unpin(table, f"{_PIN}{reason}")


def pinned_publications(lake: Lake) -> dict[str, dict[str, str]]:
    """The publications whose tables are kept: id → table → snapshot."""
    pins = {table: lake.pinned(table) for table in PUBLISHED_FROM}
    ids = set.intersection(*({reason for reason in kept if reason.startswith(_PIN)} for kept in pins.values()))
    return {reason.removeprefix(_PIN): {table: kept[reason] for table, kept in pins.items()} for reason in sorted(ids)}
