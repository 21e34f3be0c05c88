"""Runs the encoder: texts in, level, answer length and skill probabilities out.

The worker process imports this module, so it needs numpy, onnxruntime, tokenizers and msgspec only.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from routing.encoder.artefact import MODEL, TOKENIZER
from routing.encoder.messages import Estimate, Texts
from routing.encoder.tokenise import tokenise

LEAST_LEVEL, MOST_LEVEL = 1.0, 5.0
MOST_LOG_TOKENS = 11.0  # e^11 is 60,000 tokens, more than any rated answer
LEVEL, LOG_TOKENS, SKILLS_FROM = 0, 1, 2  # columns of the model's output


class Inference:
    """The model in memory. One thread: other cores belong to web processes and other workers."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError or an onnxruntime error when a file is missing or damaged."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # saves 3 MB and costs no measurable time
        self._tokenizer = Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
        # From its file: from bytes the session would keep a second copy of the weights, 18 MB.
        self._session = onnxruntime.InferenceSession(
            str(folder / MODEL), options, providers=["CPUExecutionProvider"]
        )

    def judge(self, texts: Texts) -> Estimate:
        """Raises ArithmeticError when an output is not a finite number."""
        ids, types = tokenise(texts, self._tokenizer)
        inputs = {"ids": np.array([ids], np.int64), "types": np.array([types], np.int64)}
        outputs = self._session.run(None, inputs)[0][0].astype(np.float64)
        if not np.isfinite(outputs).all():
            raise ArithmeticError("the encoder's output is not finite")
        odds = np.exp(outputs[SKILLS_FROM:] - outputs[SKILLS_FROM:].max())
        return Estimate(
            level=min(max(float(outputs[LEVEL]), LEAST_LEVEL), MOST_LEVEL),
            answer_tokens=float(np.exp(min(max(outputs[LOG_TOKENS], 0.0), MOST_LOG_TOKENS))),
            skills=tuple((odds / odds.sum()).tolist()),
        )
