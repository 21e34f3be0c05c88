"""The fidelity receipt: how the arm that answered treated each parameter of the request."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    HONOURED = "honoured"
    ADAPTED = "adapted"  # in another form, or in part
    DROPPED = "dropped"


class ParameterReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One parameter, by its name in OpenAI's chat API.

    `change`: the change, or why it was dropped. For an honoured limit: the part of the output it limits.
    """

    parameter: str
    verdict: Verdict
    change: str | None = None


Receipt = tuple[ParameterReceipt, ...]


def with_change(receipt: Receipt, parameter: str, change: str) -> Receipt:
    """The receipt with one more change of this parameter. A parameter that is missing is added."""
    before = next((entry for entry in receipt if entry.parameter == parameter), None)
    if before is not None and before.verdict is Verdict.DROPPED:
        return receipt
    changes = "; ".join(filter(None, [before.change if before else None, change]))
    after = ParameterReceipt(parameter, Verdict.ADAPTED, changes)
    if before is None:
        return (*receipt, after)
    return tuple(after if entry is before else entry for entry in receipt)


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of checking text and tool calls against the requested schemas.

    `fault`: the schema keyword that is violated; `call`: the tool whose call violates it.
    """

    valid: bool
    fault: str | None = None
    call: str | None = None


class Fidelity(msgspec.Struct, frozen=True, omit_defaults=True):
    """How faithful an answer is to its request. `output` None: nothing to check, or no check was possible."""

    parameters: Receipt = ()
    output: Output | None = None
