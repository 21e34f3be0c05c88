"""OpenAI's adapter, and the adapter of servers that imitate its Chat Completions API (Ollama, vLLM, …)."""

from routing.language.arms import ApiFacts, Capability, Effort, ModelFacts, SecondApi
from routing.language.chat import ChatRequest, File
from routing.providers.openai import chat_answers, chat_requests, responses_answers, responses_requests
from routing.providers.openai.common import CHAT_TTLS, RESPONSES_TTLS
from routing.providers.openai.errors import classify
from routing.providers.shared import quirks
from routing.providers.shared.adapter import Adapter, Api, bearer
from routing.providers.shared.media import Kinds

_SAMPLING = frozenset({Capability.STOP, Capability.SEED, Capability.LOGPROBS, Capability.LOGIT_BIAS})


def second_api(model: ModelFacts) -> SecondApi:
    """The requests for which the model needs the Responses API, because Chat Completions refuses them.

    The quirk `chat_completions_tools` says whether function tools are refused: "400", or "400 unless" no
    reasoning is done. Every model refuses effort "max", file URLs and cache lifetimes of 12 hours there.
    """
    tools = str(model.quirks.get("chat_completions_tools", ""))
    efforts = (None, *Effort) if tools.startswith("400") else ()
    if tools.startswith("400 unless"):
        efforts = tuple(each for each in efforts if quirks.effective_effort(model, each) is not Effort.NONE)
    takes_max = "max_effort_endpoint" in model.quirks or Effort.MAX in model.efforts
    lifetimes = tuple(ttl for ttl in RESPONSES_TTLS if ttl not in CHAT_TTLS)
    return SecondApi(
        always=str(model.quirks.get("endpoint", "")).startswith("responses"),
        with_tools=efforts,
        with_efforts=(Effort.MAX,) if takes_max else (),
        with_file_urls=True,
        with_cache_lifetimes=lifetimes if model.quirks.get("prompt_cache_breakpoints") else (),
    )


def _inlined_media(request: ChatRequest) -> Kinds:
    """File URLs go to the Responses API, which takes neither log probabilities nor a logit bias."""
    return (File,) if request.logprobs or request.sampling.logit_bias else ()


def _files_inlined(request: ChatRequest) -> Kinds:
    return (File,)


_CHAT = Api(chat_requests.build, chat_answers.Stream, chat_answers.whole)

OPENAI = Adapter(
    dialect="openai",
    api=_CHAT,
    auth_header=bearer,
    classify=classify,
    facts=ApiFacts(frozenset({Capability.N}), with_sampling=_SAMPLING, second_api=second_api),
    second_api=Api(responses_requests.build, responses_answers.Stream, responses_answers.whole),
    inlined_media=_inlined_media,
    has_custom_tools=True,
)
OPENAI_COMPATIBLE = Adapter(
    dialect="openai_chat",
    api=_CHAT._replace(build=chat_requests.build_compatible),
    auth_header=bearer,
    classify=classify,
    facts=ApiFacts(_SAMPLING | {Capability.N}),
    inlined_media=_files_inlined,
)
