"""Our errors; each says whether trying again can help.

RegrowError
├── Retryable        waiting helps; `after` seconds if known
├── Fatal            nothing changes until a person or a file changes
├── Refused          a guard said no; `by` names it
├── ConfigError      every problem of a configuration at once
└── LinkError
    ├── TransportError   the connection failed or ended: the call may or may not have happened
    ├── HandshakeError   the gateway did not accept us; `retryable` tells whether it may later
    └── GatewayError     the gateway answered, and the answer was an error
"""

from __future__ import annotations

from typing import Any


class RegrowError(Exception):
    """The root of every error regrow raises on purpose. The message names the thing and the next step."""


class Retryable(RegrowError):  # noqa: N818  (a quality of the failure, not a kind of error)
    """It failed, and the same attempt may succeed later.

    Args:
        message: What failed.
        after: Seconds to wait before the next attempt, or None if unknown.
    """

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Fatal(RegrowError):  # noqa: N818
    """It failed and repeating it cannot help until something outside changes."""


class Refused(RegrowError):  # noqa: N818
    """A guard withheld the action; nothing was changed.

    Args:
        message: What was refused and what would change the answer.
        by: The guard's name.
    """

    def __init__(self, message: str, *, by: str) -> None:
        super().__init__(message)
        self.by = by


class ConfigError(RegrowError):
    """A configuration with one or more problems, all of them listed.

    Args:
        problems: One line each, `path: what is wrong, and what would be right`.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkError(RegrowError):
    """Anything that went wrong between us and the gateway's socket."""


class TransportError(LinkError):
    """The connection failed, closed or stayed silent; whether the call took effect is unknown."""


class HandshakeError(LinkError):
    """The gateway was reached but did not let us in.

    Args:
        message: The gateway's reason.
        code: The gateway's detail code (`AUTH_TOKEN_MISMATCH`), or its plain code, or "".
        retryable: True if the gateway said that it is only starting or draining.
        retry_after: Seconds the gateway asked us to wait, if it did.
    """

    def __init__(
        self, message: str, *, code: str = "", retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after


class GatewayError(LinkError):
    """The gateway answered a call with an error: the connection is fine, the request was not.

    Args:
        code: `INVALID_REQUEST`, `UNAVAILABLE`, `FORBIDDEN`, …
        message: The gateway's own words.
        retryable: True if the gateway says so.
        retry_after: Seconds to wait, if the gateway gave them.
        details: The gateway's `details` object, if any.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.details = details or {}
