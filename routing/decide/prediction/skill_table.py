"""Published scores → each model's expected success by skill, with its uncertainty.

Every metric (Arena Elo by category, LiveBench, tau-bench …) is a line over general ability, fitted on the
models that have both (`links` of `artefact/card.json`). Inverting the line turns a published score into an
ability θ, in hundreds of overall Elo points above the reference. A skill's θ is the precision-weighted mean
of its metrics' abilities, shrunk to the model's general θ. Success is a logistic curve over θ. Its level and
slope come from the skill's LiveBench line where it has one, which links Elo to a share of right answers.
"""

import math
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from routing.catalog.snapshot import PublishedScore
from routing.decide.prediction.artefact import Link
from routing.decide.prediction.skills import SKILLS, Skill
from routing.language.arms import Capability, Effort, ModelFacts

Matrix = npt.NDArray[np.float64]

REFERENCE_ELO = 1460.0  # Arena overall, 2026-10-05: the median of the models listed
SKILL_SPREAD = 0.20  # sd of a model's θ in a skill around its general θ, over Arena's text categories
UNSCORED_SPREAD = 0.60  # sd of general θ within a tier: all that is known of a model without scores
DEFAULT_SLOPE = (
    1.0  # logits of success per 100 Elo where a skill has no link: the median LiveBench slope, rounded
)
STALE_NOISE = {"aider": 0.5}  # extra sd in θ: its last row is a year old and today's models saturate it

# The domains of quality_priors.json that count for a skill. The first has its scale of success.
DOMAINS: dict[Skill, tuple[str, ...]] = {
    Skill.CODING: ("coding",),
    Skill.AGENTIC_CODING: ("agentic_coding", "web_coding_agentic", "coding"),
    Skill.COMPETITION_MATH: ("math",),
    Skill.ARITHMETIC: ("math",),
    Skill.SCIENCE: ("expert_knowledge",),
    Skill.HUMANITIES: ("general", "expert_knowledge"),
    Skill.PROFESSIONAL: ("expert_knowledge", "reasoning_hard_prompts"),
    Skill.REASONING: ("reasoning", "reasoning_hard_prompts"),
    Skill.WRITING: ("writing",),
    Skill.CONVERSATION: ("general", "instruction_following"),
    Skill.EXTRACTION: ("data_extraction", "instruction_following"),
    Skill.SUMMARISING: ("long_query", "summarisation_faithfulness"),
    Skill.TRANSLATION: ("general", "language"),
    Skill.TOOL_USE: ("agentic_tool_use", "instruction_following"),
    Skill.LONG_CONTEXT: ("long_query",),
}

# Success of the reference model on a benchmark-hard prompt (difficulty 0), in logits. None: from the skill's
# LiveBench line. The others are assumptions based on published figures.
ANCHOR: dict[Skill, float | None] = {
    Skill.CODING: None,
    Skill.AGENTIC_CODING: None,
    Skill.COMPETITION_MATH: None,
    Skill.ARITHMETIC: 3.0,  # GSM8K's last percents; the dev data puts it 2 logits below competition problems
    Skill.SCIENCE: 1.7,  # 85 %: MMLU-Pro, where difficulty is 0, of current models
    Skill.HUMANITIES: 1.7,
    Skill.PROFESSIONAL: 1.5,
    Skill.REASONING: None,
    Skill.WRITING: 1.2,
    Skill.CONVERSATION: 2.0,
    Skill.EXTRACTION: 1.0,  # 73 %: the LiveBench mean; its ranking of models hardly follows ability (r < 0.3)
    Skill.SUMMARISING: 1.7,
    Skill.TRANSLATION: 1.7,
    Skill.TOOL_USE: 1.0,  # between tau-bench banking (about 40 %) and single calls (about 90 %)
    Skill.LONG_CONTEXT: 1.2,
}

# Scores are published at the highest effort. Share of a skill's effort gain that each lower effort loses.
LOST_AT: dict[Effort, float] = {
    Effort.NONE: 1.0,
    Effort.MINIMAL: 0.85,
    Effort.LOW: 0.55,
    Effort.MEDIUM: 0.28,
    Effort.HIGH: 0.10,
    Effort.XHIGH: 0.04,
    Effort.MAX: 0.0,
}
# The effort gain: logits of success between no effort and the highest. The coding index of one small model
# goes from about 39 to 81, which is 1.9 logits on agentic work. The other skills are graded from that by how
# much thinking they take; these are assumptions.
EFFORT_GAIN: dict[Skill, float] = {
    Skill.CODING: 1.2,
    Skill.AGENTIC_CODING: 1.9,
    Skill.COMPETITION_MATH: 2.2,
    Skill.ARITHMETIC: 0.8,
    Skill.SCIENCE: 0.9,
    Skill.HUMANITIES: 0.3,
    Skill.PROFESSIONAL: 0.5,
    Skill.REASONING: 1.6,
    Skill.WRITING: 0.2,
    Skill.CONVERSATION: 0.1,
    Skill.EXTRACTION: 0.4,
    Skill.SUMMARISING: 0.2,
    Skill.TRANSLATION: 0.2,
    Skill.TOOL_USE: 0.7,
    Skill.LONG_CONTEXT: 0.5,
}


class Ability(msgspec.Struct, frozen=True):
    """A model's ability by skill at the effort it was measured at. θ and sd: `(n_skills,)`."""

    theta: Matrix
    sd: Matrix
    general: float
    scored: bool
    measured_at: Effort


def scale(metric: str, value: float) -> float:
    """Return a published figure on its link's scale: Elo/100 above the reference, or the logit of a share."""
    if "Elo" in metric:
        return (value - REFERENCE_ELO) / 100
    share = value / 100
    share = min(max(1 - share if "lower better" in metric else share, 0.01), 0.99)
    return math.log(share / (1 - share))


def abilities(
    models: Mapping[str, ModelFacts],
    scores: Mapping[str, tuple[PublishedScore, ...]],
    links: Mapping[str, Link],
) -> dict[str, Ability]:
    """Return every model's ability. A model without usable scores gets the mean of the scored models in its
    tier, with a wide sd."""
    scored = {
        name: _measured(facts, scores.get(name, ()), links)
        for name, facts in models.items()
        if any(_key(score) in links for score in scores.get(name, ()))
    }
    tiers: dict[str, list[float]] = {}
    for name, ability in scored.items():
        tiers.setdefault(models[name].tier, []).append(ability.general)
    return {
        name: scored[name] if name in scored else _unmeasured(tiers.get(facts.tier, ()))
        for name, facts in models.items()
    }


def success_logits(facts: ModelFacts, ability: Ability, effort: Effort | None, curves: Matrix) -> Matrix:
    """Return `(n_skills,)` logits of success at difficulty 0 and this effort. `curves`: see `curves`."""
    logits: Matrix = curves[:, 0] + curves[:, 1] * ability.theta
    effort = effort or facts.default_effort
    if ability.scored and (effort is None or effort in facts.opt_in_efforts):
        return logits  # scores describe the model without an effort; none describes it with a thinking budget
    if effort is None:
        effort = Effort.MEDIUM if Capability.REASONING in facts.capabilities else Effort.NONE
    lost = LOST_AT[effort] - LOST_AT[ability.measured_at]
    return logits - lost * np.array([EFFORT_GAIN[skill] for skill in SKILLS])


def curves(links: Mapping[str, Link]) -> Matrix:
    """Return `(n_skills, 2)`: the logit of success at the reference ability, and its slope per 100 Elo."""
    rows = []
    for skill in SKILLS:
        livebench = [
            link
            for key, link in links.items()
            if key.startswith(f"{DOMAINS[skill][0]}|LiveBench") and link.slope > 0
        ]
        anchor = ANCHOR[skill]
        if livebench:
            level = livebench[0].intercept if anchor is None else anchor
            rows.append((level, livebench[0].slope))
        else:
            rows.append((1.5 if anchor is None else anchor, DEFAULT_SLOPE))
    return np.array(rows)


def _key(score: PublishedScore) -> str:
    return f"{score.domain}|{score.metric}"


def _measured(facts: ModelFacts, scores: Iterable[PublishedScore], links: Mapping[str, Link]) -> Ability:
    readings: dict[str, list[tuple[float, float]]] = {}
    for score in scores:
        link = links.get(_key(score))
        if link is not None and link.slope > 0.1:
            theta = (scale(score.metric, score.value) - link.intercept) / link.slope
            readings.setdefault(score.domain, []).append((theta, _noise(score, link)))
    pooled = [(theta, math.hypot(sd, SKILL_SPREAD)) for rows in readings.values() for theta, sd in rows]
    general, _ = _pool([*pooled, (0.0, 3 * UNSCORED_SPREAD)])
    by_skill = [
        _pool(
            [(general, SKILL_SPREAD), *(row for domain in DOMAINS[skill] for row in readings.get(domain, ()))]
        )
        for skill in SKILLS
    ]
    theta, sd = np.array(by_skill).T
    return Ability(theta=theta, sd=sd, general=general, scored=True, measured_at=_measured_at(facts, scores))


def _unmeasured(tier: Iterable[float]) -> Ability:
    known = list(tier)
    general = float(np.mean(known)) if known else 0.0
    n = len(SKILLS)
    return Ability(
        theta=np.full(n, general),
        sd=np.full(n, UNSCORED_SPREAD),
        general=general,
        scored=False,
        measured_at=Effort.MAX,  # like the scored models whose mean it takes
    )


def _noise(score: PublishedScore, link: Link) -> float:
    spread = link.noise
    if score.ci95 is not None:
        low, high = (scale(score.metric, bound) for bound in score.ci95)
        spread = math.hypot(spread, abs(high - low) / 3.92)
    stale = next((extra for name, extra in STALE_NOISE.items() if score.source.startswith(name)), 0.0)
    return math.hypot(spread / link.slope, stale)


def _pool(readings: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Precision-weighted mean of (value, sd) and its sd."""
    values, sds = np.array(list(readings)).T
    precision = 1 / sds**2
    return float((values * precision).sum() / precision.sum()), float(1 / math.sqrt(precision.sum()))


def _measured_at(facts: ModelFacts, scores: Iterable[PublishedScore]) -> Effort:
    """The highest effort a score names, else the model's highest: makers publish their best figures."""
    efforts = {str(effort): effort for effort in facts.efforts}
    named = [efforts[score.variant] for score in scores if score.variant in efforts]
    return max(named or facts.efforts, key=list(Effort).index, default=Effort.MAX)
