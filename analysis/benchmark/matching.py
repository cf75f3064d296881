"""What a match takes: the posterior, candidates, refinement, and a whole stereo file of three minutes.

    python -m analysis.benchmark.matching runs/match_demo

Milliseconds, the median of several matches of five seconds after the first, which compiles; and what the three minutes
take from file to file, with the most memory that the process held before and after.
"""

import dataclasses
from pathlib import Path

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time."""

    run: command_line.Run
    member: command_line.Member = None
    repeats: int = 10
    """Matches of five seconds."""
    minutes: float = 3.0
    """Of the stereo file at 44.1 kHz."""

    def __post_init__(self) -> None:
        if self.repeats < 1 or not self.minutes > 0:
            raise ValueError(f"repeats is {self.repeats}, minutes {self.minutes}; use 1 or more, and more than 0")


def main(options: Options) -> None:
    """Time each and print."""
    import resource
    import tempfile
    import time

    import numpy as np
    import soundfile

    import jaxvae
    from analysis.pages import plain_table
    from jaxvae.data import waveform

    matcher = jaxvae.load_matcher(options.run, member=options.member)
    rate = matcher.experiment.audio.sample_rate
    rng = np.random.default_rng(0)

    def recording(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
        time = np.arange(round(seconds * rate)) / rate
        bursts = rng.normal(size=(channels, len(time))) * np.exp(-6 * (time % 0.4))
        return (0.1 * bursts).astype(np.float32)

    def median_ms(function) -> float:
        function()
        taken = []
        for _ in range(options.repeats):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
        return 1_000 * float(np.median(taken))

    dry, reference = recording(5.0, rate)[0], recording(5.0, rate)[0]
    tracks = waveform.tracks(reference, rate)
    of_five = [
        ("posterior", median_ms(lambda: matcher.posterior(tracks))),
        ("match of 16 renders", median_ms(lambda: matcher.match(dry, reference, rate))),
        ("match of 16 + 48 renders", median_ms(lambda: matcher.match(dry, reference, rate, refine=48))),
    ]
    print(plain_table.text([("5 s, mono", "ms"), *((name, f"{value:.0f}") for name, value in of_five)]))
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder, name) for name in ("dry.wav", "reference.wav", "out.wav")]
        for name, minutes in ((names[0], options.minutes), (names[1], 0.5)):
            with soundfile.SoundFile(name, "w", 44_100, 2) as file:
                for _ in range(round(60 * minutes)):
                    file.write(recording(1.0, 44_100, 2).T)
        matcher.match(np.stack([dry, dry]), reference, 44_100)
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        start = time.perf_counter()
        matcher.match_file(*names)
        seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{options.minutes:g} minutes, stereo, 44.1 kHz: {seconds:.1f} s; {memory:.2f} GB at most, {held:.2f} GB before"
    )


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
