"""Pages that stand alone: one HTML file with its style and its script, which asks for nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render_page(template: str, **context: Any) -> str:
    """Fill a template.

    Everything in the context is text and is escaped, so that a tweet cannot write to the page.

    Args:
        template: The name of a file in `analysis/templates`.
        **context: What it shows.

    Returns:
        The page.
    """
    return _environment().get_template(template).render(**context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["inline"] = _inline
    return environment


def _inline(name: str) -> Markup:
    """Put a file of ours, style or script, into a page as it is."""
    loader = _environment().loader
    assert loader is not None
    source, _, _ = loader.get_source(_environment(), name)
    return Markup(source)
