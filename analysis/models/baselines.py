"""What a latent space has to beat: principal components of the same spectrograms, MFCC statistics, fresh weights.

Blind baselines hear the wet clip only. Those that are given the dry clip as well describe the difference that the
effect made, and are compared with nothing but dry-aware embeddings.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import librosa
import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA

from jaxvae import inference
from jaxvae.data import audio, dataset
from jaxvae.effects import cores

_FIT_CLIPS = 2_500
_FIT_BYTES = 2**29  # spectrograms that the components are fitted on; the fit takes about three times as much memory


def mfcc_statistics(
    clips: Float[np.ndarray, "clip sample"], sample_rate: int, n_mfcc: int = 20
) -> Float[np.ndarray, "clip feature"]:
    """Mean and standard deviation over time of librosa's MFCC and of their slope, 4 · n_mfcc numbers.

    No level is clipped: librosa's default cuts at 80 dB below the loudest of all clips, which ties each to the others.
    """

    def of_some(clips: np.ndarray) -> np.ndarray:
        power = librosa.feature.melspectrogram(y=clips, sr=sample_rate, hop_length=1_024)
        coefficients = librosa.feature.mfcc(S=librosa.power_to_db(power, top_db=None), n_mfcc=n_mfcc)
        slopes = librosa.feature.delta(coefficients)
        parts = [statistic(x, axis=-1) for x in (coefficients, slopes) for statistic in (np.mean, np.std)]
        return np.concatenate(parts, axis=1)

    with ThreadPoolExecutor(cores()) as threads:
        return np.concatenate(list(threads.map(of_some, np.array_split(clips, min(len(clips), cores())))))


@dataclasses.dataclass(frozen=True)
class PrincipalComponents:
    """Principal components of the spectrograms that an encoder sees, or of wet minus dry spectrograms."""

    encoder: inference.SpectrogramEncoder
    pca: PCA
    fitted_on: int
    """Clips."""

    @property
    def name(self) -> str:
        """Such as PCA-128."""
        return f"PCA-{self.pca.n_components_}"

    @property
    def band_mean(self) -> Float[np.ndarray, "bin 1"]:
        """Mean of each band over the clips that were fitted."""
        experiment = self.encoder.experiment
        return self.pca.mean_.reshape(experiment.bins, experiment.frames).mean(axis=1, keepdims=True)

    def code(self, spectrogram: Float[np.ndarray, "clip bin frame"]) -> Float[np.ndarray, "clip component"]:
        """Coordinates of spectrograms on the components."""
        return self.pca.transform(spectrogram.reshape(len(spectrogram), -1))

    def embed(self, clips: Float[np.ndarray, "clip sample"], sample_rate: int) -> Float[np.ndarray, "clip component"]:
        """Coordinates of clips on the components."""
        return self.code(self.encoder.spectrogram(clips[:, None], sample_rate))

    def reconstruct(
        self, clips: Float[np.ndarray, "clip sample"], sample_rate: int
    ) -> Float[np.ndarray, "clip bin frame"]:
        """Spectrograms rebuilt from the components."""
        experiment, code = self.encoder.experiment, self.embed(clips, sample_rate)
        return self.pca.inverse_transform(code).reshape(len(clips), experiment.bins, experiment.frames)


def principal_components(
    encoder: inference.SpectrogramEncoder,
    train: dataset.Split,
    components: int | None = None,
    seed: int = 0,
    dry_aware: bool = False,
) -> PrincipalComponents:
    """Components of clips that the encoder was trained on, 2,500 at random, or as many as 512 MB hold.

    None means as many as the encoder has latent dimensions, or half as many as there are clips if that is less.
    Dry-aware ones are of the difference of the spectrograms, wet minus dry, each clip at the data set's level.

    Raises:
        ValueError: there are fewer training clips than components.
    """
    experiment = encoder.experiment
    clips = min(train.clips, _FIT_CLIPS, _FIT_BYTES // (4 * experiment.bins * experiment.frames))
    if components is None:
        components = min(encoder.latent_dim, clips // 2)
    if clips < components:
        raise ValueError(f"{components} components cannot be fitted on {clips} clips; use at most {clips}")
    chosen = np.sort(np.random.default_rng(seed).choice(train.clips, clips, replace=False))
    spectrograms = np.empty((clips, experiment.bins * experiment.frames), np.float32)
    for part in np.array_split(np.arange(clips), -(-clips // 128)):
        seen = encoder.spectrogram(audio.to_float(train.audio(chosen[part]))[:, None], experiment.audio.sample_rate)
        if dry_aware:
            seen = seen - encoder.spectrogram(train.dry(chosen[part])[:, None], experiment.audio.sample_rate)
        spectrograms[part] = seen.reshape(len(seen), -1)
    pca = PCA(components, svd_solver="randomized", iterated_power=2, random_state=seed).fit(spectrograms)
    return PrincipalComponents(encoder, pca, clips)
