"""The fidelity receipt: what became of each parameter of a request at the arm that answered it."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    HONOURED = "honoured"
    ADAPTED = "adapted"  # in another form, or in part
    DROPPED = "dropped"


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """One parameter, by its name at the OpenAI door; `change`: what was changed, or why it was dropped."""

    parameter: str
    verdict: Verdict
    change: str | None = None


Receipt = tuple[Kept, ...]


def with_change(receipt: Receipt, parameter: str, change: str) -> Receipt:
    """The receipt with one more change told of this parameter, which is added when it is not in it."""
    before = next((one for one in receipt if one.parameter == parameter), None)
    if before is not None and before.verdict is Verdict.DROPPED:
        return receipt
    told = "; ".join(filter(None, [before.change if before else None, change]))
    after = Kept(parameter, Verdict.ADAPTED, told)
    if before is None:
        return (*receipt, after)
    return tuple(after if one is before else one for one in receipt)


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether text and calls have the forms that were asked for.

    `fault`: which keyword of the schema is broken; `call`: by a call of which of the caller's tools.
    """

    valid: bool
    fault: str | None = None
    call: str | None = None


class Fidelity(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an answer kept of its request. `output` None: no form was asked for, or it could not be judged."""

    parameters: Receipt = ()
    output: Output | None = None
