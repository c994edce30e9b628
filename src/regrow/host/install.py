"""Installs OpenClaw through npm into regrow's own directory, several versions side by side, all or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from regrow.host import paths
from regrow.host.filelock import locked
from regrow.host.openclaw import Installation, Node, find_node, installation, npm_cli, resolve_entry
from regrow.host.process import is_secret
from regrow.model.errors import Fatal, Retryable

PINNED = "2026.9.6"  # the version regrow is tested with
LIMIT = 1200.0  # seconds for the whole installation; it usually takes one minute
ROOM = 1_500_000_000  # bytes: the package (0.6 GB), its downloads and some air
_VERSION = re.compile(r"\d{4}\.\d{1,2}\.\d{1,3}(?:-[0-9A-Za-z.-]{1,40})?")
_FETCH = re.compile(r"npm http (?:fetch|cache) (?:GET \d+ )?\S*?([^/\s]+?)(?:-\d[^/\s]*)?\.tgz")
_NETWORK = ("ENOTFOUND", "ETIMEDOUT", "ECONNRESET", "ECONNREFUSED", "EAI_AGAIN", "ERR_SOCKET_TIMEOUT", "ENETUNREACH")


class Progress(Struct, frozen=True):
    """How far an installation is. `done` counts packages fetched."""

    phase: Literal["wait", "resolve", "download", "unpack", "check", "done"]
    text: str
    done: int = 0


_WAITING = Progress("wait", "waiting for another installation to end")
Report = Callable[[Progress], None]


def _silent(_progress: Progress) -> None:
    return


async def install(
    version: str = PINNED, into: Path | None = None, progress: Report = _silent, *, node: str | None = None
) -> Installation:
    """Make sure that a version of OpenClaw is installed; at once if it already is.

    It is put together beside its place and then renamed into it, so that whoever finds it finds all of it. What an
    interrupted installation left is removed by the next one; npm's own cache makes that one faster.

    Args:
        version: Which, such as `2026.9.6`.
        into: The directory that holds one directory per version.
        progress: Told about every step; must not block.
        node: A Node to use instead of searching.

    Raises:
        Fatal: Node or npm is missing, there is no such version, no room, or the installed program does not start.
        Retryable: The network failed, or it took longer than 20 minutes.
    """
    if not _VERSION.fullmatch(version):
        raise Fatal(f"{version!r} is not an OpenClaw version; they look like {PINNED}")
    root = into or paths.openclaw_dir()
    await asyncio.to_thread(paths.private_dir, root)
    found = await asyncio.to_thread(_present, root, version, node)
    if found:
        return found
    async with locked(root / ".lock", waiting=lambda: progress(_WAITING)):
        found = await asyncio.to_thread(_present, root, version, node)
        return found or await _install(version, root, progress, node)


def _present(root: Path, version: str, node: str | None) -> Installation | None:
    entry = resolve_entry(root / version / "node_modules" / "openclaw")
    return installation(entry, node, managed=True) if entry else None


async def _install(version: str, root: Path, progress: Report, node_path: str | None) -> Installation:
    node = await asyncio.to_thread(find_node, node_path)
    npm = npm_cli(node)
    if npm is None:
        raise Fatal(f'{node.path} came without npm; install npm, or run: pip install "regrow[managed]"')
    staging = await asyncio.to_thread(_stage, root, version)
    try:
        try:
            async with asyncio.timeout(LIMIT):
                await _npm(version, staging, node, npm, progress)
                progress(Progress("check", "starting it once"))
                fresh = await _proven(version, staging, node_path)
        except TimeoutError as error:
            raise Retryable(
                f"installing OpenClaw {version} took longer than {LIMIT:.0f} s; try again", after=60
            ) from error
        await asyncio.to_thread(_put_in_place, staging, root / version)
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True))
    progress(Progress("done", f"OpenClaw {fresh.version} is installed"))
    return await asyncio.to_thread(installation, _entry(root / version), node_path, managed=True)


def _stage(root: Path, version: str) -> Path:
    for left in root.glob(".staging-*"):  # we hold the lock: nobody is working in them
        shutil.rmtree(left, ignore_errors=True)
    free = shutil.disk_usage(root).free
    if free < ROOM:
        raise Fatal(
            f"{root} has {free // 1_000_000} MB left and OpenClaw needs {ROOM // 1_000_000} MB; make room first"
        )
    staging = Path(tempfile.mkdtemp(prefix=f".staging-{version}-", dir=root))
    (staging / "package.json").write_text('{"private": true}\n')
    return staging


async def _npm(version: str, staging: Path, node: Node, npm: Path, progress: Report) -> None:
    argv = [
        node.path, str(npm), "install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund",
        "--no-progress", "--loglevel=http", "--global=false", "--omit-lockfile-registry-resolved=true",
        f"openclaw@{version}",
    ]  # fmt: skip
    env = {key: value for key, value in os.environ.items() if key != "NODE_OPTIONS" and not is_secret(key)}
    env["PATH"] = os.pathsep.join([str(Path(node.path).parent), env.get("PATH", os.defpath)])
    progress(Progress("resolve", f"asking npm for OpenClaw {version}"))
    child = await asyncio.create_subprocess_exec(
        *argv,
        cwd=staging,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
    )
    words: deque[str] = deque(maxlen=40)
    try:
        await _listen(child, words, progress)
        code = await child.wait()
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await asyncio.shield(child.wait())
    if code:
        raise _npm_failure(version, code, words)


async def _listen(child: asyncio.subprocess.Process, words: deque[str], progress: Report) -> None:
    assert child.stdout is not None  # noqa: S101  (it was asked for)
    fetched: set[str] = set()
    while raw := await child.stdout.readline():
        line = raw.decode("utf-8", "replace").strip()
        found = _FETCH.search(line)
        if found:
            fetched.add(found[1])
            progress(Progress("download", found[1], len(fetched)))
        elif line.startswith("npm http"):
            progress(Progress("download" if fetched else "resolve", "reading the package list", len(fetched)))
        else:
            words.append(line)
    progress(Progress("unpack", "npm is done", len(fetched)))


def _npm_failure(version: str, code: int, words: deque[str]) -> Fatal | Retryable:
    text = "\n".join(words)
    for sign in _NETWORK:
        if sign in text:
            return Retryable(f"npm could not reach its registry ({sign}); check the network and try again", after=60)
    if "ETARGET" in text or "E404" in text:
        return Fatal(f"npm knows no OpenClaw {version}; try `regrow install` for {PINNED}")
    if "ENOSPC" in text:
        return Fatal("the disk is full; make room and run `regrow install` again")
    last = [re.sub(r"//[^/@\s]+@", "//***@", line) for line in words if line.startswith("npm error")][:6]
    return Fatal(
        f"npm failed (exit {code}) while installing OpenClaw {version}:\n  " + "\n  ".join(last or ["no words"])
    )


def _entry(home: Path) -> Path:
    entry = resolve_entry(home / "node_modules" / "openclaw")
    if entry is None:
        raise Fatal(f"npm ended well but left no OpenClaw in {home}; run `regrow install` again")
    return entry


async def _proven(version: str, staging: Path, node_path: str | None) -> Installation:
    """Start the program once: a package that unpacked is not yet one that runs."""
    fresh = await asyncio.to_thread(installation, _entry(staging), node_path, managed=True)
    home = staging / "home"
    home.mkdir()
    child = await asyncio.create_subprocess_exec(
        *fresh.argv("--version"),
        cwd=home,
        env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "OPENCLAW_STATE_DIR": str(home / "state")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(child.communicate(), 120)
    finally:
        if child.returncode is None:
            child.kill()
            await asyncio.shield(child.wait())
    if child.returncode or version.encode() not in out:
        said = out.decode("utf-8", "replace").strip()[-300:]
        raise Fatal(f"the installed OpenClaw {version} does not start (exit {child.returncode}): {said}")
    await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
    return fresh


def _put_in_place(staging: Path, home: Path) -> None:
    if home.exists():  # a damaged one: a whole one would have been found
        shutil.rmtree(home)
    staging.rename(home)
