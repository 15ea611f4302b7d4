"""Who wrote what into a queue in PostgreSQL, noted by the database itself, whatever the writers say or believe.

Knows triggers. Each write is noted with the number of the leadership that holds at that moment: a former leader that
still writes makes two writers of one number.
"""

from __future__ import annotations

from collections import defaultdict

import psycopg

TABLES = ("leader", "jobs", "job_requests", "job_events", "held_devices", "node_marks", "usage_days")
NOTE = """
CREATE TABLE audit (seq bigserial PRIMARY KEY, writer text, fence bigint, written text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (writer, fence, written)
    SELECT coalesce(host(inet_client_addr()), current_setting('application_name')), fence, TG_TABLE_NAME FROM leader;
    RETURN NULL;
END $$;
"""


class Audit:
    """The notes of one database, which has its tables already. A writer is an address, or an application's name."""

    def __init__(self, address: str) -> None:
        self._address = address

    def begin(self) -> None:
        """Note from now on."""
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(NOTE)
            for table in TABLES:
                connection.execute(
                    f"CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON {table}"
                    " FOR EACH ROW EXECUTE FUNCTION note()".encode()
                )

    def writers(self) -> dict[int, set[str]]:
        """Who wrote, by the number of the leadership at that time."""
        found: defaultdict[int, set[str]] = defaultdict(set)
        for writer, fence in self._ask("SELECT DISTINCT writer, fence FROM audit ORDER BY fence"):
            found[int(fence)].add(str(writer))
        return dict(found)

    def leader(self) -> int:
        """The number of the leadership that holds now."""
        ((fence,),) = self._ask("SELECT fence FROM leader")
        return int(fence)

    def writes(self, table: str) -> int:
        """How many rows of a table were written."""
        ((count,),) = self._ask("SELECT count(*) FROM audit WHERE written = %s", table)
        return int(count)

    def length(self) -> int:
        """How many rows were written in all."""
        ((last,),) = self._ask("SELECT coalesce(max(seq), 0) FROM audit")
        return int(last)

    def _ask(self, query: str, *values: object) -> list[tuple[int | str, ...]]:
        with psycopg.connect(self._address) as connection:
            return connection.execute(query.encode(), values).fetchall()
