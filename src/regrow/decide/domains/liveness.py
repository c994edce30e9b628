"""The gateway process is kept alive: ended, hung, silent or deaf to its port, it is brought back and proven."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from regrow.decide.domains.base import DomainConfig, Setting


class LivenessConfig(DomainConfig, frozen=True):
    """`[heal.liveness]`."""

    auto_start: Annotated[bool, Meta(description="start the gateway when regrow starts, unless a stop holds")] = True
    kill: Annotated[Setting, Meta(description="SIGKILL after a stop budget ran out, identity proven")] = "auto"
    doctor: Annotated[
        Setting, Meta(description="`openclaw doctor --fix` on an invalid configuration, once per start flow")
    ] = "off"
    start_budget: Annotated[
        float, Meta(ge=30, le=900, description="seconds a silent boot may take before it is ended, at least")
    ] = 120.0
