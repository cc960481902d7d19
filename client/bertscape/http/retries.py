"""When to try a request again: exponential back-off with jitter, bounded, led by `Retry-After`."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bertscape.values import backoff

RETRIED_STATUS = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and for how long, one request is tried."""

    tries: int = 6  # in all, the first included
    seconds: float = 60.0  # no pause may end later than this after the first try began
    first_pause: float = 0.25  # seconds; doubles with every failure
    longest_pause: float = 8.0  # seconds; a Retry-After may be longer
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def pause(self, failures: int, retry_after: float | None) -> float:
        """Seconds to wait after this many failures, at least what the service asked for."""
        pause = backoff(failures, self.first_pause, self.longest_pause)
        # Jitter over the upper half: clients that failed together do not come back together.
        jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
        return max(jittered, retry_after or 0.0)


def seconds_to_wait(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Read a `Retry-After` header: seconds, or an HTTP date (RFC 9110, §10.2.3).

    Returns:
        Seconds from now, never negative; None if there is no such header or it is neither.
    """
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000": UTC of an unknown zone
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
