"""Refuse a configuration that says what nobody reads: a typo in a limit would else be no limit at all.

Knows sections and traits by name. What they mean: the classes' own help.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from traitlets.config import Configurable


def unread(config: Mapping[str, Any], classes: Iterable[type[Configurable]]) -> Iterator[str]:
    """Name every setting that no class reads, with what may have been meant."""
    known = {
        each.__name__: frozenset(each.class_trait_names(config=True))
        for cls in classes
        for each in cls.mro()
        if issubclass(each, Configurable)
    }
    for section, values in config.items():
        if section not in known:
            yield f"c.{section} is no section of the queue manager's configuration{_meant(section, known)}"
            continue
        for name in values:
            if name not in known[section]:
                yield f"c.{section}.{name} is no setting{_meant(name, known[section])}"


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(sorted(known))}"
