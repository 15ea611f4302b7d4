"""A real OpenLDAP server with the people that a test needs, which can be paused, ended and changed."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ldap3 import MODIFY_ADD, MODIFY_DELETE, MODIFY_REPLACE, Connection, Server

from gpuqueue_spawner.cli import directory

from . import MissingProgram
from .program import Program, free_port, until

ADMIN_PASSWORD = "admin, only for tests"
PEOPLE = f"ou=people,{directory.BASE}"
GROUPS = f"ou=groups,{directory.BASE}"


class Slapd:
    """One directory. Its entries are LDIF texts, as gpuqueue_spawner.cli.directory makes them.

    :param pair: files of a certificate and its key: it then takes TLS, when asked for on the same port.
    :param address: where it listens.
    """

    def __init__(
        self, folder: Path, *entries: str, pair: tuple[Path, Path] | None = None, address: str = "127.0.0.1"
    ) -> None:
        if not directory.available():
            raise MissingProgram("slapd", "slapd ldap-utils")
        self.address, self.port = address, free_port()
        directory.prepare(folder / "ldap", "\n".join([directory.frame(), *entries]))
        configuration = folder / "ldap" / "slapd.conf"
        # Tests change entries as the admin; a demo never does, so its directory has no admin password.
        words = configuration.read_text().replace(
            f'rootdn "{directory.ADMIN}"\n',
            f'rootdn "{directory.ADMIN}"\nrootpw {directory.hashed(ADMIN_PASSWORD)}\n',
        )
        if pair:
            words = f"TLSCertificateFile {pair[0]}\nTLSCertificateKeyFile {pair[1]}\n{words}"
        configuration.write_text(words)
        command = directory.command(folder / "ldap", self.port, address=address)
        self.program = Program("slapd", command, folder / "slapd.log")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.program.start()

        def listens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1):
                return True
            return False

        until(listens, within=15, what=f"slapd listens\n{self.program.tail()}")

    def change(
        self, dn: str, attribute: str, *, add: object = None, remove: object = None, replace: object = None
    ) -> None:
        """Change one attribute as the directory's admin."""
        changes = [
            (verb, [value])
            for verb, value in ((MODIFY_ADD, add), (MODIFY_DELETE, remove), (MODIFY_REPLACE, replace))
            if value is not None
        ]
        server = Server(self.address, port=self.port, connect_timeout=5)
        with Connection(server, directory.ADMIN, ADMIN_PASSWORD, receive_timeout=5, raise_exceptions=True) as admin:
            admin.modify(dn, {attribute: changes})

    def join(self, name: str, group: str) -> None:
        """Put somebody into a group."""
        self.change(f"cn={group},{GROUPS}", "member", add=f"uid={name},{PEOPLE}")

    def leave(self, name: str, group: str) -> None:
        """Take somebody out of a group."""
        self.change(f"cn={group},{GROUPS}", "member", remove=f"uid={name},{PEOPLE}")


@contextlib.contextmanager
def slapd(*entries: str, pair: tuple[Path, Path] | None = None, address: str = "127.0.0.1") -> Iterator[Slapd]:
    """A running directory in a folder of its own; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gpuqueue-slapd-"))
    it = Slapd(folder, *entries, pair=pair, address=address)
    try:
        it.start()
        yield it
    finally:
        with contextlib.suppress(AssertionError):
            it.program.stop(within=5)
        shutil.rmtree(folder, ignore_errors=True)
