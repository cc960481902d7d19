"""What the two ends of a connection have in common: how pauses grow, and how a token looks."""

from bertscape.values.errors import InvalidInput, ProblemType

TOKEN_VARIABLE = "BERTSCAPE_TOKEN"  # noqa: S105  a name, no secret


def backoff(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row: doubled with each, bounded.

    >>> [backoff(failures, first=0.25, longest=8.0) for failures in (0, 1, 2, 3, 100)]
    [0.0, 0.25, 0.5, 1.0, 8.0]
    """
    return min(longest, first * 2.0 ** min(failures - 1, 60)) if failures > 0 else 0.0


def checked_token(key: str, token: str) -> str:
    """A bearer token as an HTTP header can carry it (RFC 6750, §2.1, and a little more).

    Args:
        key: where it was given.
        token: at least one printable ASCII character, no blank.

    Raises:
        InvalidInput: it is none. The value stays out of the message: it is a secret, if mistyped.
    """
    if token and token.isascii() and token.isprintable() and " " not in token:
        return token
    expected = "one line of printable ASCII without spaces"
    raise InvalidInput.of(ProblemType.INVALID_VALUE, key, "…", expected)
