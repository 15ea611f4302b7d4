"""JupyterHub on a Kubernetes cluster without Zero to JupyterHub: notebooks are pods that wait in the GPU queue first.

The image of images/hub runs this file as it is, and the chart in helm/gpuqueue gives it what differs between sites:

- secrets by environment variables: CONFIGPROXY_AUTH_TOKEN, JUPYTERHUB_CRYPT_KEY, JPY_COOKIE_SECRET (JupyterHub reads
  these itself), GPUQUEUE_SERVICE_TOKEN, and GPUQUEUE_HUB_DB_URL where the Hub's database is on a server;
- one secret by a file: what spawners show to the queue manager, named by GPUQUEUE_SPAWNER_SECRET_FILE;
- everything else by a file of JSON, named by GPUQUEUE_VALUES: `SITE` below says what is in it;
- and, for what has no value of its own, by more configuration, run just before the end: GPUQUEUE_EXTRA_CONFIG.
"""

import json
import os
from pathlib import Path

from gpuqueue_spawner.hub import configure

FOLDER = Path("/etc/gpuqueue")
SITE = {
    "base_url": "/",
    "hub_url": "http://hub:8081",  # this Hub, as pods reach it
    "manager_url": "http://gpuqueue:8083",  # the queue manager, as this Hub and the proxy reach it
    "proxy_api_url": "http://proxy-api:8001",  # the proxy's API, as this Hub reaches it
    "named_servers": 3,  # servers with a name of their own that each person may have
    "admins": [],  # who may do everything in the queue, by name and by group; `operators`, `readers` likewise
    "admin_groups": [],
    "operators": [],
    "operator_groups": [],
    "readers": [],
    "reader_groups": [],
    "notebooks": {},
    "storage": {},
    "config": {},  # sections and settings, as in {"GPUQueueLDAPAuthenticator": {"server_address": ...}}
    **json.loads(Path(os.environ.get("GPUQUEUE_VALUES", FOLDER / "values.json")).read_text()),
}
NOTEBOOKS = {
    "namespace": "notebooks",
    "image": "gpuqueue/notebook:latest",
    "pull_policy": "IfNotPresent",
    "pull_secrets": [],
    "cmd": ["jupyterhub-singleuser"],
    "uid": 1000,
    "gid": 100,
    "gpu": "nvidia.com/gpu",  # the extended resource that a GPU is
    "gpu_counts": [1, 2, 4, 8],
    "per_gpu": {"cpu": 8, "memory": "64G"},  # what comes with each GPU
    "without_gpu": {"cpu": 2, "memory": "8G"},
    "default_hours": 8.0,
    "max_hours": 24.0,
    "launch_timeout": 600.0,  # seconds from its GPUs until it answers: an image of 10 GB may have to be pulled
    "node_selector": {},
    "tolerations": [],
    **SITE["notebooks"],
}

c = get_config()  # noqa: F821  # traitlets gives it to configuration files

# ---- addresses -------------------------------------------------------------------------------------------------------
c.JupyterHub.base_url = SITE["base_url"]
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = SITE["hub_url"]
c.ConfigurableHTTPProxy.should_start = False  # a pod of its own: connections outlive the Hub
c.ConfigurableHTTPProxy.api_url = SITE["proxy_api_url"]
# Seconds between two looks at the proxy's routes. One that was started anew knows none, and by default the Hub would
# leave everybody's notebook unreachable for up to five minutes.
c.JupyterHub.last_activity_interval = 15

# ---- what outlives the Hub's pod -------------------------------------------------------------------------------------
DATA = Path(os.environ.get("GPUQUEUE_HUB_DATA", "/srv/jupyterhub"))
c.JupyterHub.db_url = os.environ.get("GPUQUEUE_HUB_DB_URL") or f"sqlite:///{DATA}/jupyterhub.sqlite"
c.JupyterHub.upgrade_db = True  # the Hub's own tables; SQLite's file is copied before

# ---- who gets in -----------------------------------------------------------------------------------------------------
if "GPUQueueLDAPAuthenticator" in SITE["config"]:
    c.JupyterHub.authenticator_class = "gpuqueue-ldap"
c.Authenticator.username_pattern = r"^[a-z][a-z0-9_.]*\Z"  # no "-": it joins user and server names in places


# ---- what people can ask for -----------------------------------------------------------------------------------------
def with_gpus(count):
    """A choice of so many GPUs, with their share of processors and memory."""
    memory = NOTEBOOKS["per_gpu"]["memory"]
    number = memory.rstrip("KMGT")
    gpus = {NOTEBOOKS["gpu"]: str(count)}
    return {
        "display_name": "1 GPU" if count == 1 else f"{count} GPUs",
        "kubespawner_override": {
            "cpu_guarantee": NOTEBOOKS["per_gpu"]["cpu"] * count,
            "mem_guarantee": f"{int(number) * count}{memory[len(number) :]}",
            "extra_resource_limits": gpus,  # Kubernetes wants both, and the same
            "extra_resource_guarantees": gpus,
        },
    }


PROFILES = [
    {
        "display_name": "Notebook without GPU",
        "slug": "cpu",
        "description": "For preparing data and reading results.",
        "kubespawner_override": {
            "cpu_guarantee": NOTEBOOKS["without_gpu"]["cpu"],
            "mem_guarantee": NOTEBOOKS["without_gpu"]["memory"],
            # Where NVIDIA's runtime serves every container, an image made for GPUs would else see all of the node's.
            "environment": {"NVIDIA_VISIBLE_DEVICES": "void"},
        },
    },
]
if NOTEBOOKS["gpu_counts"]:
    counts = {f"gpu{count}": with_gpus(count) for count in NOTEBOOKS["gpu_counts"]}
    next(iter(counts.values()))["default"] = True
    PROFILES.insert(
        0,
        {
            "display_name": "Notebook with GPUs",
            "slug": "gpu",
            "description": "GPUs of one server, for you alone until your time is over.",
            "default": True,
            "profile_options": {"gpus": {"display_name": "GPUs", "choices": counts}},
        },
    )
spawner = c.GPUQueueKubeSpawner
spawner.profile_list = PROFILES
spawner.default_hours = NOTEBOOKS["default_hours"]
spawner.max_hours = NOTEBOOKS["max_hours"]
spawner.launch_timeout = NOTEBOOKS["launch_timeout"]

# ---- where notebooks run ---------------------------------------------------------------------------------------------
c.JupyterHub.spawner_class = "gpuqueue-kube"
spawner.namespace = NOTEBOOKS["namespace"]
spawner.image = NOTEBOOKS["image"]
spawner.image_pull_policy = NOTEBOOKS["pull_policy"]
spawner.image_pull_secrets = NOTEBOOKS["pull_secrets"]
spawner.cmd = NOTEBOOKS["cmd"]
spawner.default_url = "/lab"
spawner.node_selector = NOTEBOOKS["node_selector"]
spawner.tolerations = NOTEBOOKS["tolerations"]

# What Pod Security "restricted" asks for, which the chart enforces on the namespace. Tokens of the cluster are not
# mounted, which is KubeSpawner's default.
spawner.uid = NOTEBOOKS["uid"]
spawner.gid = NOTEBOOKS["gid"]
spawner.fs_gid = NOTEBOOKS["gid"]
spawner.allow_privilege_escalation = False
spawner.container_security_context = {"capabilities": {"drop": ["ALL"]}}
spawner.pod_security_context = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "fsGroupChangePolicy": "OnRootMismatch",  # else each start changes the group of every file of a large home
}

# ---- what people keep ------------------------------------------------------------------------------------------------
STORAGE = {
    "type": "none",  # none: gone with the pod; claim: a folder made by the cluster; share: the person's own
    "claim": "",  # in the notebooks' namespace
    "mount_path": "/home/jovyan",
    "sub_path": "{username}",  # of a claim
    "homes_folder": "",  # of a share: where people's folders are, and who makes them, as docs/howto/nfs.md tells
    "homes_url": "",
    "home_claims": False,  # of a share: a volume and a claim for each person; `claim` is then for data_sets alone
    "data_sets": {},
    "scratch_size": "",
    **SITE["storage"],
}
if STORAGE["type"] == "share":
    spawner.share_claim = STORAGE["claim"]
    spawner.homes_folder = STORAGE["homes_folder"]
    spawner.homes_url = STORAGE["homes_url"]
    spawner.homes_secret_file = str(FOLDER / "secrets/homes")
    spawner.home_claims = STORAGE["home_claims"]
    spawner.home_path = STORAGE["mount_path"]
    spawner.data_sets = STORAGE["data_sets"]
    spawner.scratch_size = STORAGE["scratch_size"]
else:
    home = {"name": "home", "emptyDir": {}}
    mount = {"name": "home", "mountPath": STORAGE["mount_path"]}
    if STORAGE["type"] == "claim":
        home = {"name": "home", "persistentVolumeClaim": {"claimName": STORAGE["claim"]}}
        mount["subPath"] = STORAGE["sub_path"]
    spawner.volumes = {"home": home}
    spawner.volume_mounts = {"home": mount}

# ---- the site's own words --------------------------------------------------------------------------------------------
for section, settings in SITE["config"].items():
    c[section].update(settings)
extra = Path(os.environ.get("GPUQUEUE_EXTRA_CONFIG", FOLDER / "extra_config.py"))
if extra.exists():
    exec(compile(extra.read_text(), str(extra), "exec"))  # noqa: S102  # the admin's own file, as this one is

# ---- the queue: at the end, as it adds to what is there --------------------------------------------------------------
configure(
    c,
    manager_url=SITE["manager_url"],
    service_token=os.environ["GPUQUEUE_SERVICE_TOKEN"],
    spawner_secret_file=os.environ.get("GPUQUEUE_SPAWNER_SECRET_FILE", FOLDER / "secrets/spawner-secret"),
    unsent_file=DATA / "unsent.json",
    admins=SITE["admins"],
    admin_groups=SITE["admin_groups"],
    operators=SITE["operators"],
    operator_groups=SITE["operator_groups"],
    readers=SITE["readers"],
    reader_groups=SITE["reader_groups"],
    named_servers=SITE["named_servers"],
)
