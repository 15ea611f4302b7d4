"""The process of the queue manager: settings, files, and everything started under one parent.

Knows how the parts are put together. `gpuqueue manager -f FILE` starts it; `--generate-config` prints every setting.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import secrets
import signal
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth
from sqlalchemy.engine import make_url
from tornado.httpserver import HTTPServer
from traitlets import Bool, Float, Integer, TraitError, Type, Unicode, default, validate
from traitlets.config import Application

from .. import __version__
from ..capacity import Capacity, KubernetesCapacity, LocalCapacity
from ..manager import Manager, Policy
from ..manager.database import Database
from ..manager.hub import HubAPI
from ..manager.run import Office
from ..store import InvalidDatabase, SchemaMismatch, Store, StoreUnavailable
from ..store.errors import UPGRADE
from .availability import Tickets
from .bodies import READ_LIMIT, READ_S, Shortened
from .public import HUB_STATIC, Health
from .routes import application
from .secret import Secret, read_private
from .settings import unread
from .templating import environment
from .tokens import TOKEN, Tokens
from .views.frame import Site

log = logging.getLogger("gpuqueue")

SWITCH_S = 0.001  # a plan of thousands in its thread lets the event loop go on after this; Python's 5 ms add up
# Everything that is kept of thousands of jobs and pods is gone through by each full collection, 0.1 s in which nothing
# else runs; with Python's own numbers each plan brings one about. Cycles are few: requests, mostly, and they die young.
COLLECT = (10_000, 10, 100)


class ManagerApp(Application):
    """The queue manager: keeps the queue, admits whom the planner admits, serves pages and API."""

    name = "gpuqueue-manager"
    description = __doc__ or ""
    raise_config_file_errors = True  # a file that cannot be read whole is not read in part
    version = __version__
    classes = [Policy, LocalCapacity, KubernetesCapacity]
    aliases: dict[Any, str] = {
        ("f", "config"): "ManagerApp.config_file",
        "ip": "ManagerApp.ip",
        "port": "ManagerApp.port",
        "db": "ManagerApp.db_url",
        "log-level": "Application.log_level",
    }
    flags = {
        "generate-config": (
            {"ManagerApp": {"generate_config": True}},
            "Print a configuration file with every setting.",
        ),
        "show-config": ({"Application": {"show_config": True}}, "Print the configuration as it was read, and end."),
        "upgrade-db": ({"ManagerApp": {"upgrade_db": True}}, "Bring the database to the schema of this version first."),
    }

    config_file = Unicode("", config=True, help="Path of the configuration file. .. versionadded:: 0.1")
    generate_config = Bool(False, config=True, help="Print every setting and end. .. versionadded:: 0.1")
    upgrade_db = Bool(
        False,
        config=True,
        help="""Upgrade the database's schema at start.

        Off, an old schema is refused with the command that upgrades it, so that a backup can be made before.

        .. versionadded:: 0.1
        """,
    )
    ip = Unicode("127.0.0.1", config=True, help="Address to listen on. .. versionadded:: 0.1")
    port = Integer(8083, min=1, max=65535, config=True, help="Port to listen on. .. versionadded:: 0.1")
    db_url = Unicode(
        config=True,
        help="""URL of the database, as SQLAlchemy reads it.

        The default is a SQLite file in `data_dir`. A database with a password: put the URL into the environment
        variable GPUQUEUE_DB_URL, not on a command line.

        .. versionadded:: 0.1
        """,
    )
    data_dir = Unicode(
        ".", config=True, help="Folder for secrets and the default database, mode 0700. .. versionadded:: 0.1"
    )
    spawner_secret_file = Unicode(
        config=True,
        help="""File with the secret that the Hub's spawners show, 32 bytes or more, mode 0600; made when missing.

        .. versionadded:: 0.1
        """,
    )
    cookie_secret_file = Unicode(
        config=True,
        help="""File with the secret that signs cookies; made when missing.

        It outlives the process, or each restart would log everybody out.

        .. versionadded:: 0.1
        """,
    )
    hub_token_file = Unicode(
        config=True,
        help="""File with the service's API token of the Hub. Default: the environment variable JUPYTERHUB_API_TOKEN.

        .. versionadded:: 0.1
        """,
    )
    hub_api_url = Unicode(
        config=True,
        help="""URL of the Hub's REST API. Default: the environment variable JUPYTERHUB_API_URL.

        .. versionadded:: 0.1
        """,
    )
    service_name = Unicode("gpuqueue", config=True, help="The service's name in the Hub. .. versionadded:: 0.1")
    prefix = Unicode(
        config=True,
        help="""Path of the service, with slashes on both ends. Default: JUPYTERHUB_SERVICE_PREFIX, else
        `/services/<service_name>/`.

        .. versionadded:: 0.1
        """,
    )
    base_url = Unicode("/", config=True, help="The Hub's base URL, with slashes on both ends. .. versionadded:: 0.1")
    named_servers = Bool(
        True,
        config=True,
        help="""Whether the Hub lets users have more than one server; decides whether pages offer another start.

        .. versionadded:: 0.1
        """,
    )
    help_url = Unicode(
        "",
        config=True,
        help="""Where people reach the GPU team, a `mailto:` or `https:` address; empty: pages offer none.

        .. versionadded:: 0.1
        """,
    )
    capacity_class = Type(LocalCapacity, klass=Capacity, config=True, help="Where jobs run. .. versionadded:: 0.1")
    replicas = Integer(
        1,
        min=1,
        config=True,
        help="""Managers that work on this queue: one leads, the others stand by.

        Set it where there are several: a leader whom the database has not answered for 15 seconds then stands by, as
        another one may lead. With one it shows what it remembers until the database is back.

        .. versionadded:: 0.1
        """,
    )
    database_limit = Float(
        10.0,
        config=True,
        help="""Seconds that a question to the database may take before it counts as away.

        .. versionadded:: 0.1
        """,
    )

    @default("db_url")
    def _default_db_url(self) -> str:
        return os.environ.get("GPUQUEUE_DB_URL") or f"sqlite:///{Path(self.data_dir).resolve()}/gpuqueue.sqlite"

    @default("spawner_secret_file")
    def _default_spawner_secret_file(self) -> str:
        return str(Path(self.data_dir) / "spawner_secret")

    @default("cookie_secret_file")
    def _default_cookie_secret_file(self) -> str:
        return str(Path(self.data_dir) / "cookie_secret")

    @default("hub_api_url")
    def _default_hub_api_url(self) -> str:
        return os.environ.get("JUPYTERHUB_API_URL", "http://127.0.0.1:8081/hub/api")

    @default("prefix")
    def _default_prefix(self) -> str:
        return os.environ.get("JUPYTERHUB_SERVICE_PREFIX") or f"{self.base_url}services/{self.service_name}/"

    @default("log_level")
    def _default_log_level(self) -> int:
        return logging.INFO

    @validate("base_url", "prefix")
    def _between_slashes(self, proposal: Any) -> str:
        value = str(proposal.value)
        if not (value.startswith("/") and value.endswith("/")):
            raise TraitError(
                f"ManagerApp.{proposal.trait.name} is {value!r}; allowed is a path with slashes on both ends"
            )
        return value

    @validate("database_limit")
    def _above_zero(self, proposal: Any) -> float:
        if not 0 < proposal.value < math.inf:
            raise TraitError(f"ManagerApp.database_limit is {proposal.value}; allowed is a number of seconds above 0")
        return float(proposal.value)

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the command line, then the file; the command line wins."""
        try:
            self.parse_command_line(argv)
            if self.config_file:
                given = self.cli_config
                self.load_config_file(*reversed(os.path.split(self._existing(self.config_file))))
                self.update_config(given)
        except TraitError as error:
            _refuse(error)
        if wrong := list(unread(self.config, [type(self), *self.classes, self.capacity_class])):
            _refuse("\n".join(wrong))

    def _existing(self, path: str) -> str:
        if not os.path.isfile(path):
            _refuse(f"there is no configuration file {path}")
        return os.path.abspath(path)

    def start(self) -> None:
        """Run until SIGTERM or SIGINT."""
        super().start()
        if self.generate_config:
            print(self.generate_config_file())
            return
        _log_to_stderr(self.log_level)
        try:
            Path(self.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
            policy = Policy(parent=self)
            capacity = self.capacity_class(parent=self, instance=_instance(Path(self.data_dir) / "instance"))
        except OSError as error:
            _refuse(f"ManagerApp.data_dir is {self.data_dir!r}, which cannot be used: {error.strerror}")
        except TraitError as error:
            _refuse(error)
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(*COLLECT)
        asyncio.run(self._run(policy, capacity))

    async def _run(self, policy: Policy, capacity: Capacity) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await self._serve(policy, capacity)
        except asyncio.CancelledError:
            log.info("stopped")

    async def _serve(self, policy: Policy, capacity: Capacity) -> None:
        store = self._open_store()
        spawner_secret = _secret(self.spawner_secret_file)
        manager = Manager(Database(store, limit=self.database_limit), policy)
        hub = HubAPI(self.hub_api_url, self._hub_token())
        office = Office.of(manager, capacity, hub, secret=spawner_secret.value)
        server = self._listen(office, spawner_secret)
        log.info("http://%s:%s%s, database %s", self.ip, self.port, self.prefix, _public(self.db_url))
        self._about = asyncio.create_task(_tell_about(capacity), name="about")  # a driver may take its time
        try:
            await office.run(f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}", shared=self.replicas > 1)
        finally:
            server.stop()
            await manager.db.close()

    def _open_store(self) -> Store:
        try:
            store = Store(self.db_url, timeout=self.database_limit)
            if self.upgrade_db:
                store.upgrade()
            store.check()
        except SchemaMismatch as error:
            _refuse(f"{error}{self._how_to_upgrade() if UPGRADE in str(error) else ''}")
        except (InvalidDatabase, StoreUnavailable) as error:
            _refuse(error)
        return store

    def _how_to_upgrade(self) -> str:
        """What the command needs to find this very database; without it, it would make another one."""
        if self.config_file:
            return f" with `-f {self.config_file}`"
        return " with the same `--db`" if "db_url" in self.config.get("ManagerApp", {}) else ""

    def _hub_token(self) -> str:
        if self.hub_token_file:
            try:
                token = read_private(Path(self.hub_token_file)).decode("ascii", "replace")
            except (OSError, ValueError) as error:
                _refuse(_unusable(self.hub_token_file, error))
            if not TOKEN.fullmatch(token):
                _refuse(f"{self.hub_token_file} holds no API token of the Hub; allowed is one line without spaces")
            return token
        token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
        if not token:
            _refuse("no API token of the Hub: set ManagerApp.hub_token_file, or JUPYTERHUB_API_TOKEN")
        return token

    def _listen(self, office: Office, spawner_secret: Secret) -> HTTPServer:
        cookie_secret = _secret(self.cookie_secret_file)
        auth = HubOAuth.instance(  # one a process, which is where the Hub's own handlers look for it
            parent=self,
            api_url=self.hub_api_url,
            api_token=self._hub_token(),
            oauth_client_id=f"service-{self.service_name}",
            base_url=self.prefix,
            hub_prefix=self.base_url + "hub/",
            access_scopes={"access:services", f"access:services!service={self.service_name}"},
            cache_max_age=5,  # seconds; the default is 300. The answers that count are kept in tokens.py
        )
        settings: dict[str, Any] = {
            "office": office,
            "cookie_secret": cookie_secret.value,
            "spawner_secret": spawner_secret,
            "tickets": Tickets(spawner_secret.value),
            "streams": Counter[str](),
            "tokens": Tokens(lambda token: auth.user_for_token(token, use_cache=False, sync=False)),
            "site": Site(
                base=self.base_url,
                hub=self.base_url + "hub/",
                service=self.prefix,
                look=self.prefix + "static/hub/" if HUB_STATIC.is_dir() else self.base_url + "hub/static/",
                named_servers=self.named_servers,
                help_url=self.help_url,
            ),
            "templates": environment(),
            "log_function": _log_request,
        }
        server = HTTPServer(
            Shortened(application(prefix=self.prefix, settings=settings)),
            max_body_size=READ_LIMIT,
            body_timeout=READ_S,
            xheaders=True,
        )
        try:
            server.listen(self.port, self.ip)
        except OSError as error:
            _refuse(f"cannot listen on {self.ip}:{self.port}: {error.strerror}")
        return server


def _refuse(words: object) -> NoReturn:
    sys.exit(f"gpuqueue manager: {words}")


def _secret(path: str) -> Secret:
    try:
        return Secret.of_file(Path(path))
    except (OSError, ValueError) as error:
        _refuse(_unusable(path, error))


def _unusable(path: str, error: OSError | ValueError) -> str:
    return f"cannot use {path}: {error.strerror}" if isinstance(error, OSError) else str(error)


async def _tell_about(capacity: Capacity) -> None:
    log.info("%s", await asyncio.to_thread(capacity.about))
    if capacity.caution():
        log.warning("%s Start everything as root to give each person a user of their own.", capacity.caution())


def _instance(path: Path) -> str:
    """The random id of this installation, made once."""
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(secrets.token_hex(8))
    except FileExistsError:
        pass
    return path.read_text(encoding="ascii").strip()


def _public(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)


def _log_to_stderr(level: Any) -> None:
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("tornado.application").setLevel(logging.WARNING)  # it tells session ids at INFO


def _log_request(handler: Any) -> None:
    """One line for what failed; what went well is told by the event it caused. Paths only: queries hold tickets."""
    if handler.get_status() >= 500 and not isinstance(handler, Health):  # who stands by says so every other second
        path = urlsplit(handler.request.uri).path
        log.warning("%s %s -> %s", handler.request.method, path, handler.get_status())
