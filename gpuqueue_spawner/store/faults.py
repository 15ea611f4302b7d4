"""A driver's fault, put into words. Knows the words of SQLite and the codes of PostgreSQL
and MySQL, no table and no query.

Used around every access by database.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from .errors import StoreUnavailable, TakenBack

_SQLITE = {  # the driver has no codes for these in Python 3.11's older faults, its words have been stable for decades
    "locked": "another process kept it locked until the time limit ({timeout:g} s)",
    "is full": "no room is left on the disk",
    "unable to open": "the file cannot be opened (does it exist, and may this user read and write it?)",
    "readonly": "the file may only be read by this user",
    "disk I/O": "the disk reports an error on reading or writing",
    "malformed": "the file is damaged (restore a backup)",
    "not a database": "the file is not a database",
    "no such table": "a table is missing (run `gpuqueue upgrade-db`)",
    "no such column": "a column is missing (run `gpuqueue upgrade-db`)",
}
_TAKEN_BACK = "the server took a change back because of another one"
_SLOW = "a statement took longer than the time limit ({timeout:g} s)"
_LOCKED = "another session kept a row locked until the time limit ({timeout:g} s)"
_PAUSED = "this process was stopped in the middle of a change, which the server took back"
_READ_ONLY = "the server only allows reading (is it a standby?)"
_FORBIDDEN = "this user may not do that on the server"
_NO_TABLE = "a table is missing (run `gpuqueue upgrade-db`)"
_NO_COLUMN = "a column is missing (run `gpuqueue upgrade-db`)"
_FULL = "no room is left on the server's disk"
_CROWDED = "the server has too many connections"
_BROKEN = "the connection broke"
_OLD = "the server is too old (possible: MariaDB from 10.3, MySQL from 8.0.17)"
_POSTGRESQL = {  # SQLSTATE, or its class of two letters
    "57014": _SLOW,
    "55P03": _LOCKED,
    "25P03": _PAUSED,
    "25006": _READ_ONLY,
    "28": "the server refused this user or password",
    "3D000": "the server has no database of that name",
    "42501": _FORBIDDEN,
    "42P01": _NO_TABLE,
    "42703": _NO_COLUMN,
    "40003": _BROKEN,  # nobody knows how the change ended
    "40": _TAKEN_BACK,
    "53100": _FULL,
    "53300": _CROWDED,
    "57P": "the server is starting or stopping",
    "08": _BROKEN,
}
_MYSQL = {  # numbers of MySQL and MariaDB; a refused login, database or connection has good words of its own
    0: _BROKEN,  # the driver knows
    1020: _TAKEN_BACK,  # MariaDB: changed since it was read
    1021: _FULL,
    1040: _CROWDED,
    1041: "the server is out of memory",
    1047: "the server is not ready (is its cluster without a majority?)",
    1053: "the server is stopping",
    1054: _NO_COLUMN,
    1114: _FULL,
    1142: _FORBIDDEN,
    1146: _NO_TABLE,
    1153: "a change is larger than the server takes (max_allowed_packet)",
    1193: _OLD,  # does not know a setting
    1203: _CROWDED,
    1205: _LOCKED,
    1213: _TAKEN_BACK,  # a deadlock, or another node of a cluster was first
    1273: _OLD,  # does not know a collation
    1290: _READ_ONLY,
    1317: "the server was told to end the statement",
    1665: "the server's binlog_format is STATEMENT, which takes no changes at READ COMMITTED (possible: ROW, MIXED)",
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    1927: "the server was told to end the connection",
    1969: _SLOW,  # MariaDB
    2006: _BROKEN,
    2013: _BROKEN,
    2014: _BROKEN,
    3024: _SLOW,  # MySQL
    3101: _TAKEN_BACK,  # MySQL: another member of a group was first
    4031: _PAUSED,
}


@contextmanager
def worded(timeout: float) -> Iterator[None]:
    """Turn a driver's fault inside the block into words.

    A broken constraint or a value of the wrong type goes through: that is no fault of the database but a bug of ours.

    :raises StoreUnavailable: in place of the driver's exception.
    :raises TakenBack: the same, where nothing was written and a second try makes sense.
    """
    try:
        yield
    except (exc.IntegrityError, exc.DataError):
        raise
    except exc.DBAPIError as error:
        cause = cause_of(error.orig or error, timeout)
        raise (TakenBack if cause == _TAKEN_BACK else StoreUnavailable)(cause) from error
    except exc.TimeoutError as error:
        raise StoreUnavailable(f"no connection was free until the time limit ({timeout:g} s)") from error
    except sqlite3.Error as error:
        raise StoreUnavailable(cause_of(error, timeout)) from error


def cause_of(error: BaseException, timeout: float) -> str:
    """Word one fault of a driver; `timeout` is the limit in seconds that was set for it."""
    words = _known(error)
    if words:
        return words.format(timeout=timeout)
    said = error.args[1] if _number(error) else error  # a connection's fault names host and port, never a password
    return str(said).strip().partition("\n")[0] or type(error).__name__


def _known(error: BaseException) -> str:
    number = _number(error)
    if number == 2013 and "timed out" in str(error):
        return "the server did not answer until the time limit ({timeout:g} s)"
    if number is not None:
        return _MYSQL.get(number, "")
    if isinstance(error, sqlite3.Error):
        return next((words for part, words in _SQLITE.items() if part in str(error)), "")
    state = getattr(error, "sqlstate", None) or "none"
    return next((words for code, words in _POSTGRESQL.items() if state.startswith(code)), "")


def _number(error: BaseException) -> int | None:
    """The number that MySQL's driver gives a fault; None: it is another driver's."""
    match error.args:
        case (int(number), str()):
            return number
        case _:
            return None
