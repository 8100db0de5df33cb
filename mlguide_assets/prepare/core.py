"""The core table: the three sources side by side."""

from functools import partial
from typing import Literal

import ibis

from mlguide_assets.prepare.digests import digest
from mlguide_assets.prepare.engine import pattern_of
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.rebuilding import current, fingerprint, notes_of, per_partition, plan

CORE = "core_users"
SENDS = "user_emails"
UNSENT = "unsent"
"""The partition of users who were never sent anything. It sorts behind all others."""

_REFERENCES = ("user_profiles", "email_content")


def join_core_users(
    user_profiles: ibis.Table,
    user_emails: ibis.Table,
    email_content: ibis.Table,
    how: Literal["left", "inner"] = "left",
) -> ibis.Table:
    """Profiles, left-joined to their sends, left-joined to the content of these.

    One row per send, and one row with null send columns per user who was never sent anything; an inner join leaves
    these users out.
    """
    profiles = user_profiles.rename(user_id="id")
    content = email_content.rename(content_id="id")
    sends = user_emails.rename(receiver_id="user_id")
    joined = profiles.join(sends, profiles.user_id == sends.receiver_id, how=how)
    joined = joined.left_join(content, joined.email_id == content.content_id)
    columns = [name for name in joined.columns if name not in ("receiver_id", "content_id")]
    keys = ["user_id", "email_id", "delivered_at", "unsubscribed"]
    ordered = joined.select(*keys, *[name for name in columns if name not in keys])
    return ordered.order_by("delivered_at", "user_id", "email_id", "unsubscribed")


def rebuilt_core_users(lake: Lake) -> Partitions:
    """`core_users` by the partitions of `user_emails`, joined anew where those have changed.

    Raises:
        InputError: `user_emails` is of an earlier version.
    """
    now = {table: lake.snapshot(table) for table in (*_REFERENCES, SENDS)}
    read = {table: lake.read(table, snapshot_id=snapshot.id) for table, snapshot in now.items()}
    notes, references = notes_of(now[SENDS]), {table: digest(read[table]) for table in _REFERENCES}
    # What a killed ingest left side by side does not go together: then nothing is as it was.
    torn = references if references != notes["references"] else None
    made_of = partial(fingerprint, CORE, code_of=__name__)
    inputs = {key: made_of(file.inputs, torn) for key, file in now[SENDS].partitions.items()}
    chosen = plan({**inputs, UNSENT: made_of(inputs, references)}, current(lake, CORE))

    def files(table: str, keys: list[str] | None = None) -> list[str]:
        return [pattern_of(path) for path in lake.files(table, partitions=keys, snapshot_id=now[table].id)]

    others = {table: files(table) for table in _REFERENCES}
    sent = {key: {**others, SENDS: files(SENDS, [key])} for key in chosen.stale if key != UNSENT}
    unsent = {UNSENT: {**others, SENDS: files(SENDS)}} if UNSENT in chosen.stale else {}
    schemas = {table: rows.schema() for table, rows in read.items()}
    anew = per_partition(lake.connection, partial(join_core_users, how="inner"), schemas, sent)
    anew |= per_partition(lake.connection, _without_sends, schemas, unsent)
    passed_on = {name: notes[name] for name in ("open_from", "landed")}
    return Partitions(anew, chosen.inputs, kept=chosen.kept, notes=passed_on)


def _without_sends(user_profiles: ibis.Table, user_emails: ibis.Table, email_content: ibis.Table) -> ibis.Table:
    """The rows of users who were never sent anything."""
    silent = user_profiles.anti_join(user_emails, user_profiles.id == user_emails.user_id)
    return join_core_users(silent, user_emails.limit(0), email_content)
