"""A directory of its own for a demo or a test: one slapd with its own configuration, data and port.

Knows slapd and LDIF. The machine's own slapd, where there is one, is neither used nor touched.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ldap3.utils.dn import escape_rdn

SLAPD = Path("/usr/sbin/slapd")
SCHEMAS = Path("/etc/ldap/schema")
MODULES = Path("/usr/lib/ldap")
BASE = "dc=gpuqueue,dc=test"
ADMIN = f"cn=admin,{BASE}"

CONFIGURATION = """\
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/nis.schema
include {schemas}/inetorgperson.schema
modulepath {modules}
moduleload back_mdb
pidfile {folder}/slapd.pid
database mdb
maxsize 33554432
suffix "{base}"
rootdn "{admin}"
directory {folder}/data
index objectClass,uid,member eq
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""


class SlapdFailed(Exception):
    """slapd did not take its data."""


def available() -> bool:
    """Whether this machine has slapd."""
    return SLAPD.is_file() and os.access(SLAPD, os.X_OK) and SCHEMAS.is_dir()


def person(name: str, password: str, **attributes: str | int | Sequence[str | int]) -> str:
    """The LDIF of somebody under ou=people; without a uidNumber unless one is given."""
    classes = ["inetOrgPerson", *(["posixAccount"] if "uidNumber" in attributes else [])]
    defaults = {"cn": name, "sn": name, **({"homeDirectory": f"/home/{name}"} if len(classes) > 1 else {})}
    return entry(
        f"uid={escape_rdn(name)},ou=people,{BASE}",
        {"objectClass": classes, "uid": name, "userPassword": hashed(password), **defaults, **attributes},
    )


def group(name: str, members: Iterable[str]) -> str:
    """The LDIF of a group under ou=groups. A groupOfNames is never empty, so the admin is in each."""
    people = [ADMIN, *(f"uid={escape_rdn(member)},ou=people,{BASE}" for member in members)]
    dn = f"cn={escape_rdn(name)},ou=groups,{BASE}"
    return entry(dn, {"objectClass": "groupOfNames", "cn": name, "member": people})


def frame() -> str:
    """The LDIF of the entries above people and groups."""
    top = entry(BASE, {"objectClass": ["dcObject", "organization"], "o": "gpuqueue", "dc": BASE[3:].split(",")[0]})
    folders = (entry(f"ou={ou},{BASE}", {"objectClass": "organizationalUnit", "ou": ou}) for ou in ("people", "groups"))
    return "\n".join([top, *folders])


def entry(dn: str, attributes: Mapping[str, str | int | Sequence[str | int]]) -> str:
    """One entry in LDIF, every value in base64: no character of it means anything else."""
    lines = [f"dn:: {_base64(dn)}"]
    for name, values in attributes.items():
        several = [values] if isinstance(values, str | int) else values
        lines += [f"{name}:: {_base64(str(value))}" for value in several]
    return "\n".join(lines) + "\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def hashed(password: str) -> str:
    """A password as the directory stores it."""
    salt = os.urandom(8)
    return (
        "{SSHA}"
        + base64.b64encode(hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest() + salt).decode()
    )


def prepare(folder: Path, ldif: str) -> None:
    """Make a new directory from LDIF; what stood in the folder goes.

    :raises SlapdFailed: it does not take the entries.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    # A copy: Ubuntu's AppArmor profile of /usr/sbin/slapd allows it the machine's own data only.
    shutil.copy2(SLAPD, folder / "slapd")
    (folder / "slapadd").symlink_to("slapd")  # one program, told apart by its name
    words = CONFIGURATION.format(schemas=SCHEMAS, modules=MODULES, folder=folder, base=BASE, admin=ADMIN)
    (folder / "slapd.conf").write_text(words)
    (folder / "start.ldif").write_text(ldif)
    (folder / "start.ldif").chmod(0o600)
    argv = [str(folder / "slapadd"), "-q", "-f", str(folder / "slapd.conf"), "-l", str(folder / "start.ldif")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    (folder / "start.ldif").unlink()
    if done.returncode != 0:
        raise SlapdFailed(f"slapadd: {done.stderr.strip()[-500:]}")


def command(folder: Path, port: int, *, address: str = "127.0.0.1") -> list[str]:
    """The command line of slapd in the foreground, on one address only; it says nothing but what is wrong."""
    return [str(folder / "slapd"), "-d", "none", "-f", str(folder / "slapd.conf"), "-h", f"ldap://{address}:{port}/"]
