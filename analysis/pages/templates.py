"""The templates of this folder, by jinja2."""

from pathlib import Path

import jinja2


def get(name: str) -> jinja2.Template:
    """A template by its file's name; a value that it lacks is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    ).get_template(name)
