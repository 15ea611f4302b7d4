"""`python -m gpuqueue_spawner.service` is `gpuqueue manager`."""

from .app import ManagerApp

if __name__ == "__main__":
    ManagerApp.launch_instance()
