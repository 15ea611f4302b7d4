"""A durable GPU queue for JupyterHub: hold a spawn until its GPUs are free, then launch it exactly there."""

__version__ = "0.1.0.dev0"
