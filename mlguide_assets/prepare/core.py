"""The core table: the three sources side by side."""

from typing import Literal

import ibis

from mlguide_assets.define.tables import TableName
from mlguide_assets.prepare.digests import digest
from mlguide_assets.prepare.lake import Lake, Partitions, Query
from mlguide_assets.prepare.rebuilding import current, fingerprint, notes_of, per_partition, plan
from mlguide_assets.prepare.sends import SENDS

CORE = "core_users"
UNSENT = "unsent"
"""The partition of users who were never sent anything. It sorts behind all others."""

_REFERENCES: tuple[TableName, ...] = ("user_profiles", "email_content")


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
    """`core_users` by the partitions of `user_emails`, joined anew where those have changed."""
    sends, others = lake.snapshot(SENDS), {table: lake.snapshot(table) for table in _REFERENCES}
    profiles, content = (lake.read(table, snapshot_id=others[table].id) for table in _REFERENCES)
    references = {table: digest(rows) for table, rows in zip(_REFERENCES, (profiles, content), strict=True)}
    # What a killed ingest left side by side does not go together: then nothing is as it was.
    notes = notes_of(sends)
    torn = references if references != notes["references"] else None
    inputs = {key: fingerprint(CORE, file.inputs, torn) for key, file in sends.partitions.items()}
    silent = profiles.anti_join(all_sends := lake.read(SENDS, snapshot_id=sends.id), profiles.id == all_sends.user_id)
    unsent = lake.connection.compile(join_core_users(silent, all_sends.limit(0), content))
    chosen = plan({**inputs, UNSENT: fingerprint(CORE, inputs, references)}, current(lake, CORE))

    def join(sends: ibis.Table) -> ibis.Table:
        return join_core_users(profiles, sends, content, how="inner")

    files = {key: {"sends": str(lake.files(SENDS, partitions=[key], snapshot_id=sends.id)[0])} for key in inputs}
    joined = per_partition(
        lake.connection,
        join,
        {"sends": all_sends.schema()},
        {key: where for key, where in files.items() if key in chosen.stale},
    )
    anew = {key: Query(unsent) if key == UNSENT else joined[key] for key in chosen.stale}
    passed_on = {name: notes[name] for name in ("open_from", "landed")}
    return Partitions(anew, chosen.inputs, kept=chosen.kept, notes=passed_on)
