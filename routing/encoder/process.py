"""One worker process as the web process sees it: started, given a text at a time, ended.

A socket pair joins the two. When either process dies, the kernel closes the connection: the web process
learns at once that no reply will come, and a worker never outlives its web process.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from routing.encoder.messages import READY, Frames, framed

START_TIMEOUT_S = 60.0  # a cold disk and a busy machine; half a second is usual
REPLY_TIMEOUT_S = 5.0  # a hundred times the slowest reply: the worker hangs
END_TIMEOUT_S = 1.0  # from the closed connection to the end of the process, before it is killed
_ROOT = Path(__file__).resolve().parents[2]
# The worker parses what callers send in native code: it does not get the provider keys of this environment.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "TMPDIR", "HOME")

OnReply = Callable[[bytes | None], None]  # the message, or None when the worker ended before it replied


class WorkerProcess(asyncio.Protocol):
    """Await `start`, then `submit` one message at a time; `end` in any case."""

    def __init__(self, folder: Path, *, reply_timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """`folder`: the artefact's."""
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.replied = False  # at least once
        self._folder, self._reply_timeout_s = folder, reply_timeout_s
        self._frames = Frames()
        self._on_reply: OnReply | None = None
        self._hang_timer: asyncio.TimerHandle | None = None
        self._spawning: asyncio.Task[subprocess.Popen[bytes]] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "started"
        return self._process.pid

    async def start(self) -> None:
        """Return when the model is loaded. Raises OSError, or ChildProcessError when the process ended."""
        own, other = socket.socketpair()
        try:
            self._spawning = asyncio.create_task(asyncio.to_thread(self._spawn, other))
            # The thread goes on when this call is cancelled: `end` waits for its process, and ends it.
            self._process = await asyncio.shield(self._spawning)
            own.setblocking(False)
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_unix_connection(lambda: self, sock=own)
        except BaseException:
            own.close()
            raise
        await asyncio.wait(
            (self.ready, self.ended), timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if self.ended.done() or not self.ready.done():
            raise ChildProcessError("the encoder worker did not start; its error is in the log above")

    def submit(self, message: bytes, on_reply: OnReply) -> None:
        """Send a message and call `on_reply` once. The earlier reply must have arrived."""
        assert self._on_reply is None, "one message at a time"
        if self.ended.done():
            on_reply(None)
            return
        self._on_reply = on_reply
        self._hang_timer = asyncio.get_running_loop().call_later(self._reply_timeout_s, self.kill)
        assert self._transport is not None, "started"
        self._transport.write(framed(message))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def end(self) -> None:
        """Close the connection and wait for the end of the process; kill it if it does not end."""
        if self._transport is not None:
            self._transport.close()
        if self._spawning is not None:
            with suppress(OSError):  # raised by `start` before: there is no process
                process = await self._spawning
                await asyncio.to_thread(_wait_or_kill, process)

    def data_received(self, data: bytes) -> None:
        for message in self._frames.add(data):
            if message == READY:
                if not self.ready.done():
                    self.ready.set_result(None)
            else:
                self.replied = True
                self._reply(message)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self._reply(None)

    def _reply(self, message: bytes | None) -> None:
        if self._hang_timer is not None:
            self._hang_timer.cancel()
            self._hang_timer = None
        on_reply, self._on_reply = self._on_reply, None
        if on_reply is not None:
            on_reply(message)

    def _spawn(self, connection: socket.socket) -> subprocess.Popen[bytes]:
        with connection:
            descriptor = connection.fileno()
            return subprocess.Popen(  # noqa: S603 - our own module
                (sys.executable, "-m", "routing.encoder.worker", str(descriptor), str(self._folder)),
                pass_fds=(descriptor,),
                cwd=_ROOT,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
