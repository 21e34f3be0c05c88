"""Ends a web process without losing a request: told to end, it serves on while balancers turn away from it.

A server that stops listening at once drops the connections that were made and have not asked anything yet.
For `DRAIN_S` after SIGTERM `/readyz` answers 503 and each answer closes its connection; then the server's own
graceful end follows.
"""

import asyncio
import signal

_draining = False


def is_draining() -> bool:
    return _draining


def drain_on_sigterm(wait_s: float) -> None:
    """Hold back the server's own handler of SIGTERM by seconds; a second SIGTERM does not wait.

    In the main thread only, as everything with signals.
    """
    servers_own = signal.getsignal(signal.SIGTERM)
    assert callable(servers_own)
    loop = asyncio.get_running_loop()

    def begin() -> None:
        global _draining
        wait = 0.0 if _draining else wait_s
        _draining = True
        loop.call_later(wait, servers_own, signal.SIGTERM, None)

    loop.add_signal_handler(signal.SIGTERM, begin)
