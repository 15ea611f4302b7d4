"""Login with a short list of accounts in a file, for demonstrations where no directory can be had.

Gives a login what directory.py gives it: groups, admin, uid and gid. The file holds passwords as they are: mode 0600.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from traitlets import Unicode, default

ADMIN_GROUP = "DGX-Admins"


class AccountsAuthenticator(Authenticator):  # type: ignore[misc]
    """Knows the people of one JSON file, which holds for each name `password`, `uid`, `gid` and `groups`."""

    file = Unicode(
        config=True,
        help="""
        The file with the accounts, read anew at each login; readable by the Hub only.

        .. versionadded:: 0.1
        """,
    )
    admin_group = Unicode(
        ADMIN_GROUP, config=True, help="Members of this group are admins of the Hub.\n\n.. versionadded:: 0.1"
    )

    @default("manage_groups")
    def _groups_are_the_file_s(self) -> bool:
        return True

    @default("enable_auth_state")
    def _numbers_are_kept(self) -> bool:
        return True

    @default("allow_all")
    def _whoever_is_listed(self) -> bool:
        return True

    async def authenticate(self, handler: Any, data: Mapping[str, str]) -> dict[str, Any] | None:
        """One login; None: wrong name or password."""
        name = (data.get("username") or "").strip().lower()
        account = self._accounts().get(name)
        password = account["password"] if account else ""
        same = hmac.compare_digest(password.encode(), (data.get("password") or "").encode())
        if not account or not password or not same:
            return None
        groups = sorted(account["groups"])
        return {
            "name": name,
            "admin": self.admin_group in groups,
            "groups": groups,
            "auth_state": {"uid": account["uid"], "gid": account["gid"], "gids": []},
        }

    def _accounts(self) -> dict[str, Any]:
        accounts: dict[str, Any] = json.loads(Path(self.file).read_text(encoding="utf-8"))
        return accounts
