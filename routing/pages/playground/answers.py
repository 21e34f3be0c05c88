"""An answer in a column of the playground: sent through the pipeline, as events for the page."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from accounts.caller import Caller
from core.errors import ApiError
from routing.decide.decision import Decision
from routing.language.chat import ChatRequest, RefusalDelta, Steering, TextDelta
from routing.language.ids import new_request_id
from routing.pipeline import Context, answer
from routing.steps.settlement import Settled

DOOR = "playground"  # as the ledger names the API


@dataclass(frozen=True)
class Begun:
    """A model has begun to answer. The request is in the ledger."""

    request_id: str
    decision: Decision


@dataclass(frozen=True)
class Piece:
    """The next part of the answer's text."""

    text: str


@dataclass(frozen=True)
class Done:
    """The end of an answer, as the ledger has it. `text`: all of it."""

    request_id: str
    text: str
    settled: Settled


@dataclass(frozen=True)
class Refused:
    """No answer, or an answer that broke off. `request_id` empty: nothing is in the ledger."""

    error: ApiError
    request_id: str = ""


Event = Begun | Piece | Done | Refused


async def send(request: ChatRequest, steering: Steering, caller: Caller) -> AsyncGenerator[Event]:
    """Yield an answer's events; the last is Done or Refused. Closing the generator cancels the answer."""
    context, request_id, text = Context(new_request_id(), DOOR, time.monotonic()), "", ""
    try:
        begun = await answer(request, steering, caller, context)
        request_id = begun.request_id
        async with aclosing(begun.events()) as events:
            yield Begun(request_id, begun.decision)
            async for event in events:
                match event:
                    case TextDelta() | RefusalDelta():
                        text += event.text
                        yield Piece(event.text)
                    case Settled():
                        yield Done(request_id, text, event)
    except ApiError as error:
        yield Refused(error, request_id)
