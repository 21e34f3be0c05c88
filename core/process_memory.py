"""Gives memory back to the system that a process used only to start."""

import ctypes
import mmap
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

_MAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?P<access>\S{4}) \S+ \S+ \d+ *(?P<file>.*)")


def release_startup_memory() -> None:
    """Return freed heap memory, and pages of extension modules that hold no data of this process.

    Loading a library touches many pages of its file once: the vocabulary of a tokenizer, initial data, code
    that registers other code. What is used again comes back from the page cache, a microsecond for 16 pages.
    Does nothing where the C library or the system has no such calls.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
    if not hasattr(library, "madvise") or not hasattr(mmap, "MADV_DONTNEED"):
        return
    library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with suppress(OSError):  # without /proc
        for start, end in _unmodified(_extension_modules()):
            library.madvise(start, end - start, mmap.MADV_DONTNEED)


def _extension_modules() -> set[str]:
    """The files of extension modules whose import has got past loading their library.

    Only these: another thread that is loading a library is still changing pages of it.
    """
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return {os.path.realpath(file) for file in files if file and file.endswith(tuple(EXTENSION_SUFFIXES))}


def _unmodified(files: set[str]) -> Iterator[tuple[int, int]]:
    """Start and end of each mapping of these files that is not writable and equals its file."""
    mapping: re.Match[str] | None = None
    for line in _MAPS.read_text().splitlines():
        if header := _MAPPING.fullmatch(line):
            mapping = header
        elif mapping and line.startswith("Anonymous:") and mapping["file"] in files:
            modified_kb = int(line.split()[1])  # in copies of the file's pages
            if "w" not in mapping["access"] and modified_kb == 0:
                yield int(mapping["start"], 16), int(mapping["end"], 16)
