"""The tool calls of one choice of Chat Completions while they arrive, as compatible servers send them.

OpenAI numbers calls from 0 and sends id and name first. Others send several calls under one index, count from
another number, leave the index or the id out, give each fragment an id of its own, or send the name late.
"""

import uuid
from collections.abc import Iterator

import msgspec

from routing.language.chat import ToolCallDelta
from routing.providers.shared.wire import named


class Fragment(msgspec.Struct, frozen=True):
    """A piece of a tool call. `place`: the server's index; None: it sent none."""

    place: int | None
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    is_custom: bool = False


class ToolCalls:
    """The calls so far, numbered from 0 in the order in which they begin."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._calls: list[_Call] = []
        self._by_place: dict[int | None, _Call] = {}  # the latest at each place
        self._ids: set[str] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, fragment: Fragment) -> Iterator[ToolCallDelta]:
        """The fragment's delta. Without a name yet, the call's fragments are held back."""
        call = self._by_place.get(fragment.place)
        if call is None or call.is_followed_by(fragment):
            call = _Call(len(self._calls), self._choice)
            self._calls.append(call)
            self._by_place[fragment.place] = call
        delta = call.take(fragment)
        if delta is None:
            return
        if delta.id is not None:
            delta = msgspec.structs.replace(delta, id=self._unique(delta.id))
        yield delta

    def check_named(self) -> None:
        """Raises UpstreamFailure (malformed) for a call whose name never came."""
        for call in self._calls:
            named(call.name)

    def _unique(self, call_id: str) -> str:
        """The id, or a new one where it is missing or another call of this answer has it."""
        if not call_id or call_id in self._ids:
            call_id = f"call_{uuid.uuid4().hex}"
        self._ids.add(call_id)
        return call_id


class _Call:
    def __init__(self, index: int, choice: int) -> None:
        self.name = ""
        self._index, self._choice = index, choice
        self._id = ""
        self._is_custom = False
        self._arguments: list[str] = []
        self._is_open = False

    def is_followed_by(self, fragment: Fragment) -> bool:
        """Return whether the fragment begins another call at the same place.

        Only a fragment with a name does: some servers give every fragment an id of its own. A repeated name
        continues the call until its arguments are complete.
        """
        if not (fragment.name and self.name):
            return False
        if fragment.id and self._id:
            return fragment.id != self._id
        return bool(fragment.arguments) and self._is_complete()

    def take(self, fragment: Fragment) -> ToolCallDelta | None:
        self._id = self._id or fragment.id or ""
        self.name = self.name or fragment.name or ""
        self._is_custom = self._is_custom or fragment.is_custom
        self._arguments.append(fragment.arguments)
        if self._is_open:
            if not fragment.arguments:
                return None
            return ToolCallDelta(self._index, arguments=fragment.arguments, choice=self._choice)
        if not self.name:
            return None
        self._is_open = True
        return ToolCallDelta(
            self._index,
            self._id,
            self.name,
            "".join(self._arguments),
            choice=self._choice,
            is_custom=self._is_custom,
        )

    def _is_complete(self) -> bool:
        try:
            return isinstance(msgspec.json.decode("".join(self._arguments)), dict)
        except (ValueError, RecursionError):
            return False
