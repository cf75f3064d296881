"""The console command `jaxvae`: every command of the project by its name, such as `jaxvae train demo`.

`jaxvae NAME ...` is the same as `python -m launch.NAME ...` or `python -m analysis.NAME ...` in a checkout.
"""

import ast
import difflib
import runpy
import signal
import sys
from pathlib import Path

_FOLDERS = ("launch", "analysis", "analysis/benchmark")
_SHORT = {"map": "latent_map"}
"""Commands that go by a shorter name as well."""
_ROOT = (__package__ or "launch").removesuffix("launch")  # "jaxvae." where the packages are part of jaxvae


def commands() -> dict[str, tuple[str, str]]:
    """Module and one line of each command, by its name. Nothing is imported: the files are read."""
    found = {}
    for folder in _FOLDERS:
        for path in sorted((Path(__file__).parents[1] / folder).glob("*.py")):
            source = path.read_text(encoding="utf-8")
            if "\nif __name__ ==" in source:
                module = f"{folder.replace('/', '.')}.{path.stem}"
                words = ast.get_docstring(ast.parse(source)) or ""
                found[module.partition(".")[2]] = (_ROOT + module, words.partition("\n")[0])
    return found


def main() -> None:
    """Run the command that the first argument names."""
    known = commands()
    name = sys.argv[1].replace("-", "_") if len(sys.argv) > 1 and sys.argv[1] not in ("-h", "--help") else None
    if name is None:
        if hasattr(signal, "SIGPIPE"):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as any program that head has seen enough of
        width = max(map(len, known))
        lines = [f"  {command:<{width}}  {line}" for command, (_, line) in known.items()]
        print("\n".join(["usage: jaxvae COMMAND ...", "", *lines, "", "jaxvae COMMAND --help lists its options."]))
        sys.exit(0 if len(sys.argv) > 1 else 2)
    name = _SHORT.get(name, name)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        sys.exit(f"error: no command is named {name}; {f'did you mean {close[0]}?' if close else 'see jaxvae --help'}")
    del sys.argv[1]
    runpy.run_module(known[name][0], run_name="__main__", alter_sys=True)
