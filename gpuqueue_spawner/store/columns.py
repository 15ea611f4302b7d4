"""What a kind of column is on each database. Knows types, no table.

Used by tables.py and by the steps in migrations/: what is said here of a database never changes once it was released.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

NAME_LENGTH = 255  #: characters of a name


class _Bytewise(String):
    """Compared by its bytes on MySQL and MariaDB. Their better known utf8mb4_bin lets spaces at the end not count."""


@compiles(_Bytewise, "mysql")
def _bytewise(kind: _Bytewise, compiler: Any, **_options: Any) -> str:
    collation = "utf8mb4_nopad_bin" if compiler.dialect.is_mariadb else "utf8mb4_0900_bin"  # neither server has both
    return f"VARCHAR({kind.length}) CHARACTER SET utf8mb4 COLLATE {collation}"


def name(length: int = NAME_LENGTH) -> TypeEngine[str]:
    """Text that is compared byte for byte: Alice is not alice, and a space at the end counts.

    Three of 255 characters in one key are 3060 bytes; InnoDB allows 3072.
    """
    postgresql = String(length, collation="C")
    return String(length).with_variant(postgresql, "postgresql").with_variant(_Bytewise(length), "mysql")


def number() -> TypeEngine[int]:
    """A number that the database gives out itself, never twice."""
    return BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER


def text() -> TypeEngine[str]:
    """Text that is never compared, of any length: MySQL's TEXT ends at 64 KiB."""
    return Text().with_variant(LONGTEXT(), "mysql")
