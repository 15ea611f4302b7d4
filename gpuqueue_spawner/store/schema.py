"""Which tables a database has, and how it gets those of this version. Knows revisions; the steps are in migrations/.

An upgrade is one transaction: it happens as a whole or not at all. Where a database cannot do that, an upgrade that
stopped in the middle is known as such (interrupted.py).
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from . import interrupted
from .database import Database
from .errors import UPGRADE, SchemaMismatch
from .tables import metadata

MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS = "gpuqueue_schema"  #: table that names the revision; not Alembic's default: a Hub may share the database


class Schema:
    """The revision of a database against that of this version.

    :param migrations: folder of the steps.
    """

    def __init__(self, database: Database, *, migrations: Path = MIGRATIONS) -> None:
        self._database = database
        self._config = Config()
        self._config.set_main_option("script_location", str(migrations).replace("%", "%%"))
        self._config.attributes["version_table"] = VERSIONS
        self._steps = ScriptDirectory.from_config(self._config)
        self.expected: str = self._steps.get_current_head()

    def check(self) -> None:
        """Make sure that the database has exactly this version's schema.

        :raises SchemaMismatch: it has another, a part of one, or none.
        :raises InvalidDatabase: it may lose what it is told.
        """
        if self._database.path and not self._database.path.exists():
            raise SchemaMismatch(None, self.expected)
        with self._database.reading() as tx:
            self._database.refuse_unfit(tx)
            found = self._found(tx)
            self._refuse_unknown(tx, found)
            if found != self.expected:
                raise SchemaMismatch(found, self.expected)
            self._refuse_incomplete(tx, found)

    def upgrade(self) -> None:
        """Bring the database to this version's schema, from any earlier one or from nothing.

        :raises SchemaMismatch: it is of a newer version, or half-made by hand.
        """
        self._database.create()
        with self._database.upgrading() as tx:
            if interrupted.read(tx) == "":
                interrupted.start_over(tx, VERSIONS)
            found = self._found(tx)
            self._refuse_unknown(tx, found)
            if found == self.expected:
                self._refuse_incomplete(tx, found)
                return
            with nullcontext() if self._database.takes_tables_back else interrupted.marked(tx, found):
                self._config.attributes["connection"] = tx
                command.upgrade(self._config, "head")
                self._refuse_incomplete(tx, self.expected)

    def _found(self, tx: Connection) -> str | None:
        if not inspect(tx).has_table(VERSIONS):
            return None
        found = tx.execute(text(f"SELECT version_num FROM {VERSIONS}")).scalars().all()  # noqa: S608  # a constant
        return ", ".join(sorted(found)) or None

    def _refuse_unknown(self, tx: Connection, found: str | None) -> None:
        """Refuse what no step of ours leads on from."""
        began_with = interrupted.read(tx)
        if began_with is not None:
            raise SchemaMismatch(
                found,
                self.expected,
                why=f"is half-upgraded (an upgrade from {began_with or 'nothing'} has not ended)",
                remedy=f"restore a backup, then run `{UPGRADE}`" if began_with else f"run `{UPGRADE}`",
            )
        if found is None:
            stray = sorted(metadata.tables.keys() & set(inspect(tx).get_table_names()))
            if stray:
                raise SchemaMismatch(
                    None,
                    self.expected,
                    why=f"is half-upgraded (it has {', '.join(stray)}, but no revision)",
                    remedy=f"restore a backup or use an empty database, then run `{UPGRADE}`",
                )
        elif found not in {step.revision for step in self._steps.walk_revisions()}:
            raise SchemaMismatch(
                found,
                self.expected,
                remedy=f"install the version of gpuqueue that made it; `{UPGRADE}` only goes forward",
            )

    def _refuse_incomplete(self, tx: Connection, found: str) -> None:
        inspector = inspect(tx)
        present = {
            table: {column["name"] for column in columns}
            for (_, table), columns in inspector.get_multi_columns().items()
        }
        missing = sorted(
            f"{table.name}.{column.name}"
            for table in metadata.tables.values()
            for column in table.columns
            if column.name not in present.get(table.name, ())
        )
        if missing:
            raise SchemaMismatch(
                found,
                self.expected,
                why=f"is half-upgraded (missing: {', '.join(missing)})",
                remedy=f"restore a backup, then run `{UPGRADE}`",
            )
