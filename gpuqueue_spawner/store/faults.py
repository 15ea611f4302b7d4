"""A driver's fault, put into words. Knows the words of SQLite and the codes of PostgreSQL, no table and no query.

Used around every access by database.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from .errors import StoreUnavailable

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
_POSTGRESQL = {  # SQLSTATE, or its class of two letters
    "57014": "a statement took longer than the time limit ({timeout:g} s)",
    "55P03": "another session kept a row locked until the time limit ({timeout:g} s)",
    "25P03": "this process was stopped in the middle of a change, which the server took back",
    "25006": "the server only allows reading (is it a standby?)",
    "28": "the server refused this user or password",
    "3D000": "the server has no database of that name",
    "42501": "this user may not do that on the server",
    "42P01": "a table is missing (run `gpuqueue upgrade-db`)",
    "42703": "a column is missing (run `gpuqueue upgrade-db`)",
    "40": "the server took a change back because of another one",
    "53100": "no room is left on the server's disk",
    "53300": "the server has too many connections",
    "57P": "the server is starting or stopping",
    "08": "the connection broke",
}


@contextmanager
def worded(timeout: float) -> Iterator[None]:
    """Turn a driver's fault inside the block into words.

    A broken constraint or a value of the wrong type goes through: that is no fault of the database but a bug of ours.

    :raises StoreUnavailable: in place of the driver's exception.
    """
    try:
        yield
    except (exc.IntegrityError, exc.DataError):
        raise
    except exc.DBAPIError as error:
        raise StoreUnavailable(cause_of(error.orig or error, timeout)) from error
    except exc.TimeoutError as error:
        raise StoreUnavailable(f"no connection was free until the time limit ({timeout:g} s)") from error
    except sqlite3.Error as error:
        raise StoreUnavailable(cause_of(error, timeout)) from error


def cause_of(error: BaseException, timeout: float) -> str:
    """Word one fault of a driver; `timeout` is the limit in seconds that was set for it."""
    state = getattr(error, "sqlstate", None)
    if state:
        hits = (words for code, words in _POSTGRESQL.items() if state.startswith(code))
    else:
        hits = (words for part, words in _SQLITE.items() if isinstance(error, sqlite3.Error) and part in str(error))
    words = next(hits, "")
    if words:
        return words.format(timeout=timeout)
    first = str(error).strip().partition("\n")[0]  # a connection's fault names host and port here, never a password
    return first or type(error).__name__
