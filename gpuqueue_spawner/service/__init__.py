"""The web side of the queue: pages, REST API, event streams, and the endpoints of the Hub's spawners.

Knows HTTP and the manager's methods. Every handler authorizes, makes one call and renders. `base` is what every handler
is built on, `readers` who asks, `errors` the one map from faults to status codes, `api/` the users' API, `spawner_api/`
the spawners', `pages/` the pages with `views/` and `templates/`, `app` the process.
"""
