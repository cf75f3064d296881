"""Backbones of a spectrogram VAE: each an encoder to features and its mirror image, a decoder.

A backbone is a file of `jaxvae/models/backbones`, which gives it its name, or a module that was registered. It holds
two Linen modules, made with `width`, which multiplies hidden sizes:

    Encoder(width)(spectrogram, train)                     (batch, bin, frame) -> (batch, feature)
    Decoder(width)(z, latent_dim, bins, frames, train)     (batch, latent) -> (batch, bins or more, frames or more)

Spectrograms are normalised and have any number of bins and frames; a size that a backbone does not divide is extended
by repeating its last bin or frame, and the reconstruction is cut to the size asked for. Weights that the latent vector
meets are those of `jaxvae.models.layers.FromLatent` for as many as `latent_dim` inputs.
No network is imported before it is asked for.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "models" / "backbones"

_REGISTERED: dict[str, Any] = {}


def register(name: str, backbone: Any) -> None:
    """Make a backbone of one's own known by a name: a module, or any object with `Encoder` and `Decoder`."""
    _REGISTERED[name] = backbone


def names() -> tuple[str, ...]:
    """Names of all backbones."""
    return (*(module.name for module in pkgutil.iter_modules([str(_FOLDER)])), *_REGISTERED)


def get(name: str) -> Any:
    """The backbone of that name. An unknown name raises ValueError."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in names():
        raise ValueError(f"model.backbone is {name!r}, which is no backbone; use one of {', '.join(names())}")
    return importlib.import_module(f"jaxvae.models.backbones.{name}")
