"""Exports a trained network as the files that the product serves: ONNX in eight bits, and the tokeniser."""

import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from bench.encoder.fit import Trained
from bench.encoder.network import Served, pruned_tokenizer
from routing.encoder.artefact import MODEL, TOKENIZER

OPSET = 17
QUANTISED = ("MatMul", "Gemm", "Gather")  # Gather: the tables of words and positions


def export(trained: Trained, folder: Path, *, eight_bits: bool = True) -> None:
    """Write the model, with weights in eight bits or as they are, and the tokeniser."""
    folder.mkdir(parents=True, exist_ok=True)
    pruned_tokenizer()[0].save(str(folder / TOKENIZER), pretty=False)
    with tempfile.TemporaryDirectory() as scratch:
        exact, prepared = Path(scratch, "exact.onnx"), Path(scratch, "prepared.onnx")
        _trace(trained, exact)
        if not eight_bits:
            onnx.save(onnx.load(exact), folder / MODEL)
            return
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        # A scale for each output channel: with a single scale for each matrix the level moves by .11 on
        # average and .49 at most, with these by .04 and .16 (writer c left out).
        quantize_dynamic(
            prepared,
            folder / MODEL,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


def _trace(trained: Trained, path: Path) -> None:
    served = Served(trained.network, trained.mean, trained.scale).eval()
    example = (torch.tensor([[2, 3, 4, 5, 6, 7]]), torch.tensor([[0, 0, 0, 0, 1, 1]]))
    with warnings.catch_warnings():
        # The older exporter: the newer one needs another package and gives the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            served,
            example,
            str(path),
            input_names=["ids", "types"],
            output_names=["estimates"],
            dynamic_axes={"ids": {1: "length"}, "types": {1: "length"}},
            opset_version=OPSET,
            dynamo=False,
        )
