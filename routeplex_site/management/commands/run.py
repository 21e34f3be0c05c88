"""Runs everything on one machine: web server, worker with beat and, without provider keys, the simulator."""

import signal
import socket
import sys
import threading
import time
import urllib.request

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from honcho.manager import Manager


def _check_port(host: str, port: int, setting: str) -> None:
    """Raises CommandError when another program listens there: its answers would pass for ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be used: {error.strerror}. Stop the program that holds it, or choose "
                f"another port with {setting}={port + 10}."
            ) from None


class Command(BaseCommand):
    help = "Migrate, seed, then run the web server, a worker with beat and the simulator until Ctrl-C."

    def handle(self, *args: object, **options: object) -> None:
        uses_simulator = settings.SIMULATOR and settings.SIMULATOR_URL.endswith(f":{settings.SIMULATOR_PORT}")
        _check_port(settings.HOST, settings.PORT, "PORT")
        if uses_simulator:
            _check_port("127.0.0.1", settings.SIMULATOR_PORT, "SIMULATOR_PORT")
        call_command("migrate", verbosity=0)
        call_command("seed", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        manager = Manager()
        python = sys.executable
        if uses_simulator:
            manager.add_process(
                "simulator",
                f"{python} -m routing.simulator --port {settings.SIMULATOR_PORT}"
                f" --speed {settings.SIMULATOR_SPEED}",
                cwd=str(settings.BASE_DIR),
            )
        manager.add_process(
            "web",
            f"{python} -m uvicorn routeplex_site.asgi:application --host {settings.HOST}"
            f" --port {settings.PORT} --workers {settings.WEB_WORKERS} --no-access-log --no-proxy-headers"
            " --log-level warning --timeout-graceful-shutdown 30",
            cwd=str(settings.BASE_DIR),
        )
        manager.add_process(
            "worker",
            f"{python} -m celery --quiet -A routeplex_site worker --beat --pool solo --loglevel warning"
            " --without-gossip --without-mingle",
            cwd=str(settings.BASE_DIR),
        )
        threading.Thread(target=self._announce, daemon=True).start()
        manager.loop()
        stopped_by_hand = manager.returncode == 128 + signal.SIGINT
        sys.exit(0 if stopped_by_hand else manager.returncode)

    def _announce(self) -> None:
        """Print the address once the web server answers."""
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{settings.PORT}/readyz", timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        else:
            self.stderr.write("RoutePlex has not answered within a minute; see the messages above.")
            return
        mode = (
            "simulator mode: answers are made up, nothing is spent"
            if settings.SIMULATOR
            else "live providers"
        )
        self.stdout.write(f"\nRoutePlex is at {settings.PUBLIC_URL}  ({mode}). Stop with Ctrl-C.\n")
        self.stdout.flush()
