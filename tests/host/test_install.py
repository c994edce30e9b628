"""Installing OpenClaw: all or nothing, whatever npm does. (The real npm installs it for every real test.)"""

import asyncio
from pathlib import Path

import pytest

from regrow.host import install as installing
from regrow.host.install import PINNED, Progress, install
from regrow.model.errors import Fatal, RegrowError, Retryable

# A Node that is a shell script: it plays npm and the program npm installed.
NODE = """#!/bin/sh
case "$1" in
  --version) echo v24.19.0;;
  */npm-cli.js) echo "$@" >> {root}/npm.told; . {root}/npm.does;;
  */openclaw.mjs) . {root}/openclaw.does;;
esac
"""
GOOD = """
echo "npm http fetch GET 200 https://registry.invalid/ws/-/ws-8.0.0.tgz 12ms" >&2
mkdir -p node_modules/openclaw
echo '{{"name": "openclaw", "version": "{version}", "bin": "openclaw.mjs"}}' > node_modules/openclaw/package.json
touch node_modules/openclaw/openclaw.mjs
"""


class Npm:
    """A machine whose npm does as told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.into = root / "openclaw"
        self.node = root / "prefix/bin/node"
        self.node.parent.mkdir(parents=True)
        self.node.write_text(NODE.format(root=root))
        self.node.chmod(0o755)
        npm = root / "prefix/lib/node_modules/npm/bin/npm-cli.js"
        npm.parent.mkdir(parents=True)
        npm.touch()
        self.does(GOOD.format(version=PINNED))
        self.program(f"echo OpenClaw {PINNED}")

    def does(self, script: str) -> None:
        (self.root / "npm.does").write_text(script)

    def program(self, script: str) -> None:
        (self.root / "openclaw.does").write_text(script)

    def calls(self) -> list[str]:
        told = self.root / "npm.told"
        return told.read_text().splitlines() if told.exists() else []

    def left(self) -> list[str]:
        return sorted(path.name for path in self.into.iterdir() if path.name != ".lock")

    async def install(self, version: str = PINNED, report: installing.Report = lambda _: None) -> object:
        return await install(version, self.into, report, node=str(self.node))


@pytest.fixture
def npm(tmp_path: Path) -> Npm:
    return Npm(tmp_path)


async def test_it_is_installed_once(npm: Npm) -> None:
    seen: list[Progress] = []
    first = await npm.install(report=seen.append)
    assert await npm.install() == first
    assert npm.left() == [PINNED]
    assert [one.phase for one in seen] == ["resolve", "download", "unpack", "check", "done"]
    (call,) = npm.calls()
    for flag in ("--ignore-scripts", "--omit=optional", f"openclaw@{PINNED}"):
        assert flag in call


async def test_two_at_once_install_it_once(npm: Npm) -> None:
    seen: list[Progress] = []
    one, two = await asyncio.gather(npm.install(report=seen.append), npm.install(report=seen.append))
    assert one == two
    assert [one.phase for one in seen].count("wait") == 1
    assert len(npm.calls()) == 1


@pytest.mark.parametrize(
    ("says", "kind", "words"),
    [
        ("npm error code ETARGET", Fatal, "knows no OpenClaw"),
        ("npm error code ENOTFOUND", Retryable, "could not reach"),
        ("npm error code ENOSPC", Fatal, "disk is full"),
        ("npm error get https://me:hunter2@host/x", Fatal, r"npm failed \(exit 1\)"),
    ],
)
async def test_what_npm_says_becomes_one_clear_error(says: str, kind: type[RegrowError], words: str, npm: Npm) -> None:
    npm.does(f"echo '{says}' >&2; exit 1")
    with pytest.raises(kind, match=words) as caught:
        await npm.install()
    assert "hunter2" not in str(caught.value)
    assert npm.left() == []


async def test_what_does_not_start_is_not_kept(npm: Npm) -> None:
    npm.program("echo cannot find module; exit 1")
    with pytest.raises(Fatal, match=r"does not start \(exit 1\): cannot find module"):
        await npm.install()
    assert npm.left() == []


async def test_npm_ending_well_with_nothing_done_is_noticed(npm: Npm) -> None:
    npm.does("exit 0")
    with pytest.raises(Fatal, match="left no OpenClaw"):
        await npm.install()


async def test_an_interrupted_one_leaves_no_process_and_the_next_one_cleans_up(npm: Npm) -> None:
    (npm.into / ".staging-2026.9.6-old").mkdir(parents=True)  # of a life that was killed
    npm.does(f"echo $$ > {npm.root}/pid; exec sleep 600")
    task = asyncio.create_task(npm.install())
    async with asyncio.timeout(10):
        while not (npm.root / "pid").exists() or not (npm.root / "pid").read_text().strip():
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pid = int((npm.root / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()
    npm.does(GOOD.format(version=PINNED))
    await npm.install()
    assert npm.left() == [PINNED]


async def test_one_that_takes_for_ever_is_given_up(npm: Npm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "LIMIT", 0.3)
    npm.does("exec sleep 600")
    with pytest.raises(Retryable, match="took longer"):
        await npm.install()
    assert npm.left() == []


async def test_a_damaged_one_is_replaced(npm: Npm) -> None:
    (npm.into / PINNED).mkdir(parents=True)
    (npm.into / PINNED / "half").touch()
    await npm.install()
    assert not (npm.into / PINNED / "half").exists()


async def test_a_full_disk_is_noticed_before_anything_is_fetched(npm: Npm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "ROOM", 1 << 60)
    with pytest.raises(Fatal, match="make room"):
        await npm.install()
    assert npm.calls() == []


@pytest.mark.parametrize("version", ["latest", "../../etc", "2026.9.6; rm -rf /", "", "--version"])
async def test_only_a_version_is_a_version(version: str, npm: Npm) -> None:
    with pytest.raises(Fatal, match="not an OpenClaw version"):
        await npm.install(version)
    assert not npm.into.exists()
