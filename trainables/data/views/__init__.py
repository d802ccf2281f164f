"""Views of the samples, by name. A new one is a module here, an entry, and a switch in configs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.data.views.lexicon import LEXICON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.data.views.view import View

VIEWS: Mapping[str, View] = {view.name: view for view in (LEXICON,)}
