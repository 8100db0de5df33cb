"""Removing one entity from the database that hosts share: mentions in any text of Dagster, MLflow and this package."""

from typing import TYPE_CHECKING

from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.hosts.database import SCHEMAS, connected, shared_database

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class of a driver that names it so

_TEXTS = (
    "SELECT table_schema, table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = ANY(%s) AND is_updatable = 'YES' AND data_type IN ('text', 'character varying')"
)


def erase_from_database(erasure: Erasure) -> int:
    """Overwrite the mentions in the tables; the number of rows that had any. Copies in its backups stay.

    Raises:
        InputError: the database does not answer or refuses.
    """
    if shared_database() is None:
        return 0
    with connected() as connection:
        with connection.cursor() as cursor:
            # Dagster's are in the default one.
            cursor.execute(_TEXTS, [[*SCHEMAS, "public"]])
            columns = cursor.fetchall()
        return sum(_blank(connection, erasure, *each) for each in columns)


def _blank(connection: "Connection", erasure: Erasure, schema: str, table: str, column: str) -> int:
    from psycopg2.sql import SQL, Identifier

    names = {"table": Identifier(schema, table), "column": Identifier(column)}
    with connection.cursor() as cursor:
        cursor.execute(
            SQL("SELECT ctid, {column} FROM {table} WHERE strpos({column}, %s) > 0").format(**names),
            [erasure.pattern.plain_part],
        )
        changed = [(new, row, text) for row, text in cursor.fetchall() if (new := erasure.blanked_value(text)) != text]
        # A row that somebody has changed meanwhile has another place: running it again completes it.
        update = SQL("UPDATE {table} SET {column} = %s WHERE ctid = %s::tid AND {column} = %s").format(**names)
        cursor.executemany(update, changed)
        if changed:
            # What was overwritten is freed, rather than left in the table's file.
            cursor.execute(SQL("VACUUM {table}").format(**names))
    return len(changed)
