"""The files that `make fit-encoder` writes, and whether they can be used here."""

from importlib.util import find_spec
from pathlib import Path

ARTEFACT = Path(__file__).parent / "artefact"
MODEL, TOKENIZER, CARD = "encoder.onnx", "tokenizer.json", "card.json"


def is_available(folder: Path = ARTEFACT) -> bool:
    """Return whether the encoder can run here: onnxruntime is an optional dependency."""
    return find_spec("onnxruntime") is not None and all(
        (folder / name).exists() for name in (MODEL, TOKENIZER)
    )
