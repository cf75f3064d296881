"""Builds the wheel and the sdist: a checkout with four packages side by side becomes one package, `jaxvae`.

In the wheel `analysis`, `launch` and `configs` are packages of `jaxvae`, so that they neither shadow nor overwrite what
else is called so. Imports of one another, and commands in texts (`python -m launch.train configs/demo.py` is `jaxvae
train demo` there), are written anew for it. An editable installation is of the checkout as it lies there.
"""

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

INNER = ("analysis", "launch", "configs")
TOP = ("pyproject.toml", "README.md", "LICENSE", "Makefile", "requirements.txt", ".ci", "jaxvae", "tests", *INNER)
_NO_COPIES = shutil.ignore_patterns("__pycache__", "*.egg-info")


def build_wheel(
    wheel_directory: str, config_settings: dict | None = None, metadata_directory: str | None = None
) -> str:
    """The name of the wheel that was written into a folder."""
    target = str(Path(wheel_directory).resolve())
    with _copy() as root:
        commands = commands_of(root)
        readme, project = root / "README.md", root / "pyproject.toml"
        for name in INNER:
            (root / name).rename(root / "jaxvae" / name)
        for path in (root / "jaxvae").rglob("*"):
            if path.suffix in (".py", ".html"):
                path.write_text(inside(path.read_text(), commands))
        readme.write_text(without_links(inside(readme.read_text(), commands)))
        project.write_text(project.read_text().replace('"launch.console:main"', '"jaxvae.launch.console:main"'))
        return build_meta.build_wheel(target, config_settings)


def build_sdist(sdist_directory: str, config_settings: dict | None = None) -> str:
    """The name of the archive that was written into a folder: the checkout, tests included."""
    target = str(Path(sdist_directory).resolve())
    with _copy() as root:
        folders = [name for name in TOP if (root / name).is_dir()]
        files = [name for name in TOP if (root / name).is_file()]
        manifest = [*(f"graft {name}" for name in folders), f"include {' '.join(files)}", "global-exclude *.py[cod]"]
        (root / "MANIFEST.in").write_text("\n".join(manifest) + "\n")
        return build_meta.build_sdist(target, config_settings)


def inside(text: str, commands: Collection[str]) -> str:
    """A text of a checkout as it reads inside the package. Commands are named as "train" and "benchmark.sweep"."""
    packages = "|".join(INNER)
    if bound := re.search(rf"(?m)^\s*import (?:{packages})\b.*", text):
        raise ValueError(f"{bound[0]!r} binds a name that the package does not have; write from … import …")

    def renamed(mention: re.Match[str]) -> str:
        before, module = mention["before"] or "", mention["module"]
        command = module.partition(".")[2]
        typed = command in commands and before != '"'  # between quotes it is what runpy and the like are given
        return f"jaxvae {command}" if typed else f"{before}jaxvae.{module}"

    text = re.sub(rf"(?m)^(\s*from )(?=(?:{packages})(?:\.\w+)* import)", r"\1jaxvae.", text)
    text = re.sub(rf'(?<![\w./])(?P<before>python -m |")?(?P<module>(?:{packages})(?:\.[a-z_]\w*)+)', renamed, text)
    return re.sub(r"\bconfigs/([a-z0-9_]+)\.py\b", r"\1", text)


def commands_of(root: Path) -> set[str]:
    """Names of the commands of a checkout."""
    return {
        ".".join(path.relative_to(root / name).with_suffix("").parts)
        for name in INNER
        for path in (root / name).rglob("*.py")
        if "\nif __name__ ==" in path.read_text()
    }


def without_links(markdown: str) -> str:
    """A page without pictures and links to files that lie beside it, as a package index shows it."""
    return re.sub(r"!?\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", markdown)


@contextmanager
def _copy() -> Iterator[Path]:
    """A copy of the checkout to build from, as the working directory."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in TOP:
            if Path(name).is_dir():
                shutil.copytree(name, root / name, ignore=_NO_COPIES)
            elif Path(name).exists():
                shutil.copy(name, root / name)
        with chdir(root):
            yield root
