"""Settings that every request reads, as plain attributes.

Reading one from `django.conf.settings` passes a function of Django each time; a request reads twenty. Tests
that change settings change these too.
"""

from typing import Any

from django.conf import settings
from django.core.signals import setting_changed


class HotSettings:
    REQUEST_TIMEOUT_S: float
    HOLD_WAIT_S: float
    FIRST_BYTE_TIMEOUT_S: float
    FIRST_BYTE_PATIENCE: float
    HEAD_TIMEOUT_S: float
    BODY_TIMEOUT_S: float
    MAX_BODY_BYTES: int
    KEYLESS_BODY_BYTES: int
    BODIES_IN_FLIGHT_BYTES: int
    PROXY_HOPS: int

    def __init__(self) -> None:
        for name in type(self).__annotations__:
            setattr(self, name, getattr(settings, name))

    def follow(self, *, setting: str, **_: Any) -> None:
        if setting in type(self).__annotations__:
            setattr(self, setting, getattr(settings, setting))


hot = HotSettings()
setting_changed.connect(hot.follow)
