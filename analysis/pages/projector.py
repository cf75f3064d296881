"""Files of TensorBoard's projector: tensors, what is known of each point, and a sheet with a picture of each.

Conventions
    Points are clips of a split, in its order. The tables are separated by tabs; that of the clips has a head.
    Pictures are spectrograms, low frequencies below, dark to bright from -3 to 3 standard deviations.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from google.protobuf import text_format
from jaxtyping import Float, UInt8
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig
from tensorboard.plugins.projector.metadata import PROJECTOR_FILENAME

from jaxvae import atomic_file
from jaxvae.data.audio import to_float
from jaxvae.data.dataset import Split
from jaxvae.effects import Effect
from jaxvae.inference import SpectrogramEncoder

_SHEET = 8_192  # pixels that a browser takes along a side
_SIDE = 64


def write(folder: Path, encoder: SpectrogramEncoder, split: Split, kinds: Sequence[Effect], clips: int) -> list[Path]:
    """Embed clips spread over a split and write the files into a folder of TensorBoard logs."""
    chosen = np.unique(np.linspace(0, split.clips - 1, min(clips, split.clips)).round().astype(int))
    wet, rate = to_float(split.audio(chosen)), encoder.experiment.audio.sample_rate
    tensors = {"blind": encoder.embed(wet[:, None], rate)}
    if encoder.dry_aware:
        tensors["dry-aware"] = encoder.embed(wet[:, None], rate, split.dry(chosen)[:, None])
    side = min(_SIDE, _SHEET // columns(len(chosen)))
    sheet = io.BytesIO()
    Image.fromarray(pictures(encoder.spectrogram(wet[:, None], rate), side)).save(sheet, format="png")
    config = ProjectorConfig()
    contents = {"projector_clips.tsv": described(split, kinds, chosen).encode(), "projector.png": sheet.getvalue()}
    for name, mean in tensors.items():
        file = f"projector_{name}.tsv"
        contents[file] = "".join("\t".join(f"{value:.5g}" for value in row) + "\n" for row in mean).encode()
        embedding = config.embeddings.add(
            tensor_name=name, tensor_path=file, tensor_shape=mean.shape, metadata_path="projector_clips.tsv"
        )
        embedding.sprite.image_path = "projector.png"
        embedding.sprite.single_image_dim.extend([side, side])
    contents[PROJECTOR_FILENAME] = text_format.MessageToString(config).encode()  # last: it names the others
    for name, content in contents.items():
        with atomic_file.write(folder / name) as file:
            file.write(content)
    return [folder / PROJECTOR_FILENAME]


def described(split: Split, kinds: Sequence[Effect], chosen: Sequence[int] | np.ndarray) -> str:
    """A line for each clip: effect, recording, settings in words, and each setting of its own effect as a number."""
    parameters = [(kind.name, parameter.name) for kind in kinds for parameter in kind.parameters]
    lines = [["effect", "recording", "settings", *(f"{effect} {name}" for effect, name in parameters)]]
    for clip in chosen:
        kind = kinds[split.effect[clip]]
        settings = kind.settings(split.normalized[clip])
        words = ", ".join(f"{name} {value:.4g}" for name, value in settings.items())
        numbers = [f"{settings[name]:.4g}" if effect == kind.name else "" for effect, name in parameters]
        lines.append([kind.name, str(split.recording[clip]), words, *numbers])
    return "".join("\t".join(line) + "\n" for line in lines)


def columns(count: int) -> int:
    """Pictures in a row of a square sheet of so many."""
    return int(np.ceil(np.sqrt(count)))


def pictures(spectrograms: Float[np.ndarray, "clip bin frame"], side: int) -> UInt8[np.ndarray, "row column 3"]:
    """A square sheet of small pictures, row by row."""
    across = columns(len(spectrograms))
    sheet = np.zeros((across * side, across * side, 3), np.uint8)
    colours = matplotlib.colormaps["magma"](np.clip((spectrograms[:, ::-1] + 3) / 6, 0, 1), bytes=True)[..., :3]
    for place, picture in enumerate(colours):
        row, column = divmod(place, across)
        small = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX))
        sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = small
    return sheet
