"""What the Hub's spawners ask, at the manager's own address, with a secret of their own; the proxy never routes it."""
