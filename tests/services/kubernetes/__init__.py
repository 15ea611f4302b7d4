"""A real Kubernetes on this machine: its control plane and its nodes are network, mount and process namespaces.

Where to begin: cluster.py brings one up; what tests may ask of it is written there. Each noun has a file: namespaces.py
(machines), control.py (API server and its like), nodes.py (kubelet and its like), devices.py (GPUs), shares.py (NFS),
images.py (buildah) and seed.py (containerd's images). keeper.py takes everything away again, whatever happens to the
tests.
"""
