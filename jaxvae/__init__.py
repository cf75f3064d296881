"""Latent spaces of audio effects: spectrogram beta-VAEs in JAX.

import jaxvae

encoder = jaxvae.load("pretrained")  # or of a run of your own, such as "runs/demo"
audio, sample_rate = jaxvae.read_audio("song.wav")
mean = encoder.embed(audio, sample_rate)
print(encoder.identify(audio, sample_rate))
wet = jaxvae.effects.get("pedalboard/Delay").render(dry, {"feedback": 0.3}, sample_rate)
"""

import importlib
from typing import Any

from jaxvae import numba_cache

numba_cache.ensure()  # before anything imports numba

__version__ = "0.1.0"
__all__ = ["Matcher", "SpectrogramEncoder", "__version__", "effects", "load", "load_matcher", "read_audio"]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that rendering effects does not wait for JAX.
    if name in ("Matcher", "SpectrogramEncoder", "load", "load_matcher"):
        return getattr(importlib.import_module("jaxvae.inference"), name)
    if name == "read_audio":
        return importlib.import_module("jaxvae.data.waveform").read
    if name == "effects":
        return importlib.import_module("jaxvae.effects")
    raise AttributeError(f"module 'jaxvae' has no attribute {name!r}")
