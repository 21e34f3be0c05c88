"""The published catalog as a snapshot, built from the data files without a database."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from billing.prices.prices import PriceTier, UnitPrices
from routing.catalog.snapshot import Latency, PublishedScore, Snapshot
from routing.language.arms import Arm, Capability, Effort, ModelFacts
from routing.providers.adapters import api_facts

DATA = Path(__file__).parents[1] / "routing/catalog/data"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROUTED_EFFORTS = (Effort.NONE, Effort.MINIMAL, Effort.LOW, Effort.MEDIUM, Effort.HIGH)
TTFT_MS = {
    None: 900, Effort.NONE: 700, Effort.MINIMAL: 900, Effort.LOW: 2500, Effort.MEDIUM: 7000,
    Effort.HIGH: 18000,
}  # fmt: skip
DIALECTS = {"openai": "openai_chat", "anthropic": "anthropic", "google": "gemini"}


def snapshot(**changes: Any) -> Snapshot:
    """Return all models of catalog.json with their scores; latency by price class and effort."""
    catalog = json.loads((DATA / "catalog.json").read_text())["models"]
    priors = json.loads((DATA / "quality_priors.json").read_text())["models"]
    models = {row["id"]: facts(row) for row in catalog}
    prices = {row["id"]: tiers(row) for row in catalog}
    arms = tuple(
        arm for model in models.values() if model.status != "limited_access" for arm in routed(model)
    )
    scores = {
        name: tuple(msgspec.convert(score, PublishedScore) for score in entry["scores"])
        for name, entry in priors.items()
        if entry["scores"]
    }
    result = Snapshot(
        version="published",
        built_at=NOW,
        models=models,
        arms=arms,
        prices={name: rows for name, rows in prices.items() if rows},
        latency={arm: latency(arm, prices[arm.model]) for arm in arms},
        p_up={},
        blocked={},
        scores=scores,
    )
    return msgspec.structs.replace(result, **changes)


def facts(row: dict[str, Any]) -> ModelFacts:
    quirks, flags = row["quirks"], row["capabilities"]
    named = (
        quirks.get("reasoning_efforts") or quirks.get("effort_levels") or quirks.get("thinking_levels") or ()
    )
    efforts = tuple(Effort(name.lower()) for name in named)
    output = first_price(row, "output")
    capabilities = {Capability(name) for name, has in flags.items() if has} | {
        Capability.STOP,
        Capability.SEED,
    }
    if quirks.get("forced_tool_choice", True):
        capabilities.add(Capability.FORCED_TOOLS)
    if row["provider"] == "openai":
        capabilities |= {Capability.N, Capability.LOGPROBS}
    default = quirks.get("reasoning_default") or ("medium" if Effort.MEDIUM in efforts else None)
    return ModelFacts(
        id=row["id"],
        provider=row["provider"],
        dialect=DIALECTS[row["provider"]],
        upstream_id=row["id"],
        name=row["name"] or row["id"],
        status=row["status"],
        tier="default" if output is not None and output <= 5 else "premium",
        context_window=row["context_window"],
        max_input_tokens=row["max_input_tokens"] or row["context_window"],
        max_output_tokens=row["max_output_tokens"],
        capabilities=frozenset(capabilities),
        efforts=efforts,
        default_effort=Effort(default) if default else None,
        quirks=quirks,
        released=day(row.get("release_date")),
        shutdown=day(row.get("shutdown_date")),
        tokenizer=api_facts(DIALECTS[row["provider"]]).tokenizer,
    )


def routed(model: ModelFacts) -> list[Arm]:
    return [Arm(model.id, effort) for effort in model.efforts if effort in ROUTED_EFFORTS] or [Arm(model.id)]


def tiers(row: dict[str, Any]) -> tuple[PriceTier, ...]:
    """The period in force at NOW."""
    period = next(
        (
            p
            for p in reversed(row["prices"])
            if p["effective_from"] is None or p["effective_from"] <= NOW.date().isoformat()
        ),
        None,
    )
    if period is None:
        return ()
    prices = period["usd_per_mtok"]
    overs = sorted(
        {0} | {t["over_input_tokens"] for p in prices.values() if isinstance(p, dict) for t in p["tiers"]}
    )

    def at(name: str, over: int, default: Decimal) -> Decimal:
        price = prices.get(name)
        if price is None:
            return default
        if not isinstance(price, dict):
            return Decimal(str(price))
        return Decimal(
            str(next((t["price"] for t in price["tiers"] if t["over_input_tokens"] == over), price["base"]))
        )

    result = []
    for over in overs:
        paid = at("input", over, Decimal(0))
        result.append(
            PriceTier(
                over,
                UnitPrices(paid, at("output", over, Decimal(0)), at("cached_input", over, paid), paid, paid),
            )
        )
    return tuple(result)


def first_price(row: dict[str, Any], name: str) -> float | None:
    rows = tiers(row)
    return float(getattr(rows[0].prices, name)) if rows else None


def latency(arm: Arm, prices: tuple[PriceTier, ...]) -> Latency:
    output_usd = float(prices[0].prices.output) if prices else 10
    speed = 180 if output_usd <= 1.5 else 110 if output_usd <= 5 else 70 if output_usd <= 20 else 40
    ttft = TTFT_MS[arm.effort] * (110 / speed) ** 0.5
    return Latency(ttft, ttft * 3, speed)


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
