"""The queue manager of `gpuqueue demo`, which says in a file where everything is; see gpuqueue_spawner/cli/demo.py."""

import json
import os
from pathlib import Path

PRIVATE = Path(os.environ["GPUQUEUE_DEMO"])
SITE = json.loads((PRIVATE / "site.json").read_text())

c = get_config()  # noqa: F821  # traitlets gives it to configuration files
c.ManagerApp.port = SITE["ports"]["manager"]
c.ManagerApp.data_dir = str(PRIVATE)
c.ManagerApp.hub_api_url = f"http://127.0.0.1:{SITE['ports']['hub']}/hub/api"
c.ManagerApp.hub_token_file = str(PRIVATE / "hub_token")
c.ManagerApp.upgrade_db = True
if SITE["gpus"] is not None:  # a pretended server, as large as one with so many GPUs would be
    c.LocalCapacity.simulated_gpus = SITE["gpus"]
    c.LocalCapacity.node_name = SITE["node"]
    c.LocalCapacity.cpus = 16.0 * max(1, SITE["gpus"])
    c.LocalCapacity.memory = f"{128 * max(1, SITE['gpus'])}G"
if SITE["directory"]:
    c.Policy.member_groups = ["DGX-Users"]  # who left it keeps what waits and runs, and is marked on the admin page
