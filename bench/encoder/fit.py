"""Fine-tunes the network on rated requests, with fixed random numbers."""

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.encoder.network import Network, batches, padded, pruned_tokenizer
from bench.traffic.prompts import RatedRequest
from routing.decide.prediction.request_features import request_text
from routing.decide.prediction.skills import TEXT_SKILLS
from routing.encoder.messages import Texts, texts
from routing.encoder.tokenise import Tokens, tokenise

SEED = 0
EPOCHS = 2  # with 830 requests instead of 1,520, four: as many steps
BATCH = 16
LEARNING_RATE, HEAD_LEARNING_RATE = 1.5e-4, 1e-3
WARM_UP, LEAST_RATE = 0.1, 0.02  # share of the steps; share of the learning rate
WEIGHT_DECAY = 0.01
MOST_GRADIENT = 1.0  # norm
LENGTH_SHARE, SKILL_SHARE = 0.7, 0.3  # of the loss, beside 1 for the level

Values = npt.NDArray[np.float64]


class Rated(msgspec.Struct, frozen=True):
    """Rated requests as the network reads them; a row each."""

    texts: list[Texts]
    tokens: list[Tokens]
    levels: Values
    log_tokens: Values
    skills: npt.NDArray[np.int64]  # indices into TEXT_SKILLS
    writers: npt.NDArray[np.str_]


class Trained(msgspec.Struct, frozen=True):
    network: Network
    mean: tuple[float, float]  # of level and log tokens
    scale: tuple[float, float]


def rated_texts(rated: Sequence[RatedRequest]) -> Rated:
    tokenizer, _ = pruned_tokenizer()
    parts = [request_text(request.request) for request in rated]
    clipped = [texts(part.english, part.system, part.history) for part in parts]
    return Rated(
        texts=clipped,
        tokens=[tokenise(text, tokenizer) for text in clipped],
        levels=np.array([request.level for request in rated]),
        log_tokens=np.log([max(request.answer_tokens, 1.0) for request in rated]),
        skills=np.array([TEXT_SKILLS.index(request.skill) for request in rated]),
        writers=np.array([request.writer for request in rated]),
    )


def fit(rated: Rated, train: Sequence[int]) -> Trained:
    """Train on these rows. About three minutes on two idle cores."""
    torch.manual_seed(SEED)
    chance = random.Random(SEED)  # noqa: S311 - the order of batches
    network = Network(pruned_tokenizer()[1])
    network.train()
    targets = np.stack([rated.levels, rated.log_tokens], axis=1)
    mean, scale = targets[train].mean(axis=0), targets[train].std(axis=0)
    standard = torch.tensor((targets - mean) / scale).float()
    skills = torch.tensor(rated.skills)
    groups = (
        ([p for p in network.bert.parameters() if p.requires_grad], LEARNING_RATE),
        (list(network.head.parameters()), HEAD_LEARNING_RATE),
    )
    optimizer = torch.optim.AdamW(
        [{"params": params, "lr": rate} for params, rate in groups], weight_decay=WEIGHT_DECAY
    )
    steps, step, began = EPOCHS * math.ceil(len(train) / BATCH), 0, time.monotonic()
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in batches(train, rated.tokens, BATCH, chance):
            factor = min(1.0, (step + 1) / (WARM_UP * steps)) * max(LEAST_RATE, 1 - step / steps)
            for group, (_, rate) in zip(optimizer.param_groups, groups, strict=True):
                group["lr"] = rate * factor
            outputs = network(*padded([rated.tokens[i] for i in batch]))
            errors = ((outputs[:, :2] - standard[batch]) ** 2).mean(axis=0)
            wrong_skill = nn.functional.cross_entropy(outputs[:, 2:], skills[batch])
            loss = errors[0] + LENGTH_SHARE * errors[1] + SKILL_SHARE * wrong_skill
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), MOST_GRADIENT)
            optimizer.step()
            step, total = step + 1, total + loss.item()
        print(
            f"epoch {epoch}: loss {total * EPOCHS / steps:.3f} after {time.monotonic() - began:.0f} s",
            flush=True,
        )
    level, tokens = mean.tolist()
    level_scale, tokens_scale = scale.tolist()
    return Trained(network.eval(), (level, tokens), (level_scale, tokens_scale))


def save(trained: Trained, path: Path) -> None:
    torch.save({"state": trained.network.state_dict(), "mu": trained.mean, "sd": trained.scale}, path)


def saved(path: Path) -> Trained:
    """Raises FileNotFoundError."""
    contents = torch.load(path, weights_only=False)
    network = Network(pruned_tokenizer()[1])
    network.load_state_dict(contents["state"])
    (level, tokens), (level_scale, tokens_scale) = contents["mu"], contents["sd"]
    return Trained(network.eval(), (float(level), float(tokens)), (float(level_scale), float(tokens_scale)))
