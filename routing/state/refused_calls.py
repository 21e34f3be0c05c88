"""Notes calls that are answered with a 4xx, so that an account sees why (billing/refusals)."""

from django.http import HttpRequest

from accounts.caller import Caller
from billing.refusals.recorder import refusal_of
from core.errors import ApiError
from routing.state.runtime import of_this_loop


def note_refusal(error: ApiError, request: HttpRequest, caller: Caller | None, door: str) -> None:
    """Note the error of a call with a known key, if it is the caller's. Never waits and never raises.

    Calls that became requests may be noted too; those that the ledger has are left out at the write.
    """
    known = (caller.account_id, caller.key_id) if caller is not None else error.refused_key
    runtime = of_this_loop()
    if known is None or runtime is None or not 400 <= error.status < 500:
        return
    account_id, key_id = known
    runtime.refusals.note(
        refusal_of(
            error,
            account_id=account_id,
            key_id=key_id,
            request_id=request.request_id,  # type: ignore[attr-defined]
            door=door,
            method=request.method or "",
            path=request.path,
        )
    )
