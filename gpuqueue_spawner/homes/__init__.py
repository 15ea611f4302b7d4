"""The small service that makes people's folders on a share before their notebooks want them.

- `folders` makes one, or says why not; `app` is asked over HTTP
- the Hub's side is spawner/homes.py, the command cli/homes.py
"""

from .app import make_app
from .folders import Folders

__all__ = ["Folders", "make_app"]
