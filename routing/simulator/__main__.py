"""`python -m routing.simulator --port P`: imitates the three providers until stopped."""

import argparse
import socket
import sys
from typing import get_args

import uvicorn

from routing.simulator.app import create_app
from routing.simulator.server.faults import Kind
from routing.simulator.shared.prompt import BLOCK_PHRASE, REFUSAL_PHRASE

_AsWritten = argparse.RawDescriptionHelpFormatter
_EPILOG = f"""\
Base URLs: http://HOST:PORT/v1 (OpenAI), http://HOST:PORT (Anthropic, Gemini); or below /openai,
/anthropic, /google. Any key is good but those that begin with "bad".

In a prompt: "{BLOCK_PHRASE}" has the provider refuse it, "{REFUSAL_PHRASE}" the model decline;
words of a tool's name have that tool called; "Reply with exactly: ..." is echoed.

From this machine only:
  POST /_control/faults {{"kind": "status", "provider": "openai", "status": 429, "count": 1}}
    kinds: {", ".join(get_args(Kind))}
    also: model, retry_after, error_code, body, delay_s, after_chunks, rate
  GET, DELETE /_control/faults    GET, DELETE /_control/calls?provider=&model=
  POST /_control/speed {{"speed": 0}}    GET /_control/health
"""


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    config = uvicorn.Config(
        create_app(options.speed, options.seed),
        log_level=options.log_level,
        access_log=options.log_level in {"debug", "trace"},
        timeout_graceful_shutdown=1,
    )
    listening = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
    except OSError as problem:
        sys.exit(f"cannot listen on {options.host}:{options.port}: {problem.strerror}")
    host, port = listening.getsockname()[:2]
    _Announced(config, f"simulator listening on http://{host}:{port}").run(sockets=[listening])


class _Announced(uvicorn.Server):
    """Prints one line when it accepts connections."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m routing.simulator", description=__doc__, epilog=_EPILOG, formatter_class=_AsWritten
    )
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="0: no waiting; 1: realistic; 2: half as fast"
    )
    parser.add_argument("--seed", type=int, default=0, help="fixes ids and the chance of faults")
    parser.add_argument(
        "--log-level", default="warning", choices=["critical", "error", "warning", "info", "debug", "trace"]
    )
    return parser


if __name__ == "__main__":
    main()
