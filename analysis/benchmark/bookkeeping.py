"""What large data sets cost beside their audio: recordings split, shards planned and found, clips drawn and ordered.

    python -m analysis.benchmark.bookkeeping
    python -m analysis.benchmark.bookkeeping --clips 100000

A set is made of one shard of silence under many names, with a recording to every hundred clips, and read as any other.
Each size has a process of its own. Memory is the most that the process held, of which 0.09 GB are the libraries.
Seconds on a busy machine of two cores:

                              100,000 clips  1,000,000 clips  10,000,000 clips
            recordings split          0.012            0.308             1.548
      as many shards planned          0.014            0.109             1.041
               manifest read          0.017            0.084             2.221
                shards found          0.017            0.251             1.400
                split opened          1.161            4.804            46.305
             2000 clips read          2.251            2.092             1.589
     first batch of an epoch          0.015            0.032             0.630
           2000 more batches          0.283            0.113             0.101
recordings of a split listed          0.000            0.011             0.069
       2000 recordings drawn          0.146            0.068             0.055
                  memory, GB          0.096            0.192             1.164

So time and memory grow as the data does, and what a step needs does not grow.
"""

import dataclasses

from jaxvae import command_line


@dataclasses.dataclass(frozen=True)
class Options:
    """How large."""

    clips: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)
    """Clips of the training split, one size after another."""


def main(options: Options) -> None:
    """Measure each size and print."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from analysis.benchmark.bookkeeping_steps import measure
    from analysis.pages import plain_table

    spawn = multiprocessing.get_context("spawn")
    columns = {}
    for count in options.clips:
        with ProcessPoolExecutor(1, mp_context=spawn) as process:
            columns[count] = process.submit(measure, count).result()
    lines = [["", *(f"{count:,} clips" for count in columns)]]
    for name in next(iter(columns.values())):
        lines.append([name, *(f"{column[name]:.3f}" for column in columns.values())])
    print(plain_table.text(lines))


if __name__ == "__main__":
    command_line.run(main, Options, __doc__)
