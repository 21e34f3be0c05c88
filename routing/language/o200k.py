"""OpenAI's o200k tokenizer, loaded once for everything that counts or splits text.

Only the extension module of `bpe_openai` is loaded: the package's own `__init__` builds six more tokenizers,
which takes 60 MB and a second.
"""

import importlib.util
import sys
from functools import cache
from importlib.machinery import PathFinder
from typing import Any

_MODULE = "bpe_openai._bindings"


def count(text: str) -> int:
    """The number of tokens of a text."""
    return int(tokenizer().count(text))


def encode(text: str) -> list[int]:
    """The ids of a text's tokens; they are numbered from common to rare."""
    ids: list[int] = tokenizer().encode(text)
    return ids


@cache
def tokenizer() -> Any:
    """The tokenizer of `bpe_openai`, which takes 33 MB."""
    return _bindings().tokenizer_for_encoding("o200k_base")


def _bindings() -> Any:
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    package = importlib.util.find_spec("bpe_openai")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("the bpe_openai package is not installed", name="bpe_openai")
    spec = PathFinder.find_spec(_MODULE, package.submodule_search_locations)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{_MODULE} is not installed", name=_MODULE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # an extension module can be initialised only once in a process
    spec.loader.exec_module(module)
    return module
