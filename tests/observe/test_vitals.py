"""The host's tables, as different hosts have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from observe.mailbox import Box
from regrow.model.facts import HostSeen
from regrow.observe.vitals import Vitals, has_route, is_pressed

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
DEFAULT = HEAD + "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
LOCAL = HEAD + "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
TUNNEL = HEAD + "tun0\t00000080\t0100000A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n"
ZERO = "0" * 32
V6 = f"{ZERO} 00 {ZERO} 00 fe80000000000000021a4afffe6e7a01 00000400 00000001 00000000 00000003     eth0\n"
V6_NONE = f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200       lo\n"
DEV = "Inter-|   Receive\n face |bytes\n    lo: 1 2\n"


def proc(root: Path, *, route: str | None = HEAD, v6: str | None = V6_NONE, dev: str = DEV + "  eth0: 1 2\n") -> Path:
    (root / "net").mkdir()
    if route is not None:
        (root / "net" / "route").write_text(route)
    if v6 is not None:
        (root / "net" / "ipv6_route").write_text(v6)
    (root / "net" / "dev").write_text(dev)
    return root


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"route": DEFAULT}, True),
        ({"route": TUNNEL}, True),
        ({"v6": V6 + V6_NONE}, True),
        ({"route": LOCAL}, False),
        ({}, False),
        ({"dev": DEV}, None),  # a container without a network, on purpose
        ({"route": None, "v6": None}, None),
    ],
)
def test_a_way_out(tmp_path: Path, tables: dict[str, str], expected: bool | None) -> None:
    assert has_route(proc(tmp_path, **tables)) is expected


@pytest.mark.parametrize(("full", "expected"), [("0.00", False), ("10.00", False), ("10.01", True), ("73.20", True)])
def test_memory_pressure(tmp_path: Path, full: str, expected: bool) -> None:
    assert is_pressed(tmp_path) is None
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "memory").write_text(
        f"some avg10=99.00 avg60=0.00 avg300=0.00 total=1\nfull avg10={full} avg60=0.00 avg300=0.00 total=1\n"
    )
    assert is_pressed(tmp_path) is expected


async def test_only_changes_are_told(tmp_path: Path) -> None:
    box = Box()
    vitals = Vitals(box.post, box.clock, proc=proc(tmp_path, route=DEFAULT))
    await vitals.look()
    await vitals.look()
    (tmp_path / "net" / "route").write_text(LOCAL)
    await vitals.look()
    assert [fact.route for fact in box.of(HostSeen)] == [True, False]


async def test_this_host_can_be_read() -> None:
    box = Box()
    await Vitals(box.post, box.clock).look()
    assert len(box.of(HostSeen)) == 1
