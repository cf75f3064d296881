"""A made data set of any size, and the seconds that its bookkeeping takes."""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxvae import config, effects
from jaxvae.data import clips, dataset, manifest, order, recordings, shards
from jaxvae.data.recordings import File, Prepared, Recording
from jaxvae.data.storage import Folder

_LINKS = 10_000  # names of one file; a file system allows some 65,000
_CLIP_SAMPLES = 1_024
_DRAWN = 2_000


def _experiment(train_clips: int, directory: str = "") -> config.Experiment:
    return config.Experiment(
        name="bookkeeping",
        audio=config.Audio(clip_samples=_CLIP_SAMPLES),
        data=config.Data(
            effects=("pedalboard/Clipping",),
            train_clips=train_clips,
            validation_clips=4,
            test_clips=4,
            untouched=False,
            directory=directory,
        ),
        spectrogram=config.Spectrogram(n_fft=1_024, window_length=1_024, hop_length=512, n_mels=40),
    )


def measure(train_clips: int) -> dict[str, float]:
    """Seconds of each part, and the most memory in GB, in a process that has done nothing else."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - began

    count = train_clips // 100
    files = [File(Path(f"{n}.wav"), f"audio/0/{n % 1_000}/{n:07}.wav", f"{n:032x}") for n in range(count)]
    with timed("recordings split"):
        splits = recordings.draw_splits(files, False, (0.15, 0.15), 0)
    made = tuple(Recording((file.name,), 4_096 * n, 4_096, splits[file.name]) for n, file in enumerate(files))
    with timed("as many shards planned"):
        planned = shards.every(_experiment(256 * count))
    assert len(planned) == count + 2 and planned[count - 1].clips.stop == 256 * count

    with tempfile.TemporaryDirectory() as directory:
        experiment = _experiment(train_clips, directory)
        folder = _made(experiment, files, made)
        with timed("manifest read"):
            data = dataset.load(experiment, folder)
        with timed("shards found"):
            missing = data.missing()
        assert not missing
        gone = next(shard for shard in shards.every(experiment) if shard.number == train_clips // 512)
        folder.path(gone.recipe).rename(folder.path("gone"))
        assert data.missing() == [gone]
        folder.path("gone").rename(folder.path(gone.recipe))
        with timed("split opened"):
            split = data.split("train")
        assert split.clips == train_clips
        generator = np.random.default_rng(0)
        with timed(f"{_DRAWN} clips read"):
            split.audio(generator.integers(train_clips, size=_DRAWN))
        with timed("first batch of an epoch"):
            met = [order.indices(split, 0, 0, 48)]
        with timed(f"{_DRAWN} more batches"):
            met += [order.indices(split, 0, step, 48) for step in range(1, _DRAWN)]
        assert len(np.unique(np.concatenate(met))) == min(48 * _DRAWN, train_clips)
        with timed("recordings of a split listed"):
            members = clips.Members.of(made, "train")
        with timed(f"{_DRAWN} recordings drawn"):
            drawn = [members.draw(generator, taken=int(members.indices[0])) for _ in range(_DRAWN)]
        assert {made[index].split for index in drawn} == {"train"} and members.indices[0] not in drawn
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return seconds | {"memory, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}


def _made(experiment: config.Experiment, files: list[File], made: tuple[Recording, ...]) -> Folder:
    """A finished data set, of which every shard of a size is the same file."""
    kinds = [effects.get(name) for name in experiment.data.effects]
    described = manifest.describe(experiment, kinds, [(file.name, file.digest) for file in files])
    folder = Folder(experiment.data.directory).subfolder(manifest.identify(described))
    folder.make()
    folder.path(manifest.FILE).write_bytes(manifest.as_json(described, Prepared(made, (), ())))
    np.save(folder.path(recordings.PREPARED), np.zeros(4_096, np.int16))
    originals: dict[int, tuple[Path, Path]] = {}
    for place, shard in enumerate(shards.every(experiment)):
        length, paths = len(shard.clips), (folder.path(shard.audio), folder.path(shard.recipe))
        if length not in originals or place % _LINKS == 0:
            _write(paths, length)
            originals[length] = paths
        else:
            for original, path in zip(originals[length], paths, strict=True):
                os.link(original, path)
    return folder


def _write(paths: tuple[Path, Path], length: int) -> None:
    header = {"descr": "<i2", "fortran_order": False, "shape": (length, _CLIP_SAMPLES)}
    with open(paths[0], "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2 * length * _CLIP_SAMPLES)  # no block of the disk is taken
    ints = np.zeros(length, np.int32)
    recipe = clips.Recipe(
        effect=ints,
        normalized=np.zeros((length, 1), np.float32),
        recording=ints,
        start=ints.astype(np.int64),
        speed=np.ones(length, np.float32),
        filter=ints,
        redraws=np.zeros((length, len(clips.REASONS)), np.int32),
    )
    np.savez(paths[1], **recipe._asdict())
