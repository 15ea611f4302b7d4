"""The cluster as the place where jobs run."""
