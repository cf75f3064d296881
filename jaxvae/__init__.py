"""Latent spaces of audio effects: spectrogram beta-VAEs in JAX.

import jaxvae

encoder = jaxvae.load("runs/demo")
audio, sample_rate = jaxvae.read_audio("song.wav")
mean = encoder.embed(audio, sample_rate)
print(encoder.identify(audio, sample_rate))
wet = jaxvae.effects.get("pedalboard/Delay").render(dry, {"feedback": 0.3}, sample_rate)
"""

import importlib
from typing import Any

from jaxvae import numba_cache

numba_cache.ensure()  # before anything imports numba

__all__ = ["effects", "load", "read_audio"]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that rendering effects does not wait for JAX.
    if name == "load":
        return importlib.import_module("jaxvae.inference").load
    if name == "read_audio":
        return importlib.import_module("jaxvae.data.waveform").read
    if name == "effects":
        return importlib.import_module("jaxvae.effects")
    raise AttributeError(f"module 'jaxvae' has no attribute {name!r}")
