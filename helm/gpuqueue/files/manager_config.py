"""The queue manager in a pod. What differs between sites is in values.json beside this file, written by the chart."""

import json
from pathlib import Path

FOLDER = Path("/etc/gpuqueue")
VALUES = json.loads((FOLDER / "values.json").read_text())
SECRETS = FOLDER / "secrets"

c = get_config()  # noqa: F821  # traitlets gives it to configuration files
c.ManagerApp.ip = "0.0.0.0"  # noqa: S104  # of the pod; who reaches it: its NetworkPolicy
c.ManagerApp.port = 8083
c.ManagerApp.data_dir = "/srv/gpuqueue"
c.ManagerApp.base_url = VALUES["base_url"]
c.ManagerApp.hub_api_url = VALUES["hub_url"] + VALUES["base_url"] + "hub/api"
c.ManagerApp.hub_token_file = str(SECRETS / "service-token")
c.ManagerApp.spawner_secret_file = str(SECRETS / "spawner-secret")
c.ManagerApp.cookie_secret_file = str(SECRETS / "cookie-secret")
c.ManagerApp.named_servers = VALUES["named_servers"]
c.ManagerApp.help_url = VALUES["help_url"]
c.ManagerApp.replicas = VALUES["replicas"]
c.ManagerApp.upgrade_db = VALUES["upgrade_db"]  # a database on a server is upgraded by a job, before
c.ManagerApp.capacity_class = "gpuqueue_spawner.capacity.KubernetesCapacity"
c.KubernetesCapacity.cordon_drained = VALUES["cordon_drained"]
if VALUES["max_hours"]:  # as long as this chart's Hub offers
    c.Policy.max_lease = VALUES["max_hours"] * 3600.0
for section, settings in VALUES["config"].items():
    c[section].update(settings)
