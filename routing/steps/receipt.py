"""What became of the caller's own parameters: the answering arm's receipt, and what was changed before it."""

from routing.execute.attempt import Attempted
from routing.language.chat import ChatRequest
from routing.language.fidelity import Kept, Receipt, Verdict, with_change


def receipt(request: ChatRequest, shown: Attempted, is_other_model: bool) -> Receipt:
    """`shown`: the attempt that answered. Empty when it had not begun."""
    told = shown.receipt
    if request.max_output_tokens is None:  # a bound of ours: what is left to spend
        told = tuple(one for one in told if one.parameter != "max_tokens")
    elif shown.most_output_tokens is not None and shown.most_output_tokens < request.max_output_tokens:
        told = with_change(told, "max_tokens", f"{shown.most_output_tokens}: what is left to spend")
    form = request.response_format
    if form is not None and shown.upstream_model and all(one.parameter != "response_format" for one in told):
        told = with_change(told, "response_format", "asked for in words, to go on with a cut answer")
    if is_other_model:
        named = f"the provider names {shown.upstream_model[:160]} as what answered"
        told = (Kept("model", Verdict.ADAPTED, named), *told)
    return told
