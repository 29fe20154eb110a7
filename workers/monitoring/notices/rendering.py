"""Fill in the templates of mail: HTML, where everything is escaped, and plain text beside it.

Errors:  jinja2.TemplateError for a template that is wrong; a name that it misspells is one.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).with_name("templates")


class Rendered(NamedTuple):
    """A mail's two bodies."""

    text: str
    html: str


def render(name: str, **given: object) -> Rendered:
    """Return the templates called *name* with what is *given*."""
    environment = _environment()
    return Rendered(
        environment.get_template(f"{name}.txt").render(given),
        environment.get_template(f"{name}.html").render(given),
    )


@cache
def _environment() -> "jinja2.Environment":
    import jinja2  # noqa: PLC0415 - for those who send mail

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(("html",), default_for_string=True, default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
