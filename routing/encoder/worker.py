"""The worker process: `python -m routing.encoder.worker FD FOLDER` judges texts until its connection closes.

It imports neither Django nor the rest of the product: it starts in half a second and stays small.
"""

import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from core.process_memory import release_startup_memory
from routing.encoder.inference import Inference
from routing.encoder.messages import FAILED, READY, decode_texts, encode, framed, received, texts

logger = logging.getLogger(__name__)

LEAST_PRIORITY = 19


def main() -> None:
    # Ctrl-C and many process managers signal every process of a group. A web process that drains still needs
    # its worker, which ends with the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A second look takes as long as twenty requests: on a busy core requests go first, and do without.
    os.nice(LEAST_PRIORITY)
    descriptor, folder = sys.argv[1:]
    web_process_ended = suppress(BrokenPipeError, ConnectionResetError)
    with socket.socket(fileno=int(descriptor)) as connection, web_process_ended:
        serve(connection, Inference(Path(folder)))


def serve(connection: socket.socket, inference: Inference) -> None:
    inference.judge(texts("A first run allocates memory, which takes longer.", "", ""))
    release_startup_memory()
    connection.sendall(framed(READY))
    while (message := received(connection)) is not None:
        connection.sendall(framed(_reply(message, inference)))


def _reply(message: bytes, inference: Inference) -> bytes:
    try:
        return encode(inference.judge(decode_texts(message)))
    except Exception:
        logger.exception("the encoder failed on a request")
        return FAILED


if __name__ == "__main__":
    main()
