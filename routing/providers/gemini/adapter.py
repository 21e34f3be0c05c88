"""Google's adapter: the Gemini API's generateContent."""

import re

from routing.language.arms import ApiFacts, Capability, Tokenizer
from routing.language.chat import ChatRequest, File, Image
from routing.providers.gemini import answers, requests
from routing.providers.gemini.errors import classify
from routing.providers.shared.adapter import Adapter, Api
from routing.providers.shared.media import Kinds


def _auth_header(api_key: str) -> tuple[str, str]:
    return "x-goog-api-key", api_key


def _inlined_media(request: ChatRequest) -> Kinds:
    return (Image, File)


GEMINI = Adapter(
    dialect="gemini",
    api=Api(requests.build, answers.Stream, answers.whole),
    auth_header=_auth_header,
    classify=classify,
    facts=ApiFacts(frozenset({Capability.STOP, Capability.SEED}), tokenizer=Tokenizer.GEMINI),
    follow_up=requests.follow_up,
    inlined_media=_inlined_media,
    tool_names=re.compile(r"[a-zA-Z_][\w.:-]{0,63}", re.ASCII),
)
