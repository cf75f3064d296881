"""Three mda effects rendered by JAX, many clips at once, on whatever device it uses: `formulas` as a back-end.

Conventions
    "jax/Overdrive" has the parameters, the held controls and, within 1e-5 of full scale, the sound of "mda/Overdrive",
    but needs no plug-in. Clips are rendered in batches of a few sizes, because each size is compiled once.
"""

import functools

import numpy as np

from jaxvae.effects import Effect, mda

_FORMULAS = {"Overdrive": "overdrive", "RingMod": "ring_modulation", "Delay": "delay"}
_BLOCKS = (256, 32, 4)
"""Samples of Delay that are computed at once: the most that a clip's shortest delay allows."""
_BATCHES = (1, 4, 16, 64, 256)
_MOST_ON_CPU = 64  # clips; larger batches leave its caches


def _process_many(name: str, dry: np.ndarray, controls: dict[str, np.ndarray], sample_rate: int) -> np.ndarray:
    import jax  # here, so that the table can be read fast
    import jax.numpy as jnp

    from jaxvae.effects import formulas

    kind = next(kind for kind in EFFECTS if kind.name == f"jax/{name}")
    settings = np.stack([controls[parameter.name] for parameter in kind.parameters], axis=1)
    if name == "Delay":
        shortest = np.minimum(*map(np.asarray, formulas.delay_samples(jnp.asarray(settings))))
        groups = [(block, _of_block(shortest, index)) for index, block in enumerate(_BLOCKS)]
    else:
        groups = [(None, np.arange(len(dry)))]
    most = _MOST_ON_CPU if jax.default_backend() == "cpu" else _BATCHES[-1]
    wet = np.empty_like(dry)
    for block, clips in groups:
        for first in range(0, len(clips), most):
            some = clips[first : first + most]
            size = next(size for size in _BATCHES if size >= len(some))
            filled = np.concatenate([some, np.repeat(some[-1:], size - len(some))])
            made = _program(name, sample_rate, block)(dry[filled], settings[filled])
            wet[some] = np.asarray(made)[: len(some)]
    return wet


def _of_block(shortest: np.ndarray, index: int) -> np.ndarray:
    """Clips whose delays allow a block, but none of the larger ones."""
    fits = shortest >= _BLOCKS[index]
    return np.flatnonzero(fits if index == 0 else fits & (shortest < _BLOCKS[index - 1]))


@functools.cache
def _program(name: str, sample_rate: int, block: int | None):
    import jax

    from jaxvae.effects import formulas

    options = {} if block is None else {"block": block}
    return jax.jit(functools.partial(getattr(formulas, _FORMULAS[name]), sample_rate=sample_rate, **options))


def _process(name: str, dry: np.ndarray, settings: dict[str, float], sample_rate: int) -> np.ndarray:
    controls = {control: np.array([value], np.float32) for control, value in settings.items()}
    return _process_many(name, dry[None], controls, sample_rate)[0]


def _renderer() -> str:
    return "twins 1"  # to be counted up with every change of what is heard


def _twin(kind: Effect) -> Effect:
    name = kind.name.removeprefix("mda/")
    process, process_many = functools.partial(_process, name), functools.partial(_process_many, name)
    return Effect(f"jax/{name}", kind.parameters, kind.held, process, renderer=_renderer, process_many=process_many)


EFFECTS = tuple(_twin(kind) for kind in mda.EFFECTS if kind.name.removeprefix("mda/") in _FORMULAS)


def unavailable() -> dict[str, str]:
    """None: JAX is always here."""
    return {}
