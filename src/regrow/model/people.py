"""What people outside were told, as it is remembered."""

from __future__ import annotations

from msgspec import Struct


class Filed(Struct, frozen=True):
    """The last write about one subject to an issue tracker.

    Attributes:
        marker: Stands for the subject, in the issue and here; the subject itself may hold a phone number.
        repo: `owner/repo`.
        number: The issue's, 0 while nobody knows whether it was made.
        at: When the write was begun, epoch seconds.
    """

    marker: str
    repo: str
    number: int
    at: float
