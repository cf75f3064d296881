"""Shards: the pieces of a split that are rendered, and found or missing, one by one.

Conventions
    A shard is two files: `<split>-<number>.npy` (clip, sample) int16 and, written after it, `.npz` with what each clip
    is made of (`jaxvae.data.clips.Recipe`). It depends on nothing but the config and its number.
"""

import functools
import io
import zipfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int16

from jaxvae.config import RenderedExperiment
from jaxvae.data import clips, recordings
from jaxvae.data.clips import Recipe
from jaxvae.data.recordings import SPLITS, Recording
from jaxvae.data.storage import Folder
from jaxvae.effects import Effect

_SHARD_CLIPS = 256  # whole blocks, as in the chunks
_OPEN_SHARDS = 128  # of a split
_CHUNK_CLIPS = 64  # rendered at once: 100 MB with the default clip


class Shard(NamedTuple):
    """One shard, which may be rendered or not."""

    split: str
    number: int
    clips: range
    """Those of the split that it holds."""

    @property
    def audio(self) -> str:
        """Name of the file of its clips."""
        return f"{self.split}-{self.number:05d}.npy"

    @property
    def recipe(self) -> str:
        """Name of the file of what they are made of."""
        return f"{self.split}-{self.number:05d}.npz"

    def complete(self, size: Callable[[str], int | None], clip_samples: int) -> bool:
        """Whether the files of the folder, of which `size` tells the bytes, hold it."""
        whole = len(_header(len(self.clips), clip_samples)) + self.bytes(clip_samples)
        return bool(size(self.recipe)) and size(self.audio) == whole

    def bytes(self, clip_samples: int) -> int:
        """Those that its clips take."""
        return 2 * len(self.clips) * clip_samples


def every(experiment: RenderedExperiment) -> list[Shard]:
    """The shards of all splits."""
    shards = []
    for split in SPLITS:
        clips = experiment.data.clips(split)
        firsts = range(0, clips, _SHARD_CLIPS)
        shards += [Shard(split, n, range(first, min(first + _SHARD_CLIPS, clips))) for n, first in enumerate(firsts)]
    return shards


def place(clip: int) -> tuple[int, int]:
    """Number of the shard that holds a clip of a split, and the row of the clip in it."""
    return divmod(clip, _SHARD_CLIPS)


def render(
    shard: Shard,
    folder: Folder,
    experiment: RenderedExperiment,
    kinds: Sequence[Effect],
    members: Sequence[Recording],
    workers: int | None,
    progress: Callable[[int], object],
) -> int:
    """Write a shard into the folder, where the prepared recordings are: its audio, then its recipe. Gives its clips.

    Nothing is done where another process was faster. `progress` is called with the numbers of clips that are done.
    """
    samples, recipes = experiment.audio.clip_samples, []
    if shard.complete(folder.size, samples):
        progress(len(shard.clips))
        return len(shard.clips)
    prepared = recordings.load(folder.path(recordings.PREPARED))
    with folder.write(shard.audio, shard.bytes(samples)) as file:
        file.write(_header(len(shard.clips), samples))
        for first in range(0, len(shard.clips), _CHUNK_CLIPS):
            chunk = shard.clips[first : first + _CHUNK_CLIPS]
            wet, recipe = clips.render(experiment, kinds, members, prepared, shard.split, chunk, workers)
            file.write(wet.data)
            recipes.append(recipe)
            progress(len(chunk))
    buffer = io.BytesIO()
    recipe = clips.concatenate(recipes)
    if not recipe.redraws[:, -len(clips.FAILURES) :].any():  # the files of sets from before plug-ins were watched
        recipe = recipe._replace(redraws=recipe.redraws[:, : -len(clips.FAILURES)])
    np.savez(buffer, **recipe._asdict())
    with folder.write(shard.recipe, buffer.tell()) as file:
        file.write(buffer.getvalue())
    return len(shard.clips)


def reader(own: Sequence[Shard], folder: Folder) -> Callable[[int], Int16[np.ndarray, "clip sample"]]:
    """Gives the clips of a rendered shard by its place in `own`, memory-mapped; of many, few are open at once."""

    @functools.lru_cache(maxsize=_OPEN_SHARDS)  # each takes a descriptor, of which a process has 1,024 as a rule
    def read(number: int) -> np.ndarray:
        return np.load(folder.path(own[number].audio), mmap_mode="r")

    return read


def read_recipe(shard: Shard, folder: Folder) -> Recipe:
    """What the clips of a rendered shard are made of. ValueError when the file is damaged."""
    path = folder.path(shard.recipe)
    try:
        with np.load(io.BytesIO(path.read_bytes())) as file:  # of a path, numpy would leave a bad one open
            recipe = Recipe(*(file[field] for field in Recipe._fields))
            missing = len(clips.REASONS) - recipe.redraws.shape[1]  # where no plug-in failed
            return recipe._replace(redraws=np.pad(recipe.redraws, ((0, 0), (0, missing))))
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to render it anew") from error


@functools.cache
def _header(clips: int, clip_samples: int) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": "<i2", "fortran_order": False, "shape": (clips, clip_samples)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()
