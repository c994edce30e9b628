"""What can be seen of the resources a gateway lives on: memory, descriptors, children, disks."""

from __future__ import annotations

from msgspec import Struct

from regrow.model.fact import Fact
from regrow.model.gateway import Process


class Volume(Struct, frozen=True, omit_defaults=True):
    """A file system that the gateway or regrow writes to.

    Attributes:
        path: The directory that was asked about.
        total, free: Bytes; `free` is what an ordinary user may still take.
        inodes, inodes_free: Numbers of files; 0 where the file system does not count them.
    """

    path: str
    total: int
    free: int
    inodes: int = 0
    inodes_free: int = 0


class ResourcesSeen(Fact, frozen=True, tag="resources-seen"):
    """One look. None: it could not be seen.

    Attributes:
        process: The gateway that was looked at, if one runs.
        rss: Bytes of memory its whole tree holds.
        limit: Bytes it can hold at most: what its control group or the host has.
        descriptors, descriptor_limit: Open files of the gateway, and how many it may open.
        children: Processes it has started.
        volumes: Where it writes.
    """

    process: Process | None = None
    rss: int | None = None
    limit: int | None = None
    descriptors: int | None = None
    descriptor_limit: int | None = None
    children: int | None = None
    volumes: tuple[Volume, ...] = ()
