"""Runs everything on one machine: web server, worker with beat and, without provider keys, the simulator."""

import signal
import sys
import threading
import time
import urllib.request

from django.conf import settings
from django.core.management import BaseCommand, call_command
from honcho.manager import Manager


class Command(BaseCommand):
    help = "Migrate, seed, then run the web server, a worker with beat and the simulator until Ctrl-C."

    def handle(self, *args: object, **options: object) -> None:
        call_command("migrate", verbosity=0)
        call_command("seed", verbosity=0)
        manager = Manager()
        python = sys.executable
        if settings.SIMULATOR and settings.SIMULATOR_URL.endswith(f":{settings.SIMULATOR_PORT}"):
            manager.add_process(
                "simulator",
                f"{python} -m routing.simulator --port {settings.SIMULATOR_PORT}"
                f" --speed {settings.SIMULATOR_SPEED}",
                cwd=str(settings.BASE_DIR),
            )
        manager.add_process(
            "web",
            f"{python} -m uvicorn routeplex_site.asgi:application --host {settings.HOST}"
            f" --port {settings.PORT} --workers {settings.WEB_WORKERS} --no-access-log"
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
