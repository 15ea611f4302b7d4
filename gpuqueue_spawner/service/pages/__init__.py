"""The pages of the service: each handler gathers records, lets `views/` prepare them, and prints a template."""
