"""A broken openclaw.json blocks restarts while the running gateway serves; a proven copy can come back."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from regrow.decide.domains.base import DomainConfig, Setting


class SettingsConfig(DomainConfig, frozen=True):
    """`[heal.settings]`."""

    restore: Annotated[
        Setting,
        Meta(description="putting back a configuration this version once served when the file is broken"),
    ] = "ask"
    keep: Annotated[int, Meta(ge=1, le=1000, description="proven configurations kept")] = 30
