"""JupyterHub of `gpuqueue demo`: what a site with one GPU server would write, on the demo's ports and accounts.

The demo says in a file where everything is; see gpuqueue_spawner/cli/demo.py.
"""

import json
import os
from pathlib import Path

from gpuqueue_spawner.hub import configure

PRIVATE = Path(os.environ["GPUQUEUE_DEMO"])
SITE = json.loads((PRIVATE / "site.json").read_text())
PORTS = SITE["ports"]


def secret(name):
    return (PRIVATE / name).read_text().strip()


c = get_config()  # noqa: F821  # traitlets gives it to configuration files

# ---- addresses -------------------------------------------------------------------------------------------------------
c.JupyterHub.bind_url = f"http://127.0.0.1:{SITE['port']}"
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = PORTS["hub"]
c.ConfigurableHTTPProxy.should_start = False  # the demo starts it, so that it outlives the Hub
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PORTS['proxy_api']}"
c.ConfigurableHTTPProxy.auth_token = secret("proxy_token")

# ---- what outlives the Hub -------------------------------------------------------------------------------------------
c.JupyterHub.db_url = f"sqlite:///{PRIVATE}/hub.sqlite"
c.JupyterHub.cookie_secret = bytes.fromhex(secret("hub_cookie_secret"))
c.CryptKeeper.keys = [bytes.fromhex(secret("crypt_key"))]
c.JupyterHub.log_level = "WARN"

# ---- who gets in -----------------------------------------------------------------------------------------------------
BASE = "dc=gpuqueue,dc=test"
if SITE["directory"]:
    c.JupyterHub.authenticator_class = "gpuqueue-ldap"
    ldap = c.GPUQueueLDAPAuthenticator
    ldap.server_address = "127.0.0.1"
    ldap.server_port = PORTS["ldap"]
    ldap.tls_strategy = "insecure"  # on this machine only; a real directory is asked over TLS
    ldap.bind_dn_template = [f"uid={{username}},ou=people,{BASE}"]
    ldap.allowed_groups = [f"cn=DGX-Users,ou=groups,{BASE}"]
    ldap.admin_groups = [f"cn=DGX-Admins,ou=groups,{BASE}"]
    ldap.group_search_base = f"ou=groups,{BASE}"
    ldap.require_uid = True
else:
    c.JupyterHub.authenticator_class = "gpuqueue_spawner.auth.AccountsAuthenticator"
    c.AccountsAuthenticator.file = str(PRIVATE / "accounts.json")
c.Authenticator.username_pattern = r"^[a-z][a-z0-9_.]*\Z"  # no "-": it joins user and server names in places

# ---- what people can ask for -----------------------------------------------------------------------------------------
GPU = "nvidia.com/gpu"
TOTAL = SITE["gpus"] if SITE["gpus"] is not None else SITE["real_gpus"]


def count(number):
    """A choice of so many GPUs."""
    words = "1 GPU" if number == 1 else f"{number} GPUs"
    override = {"extra_resource_guarantees": {GPU: str(number)}, "cpu_guarantee": number, "mem_guarantee": f"{number}G"}
    return {"display_name": words, "kubespawner_override": override}


COUNTS = [number for number in (1, 2, 4, 8, 16) if number <= TOTAL]
c.QueueingMixin.profile_list = [
    {
        "display_name": "Notebook without GPU",
        "slug": "cpu",
        "description": "For preparing data and reading results.",
        "kubespawner_override": {"cpu_guarantee": 1, "mem_guarantee": "1G"},
    }
]
if COUNTS:
    c.QueueingMixin.profile_list = [
        {
            "display_name": "Notebook with GPUs",
            "slug": "gpu",
            "description": "GPUs of one server, for you alone until your time is over.",
            "default": True,
            "profile_options": {
                "gpus": {
                    "display_name": "GPUs",
                    "choices": {f"gpu{number}": count(number) for number in COUNTS},
                    "unlisted_choice": {
                        "enabled": True,
                        "display_name": "Another number of GPUs",
                        "validation_regex": r"^[1-9]\d{0,3}$",
                        "validation_message": "a whole number from 1 on",
                        "kubespawner_override": {"extra_resource_guarantees": {GPU: "{value}"}},
                    },
                }
            },
        },
        *c.QueueingMixin.profile_list,
    ]
c.QueueingMixin.default_hours = 2.0

# ---- where notebooks run ---------------------------------------------------------------------------------------------
c.GPUQueueLocalSpawner.homes = f"{SITE['folder']}/homes"
c.Spawner.default_url = "/lab"

# ---- the demo itself -------------------------------------------------------------------------------------------------
c.JupyterHub.services = [{"name": "demo", "api_token": secret("demo_token")}]
c.JupyterHub.load_roles = [{"name": "demo", "services": ["demo"], "scopes": ["proxy"]}]

configure(
    c,
    manager_url=f"http://127.0.0.1:{PORTS['manager']}",
    service_token=secret("hub_token"),
    spawner_secret_file=PRIVATE / "spawner_secret",
    unsent_file=PRIVATE / "unsent.json",
    admin_groups=["DGX-Admins"],
    named_servers=3,
)
