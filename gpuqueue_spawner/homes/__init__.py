"""The small service that makes people's folders on a share, and volumes of them, before their notebooks want them.

- `folders` makes one, or says why not; `app` is asked over HTTP
- `volumes` says what a person's volume is, `cluster` makes it
- the Hub's side is spawner/homes.py, the command cli/homes.py
"""

from .app import make_app
from .folders import Folders

__all__ = ["Folders", "make_app"]
