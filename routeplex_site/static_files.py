"""Static files as browsers get them: hashed names, compressed, kept for good; stylesheets joined into one.

Before `collectstatic` (which `manage.py run` does) and in debug mode, files have their plain names.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage

_JOINED = ("routeplex.css",)
_IMPORT = re.compile(r'@import url\("([^"]+)"\);\n')


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    def post_process(
        self, paths: dict[str, Any], dry_run: bool = False, **options: Any
    ) -> Iterator[tuple[str, str, bool] | tuple[str, None, RuntimeError]]:
        for name in _JOINED:
            if name in paths and not dry_run:
                # From the source: what an earlier run left here is joined already, with older parts.
                storage, source = paths[name]
                with storage.open(source) as file:
                    text = file.read().decode()
                Path(self.path(name)).write_text(_IMPORT.sub(lambda match: self._text(match[1]), text))
                paths[name] = (self, name)  # read what was written here, not the source
        yield from super().post_process(paths, dry_run, **options)

    def stored_name(self, name: str) -> str:
        """The hashed name; the plain name of what is not collected."""
        stored: str = self.hashed_files.get(self.hash_key(self.clean_name(name)), name)
        return stored

    def _text(self, name: str) -> str:
        return Path(self.path(name)).read_text()
