"""Waits until people can use the queue: Hub and queue answer through the proxy, and nobody has to wait for a fault.

`python ready.py URL SECONDS`, with the Hub's address at the proxy. Ends with what is missing when the time is over.
"""

import json
import sys
import time
from urllib.request import urlopen


def missing(url):
    """What is still missing, in words; empty: nothing."""
    try:
        with urlopen(f"{url}hub/health", timeout=5):  # noqa: S310  # the chart's own address
            pass
        with urlopen(f"{url}services/gpuqueue/health", timeout=5) as answer:  # noqa: S310
            told = json.load(answer)
    except (OSError, ValueError) as error:
        return f"{url}: {error}"
    return told["problem"]


def main(url, seconds):
    """Look every second."""
    end = time.monotonic() + float(seconds)
    while words := missing(url):
        if time.monotonic() > end:
            sys.exit(words)
        time.sleep(1)
    print("Hub and queue answer, one manager leads, and nothing keeps it from giving out GPUs.")


if __name__ == "__main__":
    main(*sys.argv[1:])
