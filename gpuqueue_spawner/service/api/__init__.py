"""The users' REST API, a file a noun. Described in openapi.yaml, whose examples are run as tests."""
