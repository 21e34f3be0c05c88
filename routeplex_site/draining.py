"""Graceful shutdown: after SIGTERM a web process keeps serving while load balancers stop using it.

A server that stops listening immediately drops connections that are open but have not sent a request yet.
For `DRAIN_S` seconds after SIGTERM, `/readyz` answers 503 and each response closes its connection. Then the
server's own graceful shutdown follows.
"""

import asyncio
import signal

_draining = False


def is_draining() -> bool:
    return _draining


def drain_on_sigterm(wait_s: float) -> None:
    """Delay the server's own SIGTERM handler by `wait_s` seconds; a second SIGTERM does not wait.

    Call it in the main thread, as Python's signal functions require.
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
