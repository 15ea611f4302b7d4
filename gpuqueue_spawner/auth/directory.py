"""Login with the accounts of an LDAP directory: who gets in, who is an admin, which groups and which numeric user.

Knows the directory and JupyterHub's idea of a login. Nothing here blocks the Hub: a directory that hangs delays logins
only. What refusals say: refusals.py; which numbers are good: numbers.py.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPExceptionError, LDAPSASLPrepError
from ldap3.core.tls import Tls
from ldap3.protocol.sasl.sasl import validate_simple_password
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import parse_dn
from ldapauthenticator import LDAPAuthenticator
from ldapauthenticator.ldapauthenticator import TlsStrategy
from traitlets import Bool, Float, Integer, List, TraitError, Unicode, default, validate

from . import refusals
from .numbers import BadNumber, one_number
from .threads import Threads

LONGEST_NAME = 255  #: what JupyterHub's database holds
SMALLEST_GROUP = 100  #: Debian's "users"; below are the system's own, such as disk and shadow
# The directory's answers to a bind that say something of the account: no such object, bad name, bad password, locked.
REFUSED = frozenset({32, 34, 48, 49, 50, 53})
GROUPS = "gpuqueue.groups"  #: carries what was found of groups through LDAPAuthenticator; never in an entry


class GPUQueueLDAPAuthenticator(LDAPAuthenticator):  # type: ignore[misc]
    """LDAPAuthenticator for a Hub whose notebooks run under each person's own numeric user.

    Set `server_address`, `bind_dn_template` (or `lookup_dn`) and `allowed_groups`; all of LDAPAuthenticator's settings
    work. Without `allowed_groups` nobody gets in.

    A login stores in `auth_state`: `uid` and `gid` (integers, where the entry has them), `gids`, and what
    LDAPAuthenticator stores.
    """

    admin_groups = List(
        Unicode(),
        config=True,
        help="""
        Directory groups (DNs) whose members become admins of the Hub, and cease to be at the first login after they
        left.

        Being an admin does not let anybody in: that needs one of `allowed_groups`. Unset, `admin_users` alone decides.

        .. versionadded:: 0.1
        """,
    )
    group_search_base = Unicode(
        "",
        config=True,
        help="""
        DN under which the groups of a person are looked for; each becomes a Hub group of the same name.

        Unset, only `allowed_groups` and `admin_groups` do. `group_search_filter` finds them.

        .. versionadded:: 0.1
        """,
    )
    group_name_attribute = Unicode(
        "cn", config=True, help="The attribute of a group that becomes its name in the Hub.\n\n.. versionadded:: 0.1"
    )
    uid_attribute = Unicode(
        "uidNumber",
        config=True,
        help="The attribute with the numeric user that notebooks run under.\n\n.. versionadded:: 0.1",
    )
    gid_attribute = Unicode(
        "gidNumber", config=True, help="The attribute with the numeric main group.\n\n.. versionadded:: 0.1"
    )
    min_uid = Integer(
        1000,
        config=True,
        help="""
        Smallest numeric user that a login may bring; smaller ones belong to the system. At least 1.

        .. versionadded:: 0.1
        """,
    )
    require_uid = Bool(
        False,
        config=True,
        help="""
        Refuse people whose entry has no numeric user. Off: notebooks get one from the spawner's own range.

        Switch it on where notebooks share file systems with other machines. An entry with a number that may not be
        used (0, the system's, several) is refused either way.

        .. versionadded:: 0.1
        """,
    )
    answer_timeout = Integer(
        5,
        config=True,
        help="""
        Whole seconds that the directory has for each connection and each answer.

        .. versionadded:: 0.1
        """,
    )
    login_timeout = Float(
        15.0,
        config=True,
        help="""
        Seconds that a login may take in all; then it is refused, and the page says that the directory is to blame.

        .. versionadded:: 0.1
        """,
    )
    concurrent_logins = Integer(
        16,
        config=True,
        help="""
        Logins that may ask the directory at a time; others wait, within `login_timeout`. Each is one thread.

        .. versionadded:: 0.1
        """,
    )

    _threads: Threads | None = None

    @default("manage_groups")
    def _groups_are_the_directory_s(self) -> bool:
        return True

    @default("enable_auth_state")
    def _numbers_are_kept(self) -> bool:
        return True

    @validate("min_uid", "answer_timeout", "login_timeout", "concurrent_logins")
    def _positive(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] < 1:
            name = f"{type(self).__name__}.{proposal['trait'].name}"
            raise TraitError(f"{name} is {proposal['value']}; allowed is 1 or more")
        return proposal["value"]

    # ---- the login, on the Hub's event loop ----------------------------------------------------------------------

    async def authenticate(self, handler: Any, data: Mapping[str, str]) -> dict[str, Any] | None:
        """Ask the directory about one login.

        None: wrong name or password. :raises LoginRefused: anything else, with words for the login page.
        """
        name = normalized(data.get("username") or "")
        if len(name) > LONGEST_NAME or not re.fullmatch(self.valid_username_regex, name):
            self.log.warning("login refused: %.64r is no login name here (valid_username_regex)", name)
            return None
        if self._threads is None:
            self._threads = Threads("directory", most=self.concurrent_logins)
        form = {"username": name, "password": data.get("password") or ""}
        try:
            found = await self._threads.call(lambda: self._ask(form), within=self.login_timeout)
        except TimeoutError:
            self.log.error("login of %s: the directory did not answer within %s s", name, self.login_timeout)
            raise refusals.no_answer(self.login_timeout) from None
        except LDAPException as error:
            self.log.error("login of %s: the directory cannot be asked: %s", name, error)
            raise refusals.not_reachable() from None
        if found is None:
            return None
        names = self._group_names(found)
        try:
            return self._admit(found, names)
        except refusals.NotAMember:
            self._note_departure(handler, name, names)
            raise

    def _note_departure(self, handler: Any, name: str, groups: list[str]) -> None:
        """Let the Hub's groups follow, so that whoever left is seen to have left: what waits and runs goes on."""
        user = handler.find_user(self.normalize_username(name)) if handler is not None else None
        if user is not None:
            user.sync_groups(groups)

    def _group_names(self, found: dict[str, Any]) -> list[str]:
        state, groups = found["auth_state"], found["auth_state"]["user_attributes"][GROUPS]
        return sorted({*groups["names"], *(_name_in(dn) for dn in (*state["ldap_groups"], *groups["admin"]))})

    def _admit(self, found: dict[str, Any], names: list[str]) -> dict[str, Any]:
        """Decide about somebody whose password was right."""
        state, groups = found["auth_state"], found["auth_state"]["user_attributes"].pop(GROUPS)
        if not state["ldap_groups"] and not (self.allow_all and not self.allowed_groups):
            self.log.warning("login of %s refused: in none of the allowed groups", found["name"])
            raise refusals.NotAMember
        if not self.validate_username(self.normalize_username(found["name"])):
            self.log.warning("login of %r refused: username_pattern does not allow the name", found["name"])
            raise refusals.bad_name()
        state |= {**self._numbers(found["name"], state["user_attributes"]), "gids": groups["gids"]}
        admin: bool | None = None
        if self.admin_groups:
            admin = bool(groups["admin"]) or self.normalize_username(found["name"]) in self.admin_users
        return {**found, "admin": admin, "groups": names}

    def _numbers(self, name: str, entry: Mapping[str, Any]) -> dict[str, int]:
        try:
            uid = one_number(entry, self.uid_attribute, smallest=self.min_uid)
            gid = one_number(entry, self.gid_attribute, smallest=min(self.min_uid, SMALLEST_GROUP))
        except BadNumber as bad:
            self.log.warning("login of %s refused: its entry %s (%s)", name, bad.problem, bad.attribute)
            raise refusals.bad_number(bad.attribute, bad.problem) from None
        if uid is None:
            if self.require_uid:
                self.log.warning("login of %s refused: its entry has no %s", name, self.uid_attribute)
                raise refusals.bad_number(self.uid_attribute, "has no numeric user")
            return {}
        return {"uid": uid} if gid is None else {"uid": uid, "gid": gid}

    async def check_allowed(self, username: str, auth_model: Mapping[str, Any] | None) -> bool:
        """Only the directory's groups let anybody in, not a list of names and not an earlier login."""
        return bool(auth_model and (auth_model.get("auth_state") or {}).get("ldap_groups"))

    # ---- the directory, in a thread ------------------------------------------------------------------------------

    def _ask(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        """What LDAPAuthenticator does, which never awaits anything real."""
        found: dict[str, Any] | None = asyncio.run(super().authenticate(None, form))
        return found

    def get_connection(self, userdn: str | None, password: str | None) -> ldap3.Connection | None:
        """A connection bound as `userdn`, with time limits; None: the directory refuses the account or the password.

        :raises LDAPException: it cannot be asked.
        """
        server = ldap3.Server(
            self.server_address,
            port=self.server_port,
            use_ssl=self.tls_strategy is TlsStrategy.on_connect,
            # ldap3 would take any certificate, and a password would go to whoever is in between.
            tls=Tls(**{"validate": ssl.CERT_REQUIRED, **self.tls_kwargs}),
            connect_timeout=self.answer_timeout,
            get_info=ldap3.NONE,  # the schema, a hundred kilobytes, would be fetched at every login
        )
        connection = ldap3.Connection(
            server,
            user=userdn,
            password=_as_sent(password),
            receive_timeout=self.answer_timeout,
            auto_referrals=False,  # else the password goes to whatever host a referral names
        )
        connection.open()
        if self.tls_strategy is TlsStrategy.before_bind:
            connection.start_tls()
        if connection.bind():
            return connection
        result = connection.result
        connection.unbind()
        if result["result"] in REFUSED:
            return None
        raise LDAPExceptionError(f"bind: {result['description']} {result['message']}".strip())

    def get_user_attributes(self, conn: ldap3.Connection, userdn: str) -> dict[str, Any]:
        """The person's entry and groups, read with the person's own rights. Called once the password was right."""
        wanted = {*self.auth_state_attributes, "uid", self.uid_attribute, self.gid_attribute}
        conn.search(userdn, "(objectClass=*)", ldap3.BASE, attributes=sorted(wanted))
        entry = dict(conn.entries[0].entry_attributes_as_dict) if len(conn.entries) == 1 else {}
        mine = self.group_search_filter.format(
            userdn=escape_filter_chars(userdn),
            uid=escape_filter_chars(str((entry.get("uid") or [_name_in(userdn)])[0])),
        )
        groups = {"names": [], "gids": [], "admin": self._memberships(conn, mine)}
        if self.group_search_base:
            groups |= self._groups_below(conn, mine)
        conn.unbind()
        return {**entry, GROUPS: groups}

    def _memberships(self, conn: ldap3.Connection, mine: str) -> list[str]:
        return [dn for dn in self.admin_groups if conn.search(dn, mine, ldap3.BASE, attributes=ldap3.NO_ATTRIBUTES)]

    def _groups_below(self, conn: ldap3.Connection, mine: str) -> dict[str, list[Any]]:
        wanted = [self.group_name_attribute, self.gid_attribute]
        conn.search(self.group_search_base, mine, ldap3.SUBTREE, attributes=wanted)
        names: list[str] = []
        gids: set[int] = set()
        for group in conn.entries:
            values = group.entry_attributes_as_dict
            names += [str(name) for name in values.get(self.group_name_attribute, ())[:1]]
            with suppress(BadNumber):  # it is one of the Hub's groups all the same; the system's number stays here
                gid = one_number(values, self.gid_attribute, smallest=self.min_uid)
                gids.update([] if gid is None else [gid])
        return {"names": [name for name in names if len(name) <= LONGEST_NAME], "gids": sorted(gids)}


def normalized(name: str) -> str:
    """A login name as the directory compares it: the same person is never two users of the Hub."""
    return unicodedata.normalize("NFKC", name).strip().lower()


def _as_sent(password: str | None) -> str | bytes | None:
    """The password as ldap3 is to send it: prepared as the standard says, or as it is where that cannot be.

    The standard is older than emoji, and ldap3 would raise an error for one, or for a control character.
    """
    try:
        prepared: str | bytes | None = validate_simple_password(password, accept_empty=True)
    except LDAPSASLPrepError:
        return (password or "").encode()
    return prepared


def _name_in(dn: str) -> str:
    """The value of a DN's first part."""
    parts = parse_dn(dn)
    return re.sub(r"\\(.)", r"\1", parts[0][1]) if parts else dn
