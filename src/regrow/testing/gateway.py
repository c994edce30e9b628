"""A gateway that is not one: a real server on loopback that speaks the protocol and misbehaves on demand."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State as WireState

from regrow.model.errors import GatewayError
from regrow.testing.answers import answer, check_allowed, preflight, probe
from regrow.testing.door import TurnedAway, admit, challenge
from regrow.testing.wire import Connection, Peer, parse, to_wire
from regrow.testing.world import SILENCE, Answer, State, World, now_ms

_MAX_FRAME = 26_214_400
_QUIET = logging.Logger("regrow.testing.wire", logging.CRITICAL)  # noqa: LOG001  (frames hold the token)


class FakeGateway(World):
    """A fake OpenClaw gateway: `async with FakeGateway() as gw:` listens on `gw.url` until the block ends.

    Token, protocol range, scopes and the Ed25519 proof are checked for real. What it claims (`World`) may be changed
    while it runs; what it does is changed by `become`, `restart`, `crash`, `on`, `emit` and the others below.

    Args:
        token: The token it wants; None lets everybody in.
        port: The port to listen on; 0 takes a free one.
        protocol: 4, or 3 for a gateway of early 2026.
        version: The version it claims; by default one that fits the protocol.
        state_dir: The state directory it claims.
        boot_time: Seconds from listening to ready; 0 is ready at once.
        restart_time: Seconds a restart keeps the port closed.
        tick: Seconds between two `tick` events.
    """

    def __init__(
        self,
        *,
        token: str | None = "fake-token",  # noqa: S107  (it protects nothing)
        port: int = 0,
        protocol: int = 4,
        version: str | None = None,
        state_dir: str = "/nonexistent/fake",
        boot_time: float = 0.0,
        restart_time: float = 0.05,
        tick: float = 30.0,
    ) -> None:
        super().__init__(token=token, protocol=protocol, version=version, state_dir=state_dir)
        self.port = port
        self.boot_time = boot_time
        self.restart_time = restart_time
        self._tick = tick
        self._server: Server | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._peers: set[Peer] = set()
        self._drop_events = 0
        self._drop_answers = 0
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where its socket is."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        """Where its probes are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def peers(self) -> int:
        """How many clients are connected and greeted."""
        return len(self._peers)

    # ── life ──

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        await self._listen()
        self._spawn(self._boot())
        self._spawn(self._ticking())
        if not self.boot_time:
            await self.wait_for(State.READY)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self._close_port(1001, "going away")
        finally:
            for task in list(self._running):
                task.cancel()
            if self._tasks is not None:
                await self._tasks.__aexit__(None, None, None)  # the body's own error leaves unwrapped

    async def become(self, state: State | str) -> None:
        """Change what it does.

        Args:
            state: `zombie` closes the port, everything else opens it again. Leaving `hung` answers what was asked
                meanwhile, as a continued process would.
        """
        await self._become(State(state))

    async def wait_for(self, state: State | str) -> None:
        """Wait until it is in a state."""
        wanted = State(state)
        async with self._changed:
            await self._changed.wait_for(lambda: self.state is wanted)

    async def wait_peers(self, count: int) -> None:
        """Wait until so many clients are connected and greeted."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._peers) == count)

    async def restart(self) -> None:
        """Restart inside its process: shutdown event, close code 1012, the port closed for a while, a new boot id."""
        await self.emit("shutdown", {"reason": "gateway restarting", "restartExpectedMs": 1500})
        await self._set(State.ZOMBIE)
        await self._close_port(1012, "service restart")
        await asyncio.sleep(self.restart_time)
        if not self.config_valid and not self.is_old:
            return  # like the real one: alive, no listener, waiting for somebody to mend the file
        self.boot_id = str(uuid.uuid4())
        self.boot_since = time.monotonic()
        await self._set(State.STARTING)
        await self._listen()
        await self._boot()

    async def crash(self) -> None:
        """End as a killed process does: sockets just break, the port is closed. `become("ready")` starts it again."""
        await self._set(State.ZOMBIE)
        if self._server is not None:
            for connection in list(self._server.all_connections):
                connection.transport.abort()
        await self._close_port(1001, "going away")
        self.boot_id, self.process_instance = str(uuid.uuid4()), str(uuid.uuid4())
        self.process_since = time.monotonic()

    # ── what it says ──

    def on(self, method: str, answer: Answer) -> None:
        """Script the answer to a method, existing or new.

        Args:
            method: The method.
            answer: A JSON value; a function (plain or async) of the parameters that returns one or raises
                `GatewayError`; or `SILENCE`.
        """
        self.answers[method] = answer

    async def emit(self, name: str, payload: Any = None) -> None:
        """Send an event to every client."""
        for peer in list(self._peers):
            peer.seq += 1
            if self._drop_events:
                continue
            await self._send(peer.ws, {"type": "event", "event": name, "payload": payload, "seq": peer.seq})
        self._drop_events = max(0, self._drop_events - 1)

    def drop_events(self, count: int) -> None:
        """Lose the next events: their numbers are used up, as with a client that reads too slowly."""
        self._drop_events = count

    def drop_answers(self, count: int) -> None:
        """Lose the answers to the next calls."""
        self._drop_answers = count

    async def send_raw(self, data: str | bytes) -> None:
        """Send a frame of any content to every client: garbage, a legacy notification."""
        for peer in list(self._peers):
            await self._send(peer.ws, data)

    async def hang_up(self, code: int = 1012, reason: str = "service restart") -> None:
        """Close every socket with a code; the port stays open."""
        for peer in list(self._peers):
            await peer.ws.close(code, reason)

    # ── inside ──

    async def _set(self, state: State) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()

    async def _become(self, state: State) -> None:
        was = self.state
        await self._set(state)
        if state is State.ZOMBIE:
            await self._close_port(1012, "service restart")
        elif self._server is None:
            self.boot_since = time.monotonic()
            await self._listen()
        if was is State.HUNG and state is not State.HUNG and self._server is not None:
            for connection in list(self._server.all_connections):
                if isinstance(connection, Connection):
                    connection.catch_up()

    def _spawn(self, work: Any) -> None:
        assert self._tasks is not None  # noqa: S101
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _listen(self) -> None:
        class Ours(Connection):
            world = self

        self._server = await serve(
            self._greet,
            "127.0.0.1",
            self.port,
            process_request=self._request,
            compression=None,
            ping_interval=None,
            open_timeout=None,
            close_timeout=1.0,
            max_size=_MAX_FRAME,
            logger=_QUIET,
            create_connection=Ours,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close_port(self, code: int, reason: str) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        for connection in list(server.all_connections):
            if connection.protocol.state is not WireState.OPEN or self.state is State.HUNG:
                connection.transport.abort()  # a visitor who never finished asking would keep us here
        server.close(code=code, reason=reason)
        await server.wait_closed()

    async def _boot(self) -> None:
        await asyncio.sleep(self.boot_time)
        if self.state is State.STARTING:
            await self._set(State.READY)

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(self._tick)
            await self.emit("tick", {"ts": now_ms()})

    async def _drain_and_restart(self, *, skip_deferral: bool) -> None:
        if not skip_deferral:
            await self.idle.wait()
        await self.restart()

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            status, kind, body = probe(self, request.path)
        elif self.state is State.DRAINING:
            status, kind, body = 503, "text/plain", "Gateway websocket admission closed"
        else:
            return None
        response = connection.respond(status, body)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = kind
        return response

    async def _greet(self, ws: ServerConnection) -> None:
        asked = challenge()
        await self._send(ws, {"type": "event", "event": "connect.challenge", "payload": asked})
        try:
            async with asyncio.timeout(15.0):
                frame = parse(await ws.recv())
            if frame is None:
                return
            try:
                hello, scopes = admit(self, asked, frame)
            except TurnedAway as away:
                await self._send(ws, {"type": "res", "id": frame.get("id"), "ok": False, "error": away.error})
                await ws.close(away.close, away.error["message"][:100])
                return
            await self._send(ws, {"type": "res", "id": frame.get("id"), "ok": True, "payload": hello})
            await self._talk(Peer(ws, scopes))
        except (ConnectionClosed, TimeoutError):
            return

    async def _talk(self, peer: Peer) -> None:
        await self._count(peer, here=True)
        try:
            async with asyncio.TaskGroup() as tasks:
                try:
                    async for text in peer.ws:
                        frame = parse(text)
                        # a frame without id is ignored without a word, as on the real one
                        if frame is not None and frame.get("type") == "req" and isinstance(frame.get("id"), str):
                            work = self._answer(peer, frame)
                            task = tasks.create_task(work)
                            peer.tasks.add(task)
                            task.add_done_callback(peer.tasks.discard)
                except ConnectionClosed:
                    pass
                finally:
                    for task in list(peer.tasks):
                        task.cancel()
        finally:
            await self._count(peer, here=False)

    async def _count(self, peer: Peer, *, here: bool) -> None:
        async with self._changed:
            (self._peers.add if here else self._peers.discard)(peer)
            self._changed.notify_all()

    async def _answer(self, peer: Peer, frame: dict[str, Any]) -> None:
        method, params = str(frame.get("method")), frame.get("params")
        params = params if isinstance(params, dict) else {}
        self.calls.append((method, params))
        response: dict[str, Any] = {"type": "res", "id": frame["id"], "ok": True}
        try:
            response["payload"] = payload = await self._payload(peer, method, params)
        except GatewayError as error:
            payload = None
            response |= {"ok": False, "error": to_wire(error)}
        if payload is SILENCE:
            return
        if self._drop_answers:
            self._drop_answers -= 1
            return
        await self._send(peer.ws, response)

    async def _payload(self, peer: Peer, method: str, params: Mapping[str, Any]) -> Any:
        if method in self.answers:
            scripted = self.answers[method]
            value = scripted(params) if callable(scripted) else scripted
            return await value if inspect.isawaitable(value) else value
        if method == "gateway.restart.request":
            check_allowed(self, method, peer.scopes)
            return self._restart_requested(params)
        return answer(self, method, params, peer.scopes)

    def _restart_requested(self, params: Mapping[str, Any]) -> dict[str, Any]:
        state = preflight(self)
        skip = params.get("skipDeferral") is True
        self._spawn(self._drain_and_restart(skip_deferral=skip))
        restart = {"ok": True, "pid": self.pid, "signal": "SIGUSR2", "reason": params.get("reason"), "mode": "emit"}
        status = "scheduled" if state["safe"] or skip else "deferred"
        return {"ok": True, "status": status, "preflight": state, "restart": restart}

    async def _send(self, ws: ServerConnection, frame: Any) -> None:
        if self.state is State.HUNG:
            return
        text = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        try:
            await ws.send(text, text=True)
        except ConnectionClosed:
            return
