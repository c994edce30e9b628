"""No event loop comes into being by accident, to be found unclosed in some later test."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Keep the virtual-time plugin's question for the current loop from creating one nobody closes.

    Python 3.11 answers `get_event_loop` of a fresh policy with a new loop, unless "none" was set explicitly.
    """
    policy = pyfuncitem.funcargs.get("event_loop_policy")
    local = getattr(policy, "_local", None)
    if local is not None and not getattr(local, "_set_called", True):
        asyncio.set_event_loop(None)
    return (yield)
