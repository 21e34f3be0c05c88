"""Memory used only to start is given back, and nothing that a library needs is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from core.process_memory import release_startup_memory
from routing.language import o200k

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

before = o200k.encode("A day in Nürnberg, 東京 and Київ " * 50)
most = resident_mb()
release_startup_memory()
least = resident_mb()
assert o200k.encode("A day in Nürnberg, 東京 and Київ " * 50) == before
release_startup_memory()
import numpy, sqlite3, ssl
release_startup_memory()
assert numpy.linalg.inv(numpy.eye(3) * 2).sum() == 1.5
assert sqlite3.connect(":memory:").execute("SELECT 1 + 1").fetchone() == (2,)
assert ssl.create_default_context()
print(most - least)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_pages_that_loading_a_library_read_are_given_back() -> None:
    done = subprocess.run((sys.executable, "-c", PROGRAM), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 25  # MB; the tokenizer's vocabularies are 30
