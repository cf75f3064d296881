"""Plug-ins loaded on trial in a process of their own, which may crash or hang in the place of this one."""

import functools
import signal
import subprocess
import sys

LIMIT_S = 60.0


@functools.cache
def require_loads(what: str, code: str, *arguments: str) -> None:
    """Run Python code that loads a plug-in with these arguments. What it raises is left to who loads it here.

    Raises:
        ValueError: the process crashed, or did not end within LIMIT_S.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(
            f"{what} does not load within {LIMIT_S:g} s, so it is not used; use another plug-in"
        ) from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ValueError(f"{what} crashes while it is loaded ({name}), so it is not used; use another plug-in")
