"""Calibration: predictions of judged answers beside what people said of them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from routing.learning.calibration import FEWEST, SPAN, calibration
from routing.learning.models import Outcome
from routing.pages.operator.chart import BOTTOM, LEFT, RIGHT, TOP, plot
from tests.pages.conftest import MakeRequest

pytestmark = pytest.mark.django_db


@pytest.fixture
def judge(make_request: MakeRequest):
    numbers = iter(range(10_000))

    def judge(expected: float, score: float, source: str = "feedback", age: timedelta = timedelta()) -> None:
        row = make_request(next(numbers))
        Outcome.objects.create(
            request=row, account=row.account, source=source, arm="small", model="small", skill="coding",
            expected=expected, score=score, at=timezone.now() - age,
        )  # fmt: skip

    return judge


def test_predictions_that_come_true_lie_on_the_diagonal(judge) -> None:
    for number in range(20):
        judge(0.91, float(number < 18))
        judge(0.51, float(number < 10))
    result = calibration(timezone.now())
    low, high = result.bins
    assert (low.expected, low.observed, high.observed) == pytest.approx((0.51, 0.5, 0.9))
    assert result.error == pytest.approx(0.01)
    assert low.low < low.observed < low.high
    assert high.high < 1


def test_only_recent_feedback_counts(judge) -> None:
    for _ in range(FEWEST):
        judge(0.9, 0.0, source="repeat")
        judge(0.9, 0.0, age=SPAN + timedelta(days=1))
        judge(1.0, 1.0)
    for _ in range(FEWEST - 1):
        judge(0.3, 1.0)
    (only,) = calibration(timezone.now()).bins
    assert (only.outcomes, only.expected, only.observed) == (FEWEST, 1.0, 1.0)


def test_the_picture_has_certainty_in_its_corner(judge) -> None:
    assert plot(calibration(timezone.now())) is None
    for _ in range(FEWEST):
        judge(1.0, 1.0)
    drawn = plot(calibration(timezone.now()))
    assert drawn is not None
    assert [(point.x, point.y) for point in drawn.points] == [(RIGHT, TOP)]
    assert drawn.ticks[0] == (LEFT, BOTTOM, "0%")
