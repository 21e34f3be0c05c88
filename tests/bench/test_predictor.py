"""The callable predictor: models with outcomes, models known by scores alone, families without outcomes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.routing import Predictor, load_predictor
from bench.routing.predictor import Matrix
from bench.routing.shipped import by_skill
from routing.decide.prediction import skills

PRICES = {"input": 1.0, "output": 4.0}
SUBJECTS = {
    "gsm": "What is {a} plus {b}, times {c}? Give the number only.",
    "commongen": "Write a rhyming poem about the sea, autumn number {a}, and a lighthouse keeper {b}{c}.",
    "prehistory": "Which empire ruled Anatolia in {a}, and which treaty ended its war number {b} with {c}?",
    "medicine": "A patient aged {a} has a fever of {b} and a rash for {c} days. Which disease is likely?",
}
CODE = "def f(x): return x * {a} + {b}  # what does this Python function return for x = {c}?"
# Chance of success on each subject.
MODELS = {
    "numbers": (0.95, 0.3, 0.6, 0.6),
    "letters": (0.3, 0.95, 0.6, 0.6),
    "both": (0.9, 0.9, 0.6, 0.6),
    "neither": (0.2, 0.2, 0.6, 0.6),
}


def prompts_of(template: str, seed: int, n: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [
        template.format(**dict(zip("abc", map(int, numbers), strict=True)))
        for numbers in random.integers(2, 999, (n, 3))
    ]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dev folder of one table in the format of the real ones."""
    folder, random = tmp_path_factory.mktemp("dev"), np.random.default_rng(0)
    prompts, outcomes = [], []
    for subject, (category, template) in enumerate(SUBJECTS.items()):
        for i, text in enumerate(prompts_of(template, subject, 150)):
            name = f"{category}-{i}"
            prompts.append(
                {"dataset": "made", "prompt_id": name, "prompt": text, "category": category, "key": name,
                 "query": text}
            )  # fmt: skip
            for model, chances in MODELS.items():
                tokens = 20 if category == "gsm" else 200
                outcomes.append(
                    {"dataset": "made", "prompt_id": name, "model": model,
                     "score": float(random.random() < chances[subject]), "input_tokens": 30,
                     "output_tokens": tokens, "cost_usd": (30 * 1.0 + tokens * 4.0) / 1e6, "latency_s": None,
                     "cost_kind": "list", "new_model": False}
                )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(prompts), folder / "made.prompts.parquet")
    pq.write_table(pa.Table.from_pylist(outcomes), folder / "made.outcomes.parquet")
    return folder


@pytest.fixture(scope="module")
def predictor(dev: Path) -> Predictor:
    return load_predictor(dev)


def predict(predictor: Predictor, prompts: list[str], **scores: dict[str, float]) -> Matrix:
    """(n, m) by the models named; those of MODELS need no scores."""
    models = [{"id": name, "scores": described, "usd_per_mtok": PRICES} for name, described in scores.items()]
    result, usd = predictor.predict(prompts, models)
    assert result.shape == usd.shape == (len(prompts), len(models))
    assert ((result > 0) & (result < 1)).all()
    assert (usd > 0).all()
    return result


class TestModelsWithOutcomes:
    def test_each_is_trusted_with_what_it_can_do(self, predictor: Predictor) -> None:
        sums, verse = (
            predict(predictor, prompts_of(template, 9, 40), numbers={}, letters={}, both={}).mean(axis=0)
            for template in (SUBJECTS["gsm"], SUBJECTS["commongen"])
        )
        assert sums == pytest.approx([0.95, 0.3, 0.9], abs=0.1)
        assert verse == pytest.approx([0.3, 0.95, 0.9], abs=0.1)

    def test_outcomes_count_more_than_what_is_published(self, predictor: Predictor) -> None:
        sums = prompts_of(SUBJECTS["gsm"], 9, 10)
        boast = predict(predictor, sums, neither={"gsm": 1.0, "commongen": 1.0})
        assert boast == pytest.approx(predict(predictor, sums, neither={}))

    def test_fitted_twice_it_says_the_same(self, predictor: Predictor, dev: Path) -> None:
        prompts = prompts_of(SUBJECTS["gsm"], 9, 10)
        assert (predict(predictor, prompts, both={}) == predict(load_predictor(dev), prompts, both={})).all()


class TestModelsKnownByScoresAlone:
    def test_a_score_is_believed_where_it_was_earned(self, predictor: Predictor) -> None:
        new = {"newcomer": {"gsm": 0.9, "commongen": 0.4}}
        sums = predict(predictor, prompts_of(SUBJECTS["gsm"], 9, 40), **new).mean()
        verse = predict(predictor, prompts_of(SUBJECTS["commongen"], 9, 40), **new).mean()
        assert sums == pytest.approx(0.9, abs=0.1)
        assert verse == pytest.approx(0.4, abs=0.1)

    @pytest.mark.parametrize("key", ["gsm", "GSM", "made/gsm", "made_gsm", "gsm-level5"])
    def test_a_key_names_a_category_with_or_without_its_table(self, predictor: Predictor, key: str) -> None:
        prompts = prompts_of(SUBJECTS["gsm"], 9, 40)
        low, high = (predict(predictor, prompts, one={key: score}).mean() for score in (0.3, 0.9))
        assert low < 0.5
        assert high > 0.75

    def test_without_any_score_it_is_as_good_as_models_are(self, predictor: Predictor) -> None:
        result = predict(predictor, prompts_of(SUBJECTS["gsm"], 9, 40), stranger={}).mean()
        assert 0.3 < result < 0.8


class TestUnknownFamilies:
    def test_a_score_that_no_category_knows_counts_on_strange_prompts_only(
        self, predictor: Predictor
    ) -> None:
        code, sums = prompts_of(CODE, 9, 40), prompts_of(SUBJECTS["gsm"], 9, 40)
        low, high = ({"one": {"gsm": 0.6, "programs": score}} for score in (0.1, 0.9))
        moved = predict(predictor, code, **high).mean() - predict(predictor, code, **low).mean()
        still = predict(predictor, sums, **high).mean() - predict(predictor, sums, **low).mean()
        assert moved > 2 * abs(still)
        assert moved > 0.2

    def test_a_model_known_by_one_strange_score_is_judged_by_that_score(self, predictor: Predictor) -> None:
        code = prompts_of(CODE, 9, 40)
        p = predict(predictor, code, low={"programs": 0.2}, high={"programs": 0.8})
        assert p.mean(axis=0) == pytest.approx([0.2, 0.8], abs=0.12)
        assert (p[:, 0] < p[:, 1]).all()

    def test_a_model_with_outcomes_is_judged_by_a_strange_score_on_strange_prompts(
        self, predictor: Predictor
    ) -> None:
        code, sums = prompts_of(CODE, 9, 40), prompts_of(SUBJECTS["gsm"], 9, 40)
        poor, good = ({"neither": {"programs": score}} for score in (0.2, 0.8))
        assert predict(predictor, code, **poor).mean() == pytest.approx(0.2, abs=0.15)
        assert predict(predictor, code, **good).mean() == pytest.approx(0.8, abs=0.15)
        assert predict(predictor, sums, **good).mean() < 0.5


class TestCost:
    def test_it_is_tokens_times_price_and_a_poem_is_longer_than_a_number(self, predictor: Predictor) -> None:
        models = [{"id": "both", "scores": {}, "usd_per_mtok": PRICES}]
        _, sums = predictor.predict(prompts_of(SUBJECTS["gsm"], 9, 20), models)
        _, verse = predictor.predict(prompts_of(SUBJECTS["commongen"], 9, 20), models)
        assert sums.mean() == pytest.approx((20 * 1.0 + 20 * 4.0) / 1e6, rel=0.4)
        assert verse.mean() == pytest.approx((25 * 1.0 + 200 * 4.0) / 1e6, rel=0.4)

    def test_twice_the_price_is_twice_the_cost(self, predictor: Predictor) -> None:
        prompts = prompts_of(SUBJECTS["commongen"], 9, 5)
        _, once = predictor.predict(prompts, [{"id": "x", "scores": {}, "usd_per_mtok": PRICES}])
        doubled = {kind: 2 * price for kind, price in PRICES.items()}
        _, twice = predictor.predict(prompts, [{"id": "x", "scores": {}, "usd_per_mtok": doubled}])
        assert twice == pytest.approx(2 * once)


def test_a_skill_with_few_scores_is_near_the_mean_of_all() -> None:
    from_a_few = by_skill({"gsm8k": 0.9, "commongen": 0.3, "arc_challenge": 0.3})[
        skills.INDEX[skills.Skill.ARITHMETIC]
    ]
    scores = {f"{n}/gsm8k": 0.9 for n in range(9)} | {"commongen": 0.3, "arc_challenge": 0.3}
    from_many = by_skill(scores)[skills.INDEX[skills.Skill.ARITHMETIC]]
    assert from_a_few == pytest.approx((0.9 + 0.5) / 2)
    assert from_many > 0.88


def test_one_known_score_counts_for_every_skill() -> None:
    assert by_skill({"gsm8k": 0.7}) == pytest.approx(np.full(len(skills.SKILLS), 0.7))
