"""The templates of this folder, as every page loads them."""

from pathlib import Path

import jinja2


def environment() -> jinja2.Environment:
    """Templates by the names of their files; one that is given too little is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
