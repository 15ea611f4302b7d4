"""The Jinja environment of the service's pages: everything is escaped, an unknown name is an error.

Knows folders. What a page prints is prepared in views/; the Hub's own pages (waiting, form) are rendered by the Hub
from spawner/templates, and share their macros with these.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
STATIC = (
    HERE / "static"
)  #: served at <service>static/; also on the Hub's template path, since its pages print it inline
HUB_TEMPLATES = HERE.parent / "spawner" / "templates"  #: macros that both sides print


def environment() -> Environment:
    """Build the environment; one is enough for a process."""
    return Environment(
        loader=FileSystemLoader([HERE / "templates", HUB_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
