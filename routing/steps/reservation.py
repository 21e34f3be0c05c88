"""What a request can cost at most, and how long an answer its hold pays for.

The bounds are above what providers count: a hold that is too small would let settled spend pass a cap, one
that is too large only makes neighbours wait until it is given back (spec/ledger.md, Holds and budgets).
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

import msgspec
from django.conf import settings

from billing.ledger.holds import Cap, Hold, HoldRequest
from billing.prices.prices import USD_QUANTUM, PriceBook, UnitPrices, cost, unit_prices
from billing.usage import Usage
from routing.decide.decision import Decision
from routing.language.arms import Arm, ModelFacts
from routing.language.chat import ChatRequest
from routing.language.choices import upstream_calls

# Our count of the input against a provider's own: 18 % off at worst on the texts measured in
# decide/tokens.py, and a provider's hidden tool instructions (Anthropic documents up to 804 tokens) come on
# top.
INPUT_MARGIN, INPUT_EXTRA, TOOLS_EXTRA = 1.3, 32, 900
SHORT_ANSWER = 16  # tokens: less is no answer, and some providers take no smaller limit
# A caller who sets no limit is given room for this many times the expected answer while money is scarce.
ROOM, LEAST_ROOM, AMPLE = 8, 4096, 10
LIKELY_WHOLE = 2  # times the expected answer: most are whole within it

_CEILING = settings.UNPRICED_CEILING_USD_PER_MTOK
UNPRICED = UnitPrices(*[_CEILING] * 5)


class Purse:
    """The money side of one decision. Amounts in USD and tokens."""

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
        self._facts, self._book, self._moment, self._caps = facts, book, moment, caps
        self.hold: Hold | None = None  # once it is taken

    def wish(self, left_usd: Decimal | None, *, whole: bool = False) -> HoldRequest:
        """What to set aside: the chain's dearest arm at its longest. `left_usd`: what caps leave.

        The least to do with is a short answer, or with `whole` what the first arm most likely needs.
        """
        arms = list(self._expected)
        if not self._caps:  # nobody is limited: what is held only shows what is under way
            first = self._expected[arms[0]]
            expected = Decimal(str(first.cost_usd or 0)).quantize(USD_QUANTUM)
            return HoldRequest(expected, Decimal(0), first.input_tokens + first.output_tokens, 0)
        longest = {arm: self._longest(arm, left_usd) for arm in arms}
        enough, least = arms, self._short
        if whole:
            enough = arms[:1]
            likely = max(LIKELY_WHOLE * self._expected[arms[0]].output_tokens, self._short)
            least = min(longest[arms[0]], likely)
        return HoldRequest(
            usd=max(self._cost(arm, longest[arm]) for arm in arms),
            least_usd=min(self._cost(arm, least) for arm in enough),
            tokens=max(self._input(arm) + longest[arm] * self._request.n for arm in arms),
            least_tokens=min(self._input(arm) + least * self._request.n for arm in enough),
        )

    def most_output_tokens(self, arm: Arm, charged_usd: Decimal, charged_tokens: int) -> int | None:
        """How long an answer of this arm may be, with so much charged already; 0: not even a short one.

        None: as long as the caller allows.
        """
        hold = self.hold
        if not self._caps or hold is None:
            return None
        price = self._prices(arm).output * self._request.n / 1_000_000
        usd_left = hold.usd - charged_usd - self._cost(arm, 0)
        tokens_left = hold.tokens - charged_tokens - self._input(arm)
        most = tokens_left // self._request.n
        if any(cap.usd is not None for cap in self._caps) and price:
            most = min(most, int((usd_left / price).to_integral_value(ROUND_FLOOR)))
        if most < self._short:
            return 0
        asked = self._request.max_output_tokens
        return most if asked is None else min(asked, most)

    @property
    def _short(self) -> int:
        """Tokens of the shortest answer worth having: less only if the caller asks for less."""
        return min(SHORT_ANSWER, self._request.max_output_tokens or SHORT_ANSWER)

    def _longest(self, arm: Arm, left_usd: Decimal | None) -> int:
        facts, asked = self._facts[arm.model], self._request.max_output_tokens
        if asked is not None:
            return min(asked, facts.max_output_tokens)
        if left_usd is not None and left_usd >= AMPLE * self._cost(arm, facts.max_output_tokens):
            return facts.max_output_tokens
        room = max(ROOM * self._expected[arm].output_tokens, LEAST_ROOM)
        return min(room, facts.max_output_tokens)

    def _input(self, arm: Arm) -> int:
        """Of all calls the choices take."""
        margin = TOOLS_EXTRA if self._request.tools else INPUT_EXTRA
        once = math.ceil(self._expected[arm].input_tokens * INPUT_MARGIN) + margin
        return once * upstream_calls(self._request, self._facts[arm.model], arm.effort)

    def _cost(self, arm: Arm, output_tokens: int) -> Decimal:
        """At most, with every input token at its dearest class."""
        prices, tokens = self._prices(arm), self._input(arm)
        dearest = max(prices.uncached_input, prices.cache_write, prices.cache_write_1h)
        ceiling = msgspec.structs.replace(prices, uncached_input=dearest)
        usage = Usage(uncached_input_tokens=tokens, output_tokens=output_tokens * self._request.n)
        return cost(usage, ceiling) + USD_QUANTUM  # rounding may not make it less than it is

    def _prices(self, arm: Arm) -> UnitPrices:
        period = self._book.at(arm.model, self._moment)
        return UNPRICED if period is None else unit_prices(period.tiers, self._input(arm))
