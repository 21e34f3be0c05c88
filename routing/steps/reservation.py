"""Reservation: how much USD and how many tokens to hold for a request, and how long an answer they pay for.

The bounds are above what providers count. A hold that is too small would let settled spend pass a cap; one
that is too large only makes other requests of the account wait until it is given back.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from django.conf import settings

from billing.ledger.holds import Cap, Hold, HoldRequest
from billing.prices.prices import USD_QUANTUM, PriceBook, UnitPrices, unit_prices, usd
from routing.decide.decision import Decision
from routing.language.arms import Arm, ModelFacts
from routing.language.chat import Audio, ChatRequest, caller_limit, is_plain, priced_tier
from routing.language.choices import upstream_calls
from routing.steps.budget import Budget, Phase

# Our count of the input against a provider's own: 18 % off at worst on the texts measured in
# decide/prediction/tokens.py, and a provider's hidden tool instructions (Anthropic documents up to 804
# tokens) come on top.
INPUT_MARGIN, INPUT_EXTRA, TOOLS_EXTRA = 1.3, 32, 900
SHORT_ANSWER = 16  # tokens: less is no answer, and some providers take no smaller limit
# A caller who sets no limit is given room for this many times the expected answer while money is scarce.
ROOM, LEAST_ROOM, AMPLE = 8, 4096, 10
LIKELY_WHOLE = 2  # times the expected answer: most are whole within it

_CEILING = settings.UNPRICED_CEILING_USD_PER_MTOK
UNPRICED = UnitPrices(*[_CEILING] * 5)


class Reservation:
    """The money side of one decision. Amounts in USD and tokens. `moment`: whose prices apply."""

    def __init__(
        self,
        request: ChatRequest,
        decision: Decision,
        facts: Mapping[str, ModelFacts],
        book: PriceBook,
        moment: datetime,
        caps: Sequence[Cap],
    ) -> None:
        self._request = request
        self._expected = {forecast.arm: forecast for forecast in decision.forecast}
        self._has_audio = not is_plain(request) and any(
            isinstance(part, Audio) for message in request.messages for part in message.parts
        )
        self._facts, self._book, self._moment, self._caps = facts, book, moment, caps
        self._terms: dict[Arm, _Terms] = {}

    def hold_request(self, budget: Budget) -> HoldRequest:
        """How much to hold: the most expensive arm of the chain, at its longest answer.

        The least that must be left is a short answer of any arm; in the phase WHOLE_ANSWER it is what the
        first arm most likely needs.
        """
        arms = list(self._expected)
        if not self._caps:  # without limits a hold only shows what is under way
            first = self._expected[arms[0]]
            expected = Decimal(str(first.cost_usd or 0)).quantize(USD_QUANTUM)
            return HoldRequest(expected, Decimal(0), first.input_tokens + first.output_tokens, 0)
        longest = {arm: self._longest(arm, budget.left_usd) for arm in arms}
        held = {arm: longest[arm] if arm == arms[0] else self._likely_longest(arm, longest) for arm in arms}
        payable, least = arms, self._short
        if budget.phase is Phase.WHOLE_ANSWER:
            payable = arms[:1]
            likely = max(LIKELY_WHOLE * self._expected[arms[0]].output_tokens, self._short)
            least = min(longest[arms[0]], likely)
        return HoldRequest(
            usd=_at_most(max([self._total(arm, held[arm]) for arm in arms])),
            least_usd=_at_most(min([self._total(arm, least) for arm in payable])),
            tokens=max([self._input(arm) + held[arm] * self._request.n for arm in arms]),
            least_tokens=min([self._input(arm) + least * self._request.n for arm in payable]),
        )

    def most_output_tokens(
        self, hold: Hold, arm: Arm, charged_usd: Decimal, charged_tokens: int
    ) -> int | None:
        """How long an answer of this arm the hold pays for, after what earlier attempts are charged.

        0: not even a short answer. None: as long as the caller allows.
        """
        if not self._caps:
            return None
        price = self._terms_of(arm).output_price * self._request.n / 1_000_000
        usd_left = hold.usd - charged_usd - self._cost(arm, 0)
        tokens_left = hold.tokens - charged_tokens - self._input(arm)
        most = tokens_left // self._request.n
        if any(cap.usd is not None for cap in self._caps) and price:
            most = min(most, int((usd_left / price).to_integral_value(ROUND_FLOOR)))
        if most < self._short:
            return 0
        limit = self.limit(arm)
        return most if limit is None else min(limit, most)

    def limit(self, arm: Arm) -> int | None:
        """The output tokens the caller allows this arm, its allowance for reasoning included; None: all."""
        answer = self._request.max_answer_tokens
        if answer is None:
            return self._request.max_output_tokens
        most = answer + self._expected[arm].reasoning_allowance
        return min(most, self._facts[arm.model].max_output_tokens or most)

    @property
    def _short(self) -> int:
        """Tokens of the shortest useful answer: less only if the caller's limit is lower."""
        return min(SHORT_ANSWER, caller_limit(self._request) or SHORT_ANSWER)

    def _likely_longest(self, arm: Arm, longest: Mapping[Arm, int]) -> int:
        """The tokens to hold for a fallback: its whole allowance would keep others waiting in vain."""
        answer = self._request.max_answer_tokens
        if answer is None:
            return longest[arm]
        return min(longest[arm], answer + LIKELY_WHOLE * self._expected[arm].reasoning_tokens)

    def _longest(self, arm: Arm, left_usd: Decimal | None) -> int:
        facts, limit = self._facts[arm.model], self.limit(arm)
        if limit is not None:
            return min(limit, facts.max_output_tokens)
        if left_usd is not None and left_usd >= AMPLE * self._cost(arm, facts.max_output_tokens):
            return facts.max_output_tokens
        room = max(ROOM * self._expected[arm].output_tokens, LEAST_ROOM)
        return min(room, facts.max_output_tokens)

    def _input(self, arm: Arm) -> int:
        return self._terms_of(arm).input_tokens

    def _cost(self, arm: Arm, output_tokens: int) -> Decimal:
        return _at_most(self._total(arm, output_tokens))

    def _total(self, arm: Arm, output_tokens: int) -> Decimal:
        """Tokens times prices per million: `_at_most` makes it USD."""
        terms = self._terms_of(arm)
        return terms.input_total + output_tokens * self._request.n * terms.output_price

    def _terms_of(self, arm: Arm) -> "_Terms":
        """Computed once for each arm: they are needed for every amount."""
        terms = self._terms.get(arm)
        if terms is None:
            tokens = self._counted_input(arm)
            prices = self._prices(arm, tokens)
            terms = _Terms(tokens, tokens * self._highest_input(prices), prices.output)
            self._terms[arm] = terms
        return terms

    def _counted_input(self, arm: Arm) -> int:
        margin = TOOLS_EXTRA if self._request.tools else INPUT_EXTRA
        per_call = math.ceil(self._expected[arm].input_tokens * INPUT_MARGIN) + margin
        return per_call * upstream_calls(self._request, self._facts[arm.model], arm.effort)

    def _highest_input(self, prices: UnitPrices) -> Decimal:
        """The price of the most expensive class of input tokens."""
        highest = max(prices.uncached_input, prices.cache_write, prices.cache_write_1h)
        if self._has_audio and prices.audio_input is not None:
            highest = max(highest, prices.audio_input)
        return highest

    def _prices(self, arm: Arm, input_tokens: int) -> UnitPrices:
        """Those of the requested tier or the standard one, whichever are higher: the provider chooses."""
        tier = priced_tier(self._request.service_tier)
        standard = self._book.at(arm.model, self._moment)
        if not tier:
            return UNPRICED if standard is None else unit_prices(standard.tiers, input_tokens)
        periods = [standard, self._book.at(arm.model, self._moment, tier)]
        listed = [unit_prices(period.tiers, input_tokens) for period in periods if period is not None]
        return max(listed, key=lambda prices: prices.output, default=UNPRICED)


def _at_most(total: Decimal) -> Decimal:
    return usd(total) + USD_QUANTUM  # rounding may not make it less than it is


class _Terms(NamedTuple):
    """An arm's input tokens, of all upstream calls that the request's choices take, and its prices.

    `input_total`: tokens times the highest price of input. Prices are USD per million tokens.
    """

    input_tokens: int
    input_total: Decimal
    output_price: Decimal
