"""What the site decides: limits, leases, patience. Who starts next within them is decided in scheduling/."""

from __future__ import annotations

import math

from traitlets import Float, Integer, List, TraitError, Unicode, validate
from traitlets.config import Configurable

from ..scheduling import Limits


class Policy(Configurable):
    """The site's rules for jobs."""

    queued_jobs = Integer(
        5,
        config=True,
        help="""Requests that one user may have waiting at a time; 0 for no limit.

        A request over it is refused when it is made. Lower it where people queue in advance for days.

        .. versionadded:: 0.1
        """,
    )
    running_jobs = Integer(
        0,
        config=True,
        help="""Jobs that one user may run at a time; 0 for no limit.

        A request over it waits, without holding up those behind it.

        .. versionadded:: 0.1
        """,
    )
    gpus = Integer(
        0,
        config=True,
        help="""GPUs that one user may hold at a time; 0 for no limit.

        A request over it waits, without holding up those behind it; one that alone is larger is refused.

        .. versionadded:: 0.1
        """,
    )
    max_lease = Float(
        24 * 3600.0,
        config=True,
        help="""Seconds that a job may ask to run for.

        .. versionadded:: 0.1
        """,
    )
    extend_by = Float(
        2 * 3600.0,
        config=True,
        help="""Seconds that one press on "extend" adds to a running job; 0 switches extending off.

        .. versionadded:: 0.1
        """,
    )
    max_extension = Float(
        4 * 3600.0,
        config=True,
        help="""Seconds by which all extensions of one job together may lengthen it.

        .. versionadded:: 0.1
        """,
    )
    warning = Float(
        600.0,
        config=True,
        help="""Seconds before the end of a lease from which on its owner is warned.

        A lease that ran out while the queue was away, or after the clock jumped, ends only after this time has been
        given anew.

        .. versionadded:: 0.1
        """,
    )
    launch_retries = Integer(
        2,
        config=True,
        help="""Times that a launch which failed is tried again, at the front of the queue.

        .. versionadded:: 0.1
        """,
    )
    retry_delay = Float(
        5.0,
        config=True,
        help="""Seconds before a failed launch is tried again.

        .. versionadded:: 0.1
        """,
    )
    stop_grace = Float(
        10.0,
        config=True,
        help="""Seconds that a notebook has to save and end by itself before its processes are ended.

        .. versionadded:: 0.1
        """,
    )
    keep_ended = Float(
        90 * 86400.0,
        config=True,
        help="""Seconds that an ended job and its events are kept; then they are summed up by day and user.

        .. versionadded:: 0.1
        """,
    )
    member_groups = List(
        Unicode(),
        config=True,
        help="""Hub groups of which one is needed to log in; empty: nobody is looked at.

        Whoever is in none of them any more keeps what waits and runs, and is marked on the admin page. Set it to the
        names of the authenticator's allowed groups.

        .. versionadded:: 0.1
        """,
    )

    @validate(
        "queued_jobs",
        "running_jobs",
        "gpus",
        "extend_by",
        "max_extension",
        "warning",
        "launch_retries",
        "retry_delay",
        "stop_grace",
        "keep_ended",
    )
    def _not_negative(self, proposal: dict) -> float:  # type: ignore[type-arg]  # traitlets passes a plain dict
        value: float = proposal["value"]
        if not 0 <= value < math.inf:
            raise TraitError(f"Policy.{proposal['trait'].name} is {value}; allowed is 0 or more")
        return value

    @validate("max_lease")
    def _above_zero(self, proposal: dict) -> float:  # type: ignore[type-arg]
        value: float = proposal["value"]
        if not 0 < value < math.inf:
            raise TraitError(f"Policy.max_lease is {value}; allowed is a number of seconds above 0")
        return value

    @property
    def limits(self) -> Limits:
        """The limits of one user, as the planner wants them."""
        return Limits(
            queued_jobs=self.queued_jobs or None, running_jobs=self.running_jobs or None, gpus=self.gpus or None
        )
