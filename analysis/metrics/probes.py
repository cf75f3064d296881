"""What can be read from a representation: the effect, its settings, and how much of the latent space is in use.

Conventions
    A representation is an array (clip, feature): posterior means, principal components, MFCC statistics, ...
    Settings are normalised to [0, 1]; a clip whose effect has fewer parameters than another is padded with NaN.
    Everything is fitted on one set of recordings and scored on another; the same recording in both is an error.
    Whatever a probe can be tuned by is chosen by cross-validation on the clips that it is fitted on, recordings kept
    whole, and for every representation alike. Linear probes see features without outliers (`Standard`).

Figures
    classify          effect from the features: logistic regression, 15 nearest neighbours, random forest, extra trees.
    settings          settings from the features: ridge regression or extra trees, R² and mean absolute error of each
                      parameter.
    settings_one_clip the same with five folds over the settings of one known clip, Grant's (2023) easy protocol.
    share_of_ceiling  mean R² relative to what can be known, over the parameters of which anything can be.
    identify          the recording from the features: what a representation of effects should not give away.
    active_units      latent dimensions whose posterior mean varies (Burda et al. 2016).
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import GroupKFold, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxvae.effects import cores

ALPHAS = 10.0 ** np.arange(-1, 7)
STRENGTHS = 10.0 ** np.arange(-4, 2)
"""Of logistic regression: the inverse of the penalty, scikit-learn's C."""
NEIGHBOURS = 15
FOREST, TREES, REGRESSION_TREES = 100, 300, 100
"""How many trees the random forest has, the extra trees that name the effect, and those that read its settings."""
_FOLDS = 5
_LEAST = 1e-12  # of a probability, which rounding makes 0 and its logarithm infinite
_MIDDLE = (1.0, 99.0)  # percentiles, from which a feature may be away by half their distance
_TOLERANCE = (
    1e-2  # of the gradient; the iterations end early, which is a penalty of its own, and in a tenth of the time
)


class Labelled(NamedTuple):
    """Clips as features, with what is known about each."""

    features: Float[np.ndarray, "clip feature"]
    effect: Int[np.ndarray, " clip"]
    normalized: Float[np.ndarray, "clip parameter"]
    recording: Int[np.ndarray, " clip"]

    def of_effect(self, effect: int) -> "Labelled":
        """The clips of one effect, with the columns of its own parameters."""
        clips = self.effect == effect
        columns = ~np.isnan(self.normalized[clips]).any(axis=0)
        return Labelled(
            self.features[clips], self.effect[clips], self.normalized[clips][:, columns], self.recording[clips]
        )


class Standard(NamedTuple):
    """Features without outliers, then at mean 0 and deviation 1, as some clips have them.

    They are held to the range between their 1st and 99th percentile and half of it more on either side, which leaves a
    normal feature as it is. A statistic that explodes on one clip in a hundred would leave the others no scale.
    """

    low: Float[np.ndarray, " feature"]
    high: Float[np.ndarray, " feature"]
    mean: Float[np.ndarray, " feature"]
    scale: Float[np.ndarray, " feature"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "clip feature"]) -> "Standard":
        """That of these clips."""
        low, high = np.percentile(features.astype(np.float64), _MIDDLE, axis=0)
        low, high = low - (high - low) / 2, high + (high - low) / 2
        held = np.clip(features, low, high)
        scale = held.std(axis=0)
        # A feature that is the same for all but rounding has no scale.
        still = scale <= 1e-9 * (1 + np.abs(high))
        return cls(low, high, held.mean(axis=0), np.where(still, np.inf, scale))

    def __call__(self, features: Float[np.ndarray, "clip feature"]) -> Float[np.ndarray, "clip feature"]:
        """Features in this form."""
        return (np.clip(features.astype(np.float64), self.low, self.high) - self.mean) / self.scale


class Classification(NamedTuple):
    """Scores of one classifier on the test clips."""

    accuracy: float
    macro_f1: float
    chance: float
    """Accuracy of always answering the most frequent effect of the training clips."""
    confusion: Int[np.ndarray, "true predicted"]
    correct: Bool[np.ndarray, " clip"]


class Regression(NamedTuple):
    """Scores of one parameter's prediction on the test clips, in normalised units."""

    r2: float
    mae: float
    constant_mae: float
    """Mean absolute error of always answering the training mean."""
    explained: Float[np.ndarray, " clip"]
    """1 minus squared error over the variance of the test clips, whose mean is R²."""


class Identification(NamedTuple):
    """How well the recording of a clip is read from other clips of the same recordings."""

    accuracy: float
    """The larger of `logistic` and `knn`."""
    logistic: float
    knn: float
    chance: float
    """Accuracy of always answering the most frequent recording of the other half."""
    ratio: float
    """Accuracy over chance: 1 gives nothing away, 1 / chance everything."""
    correct: Bool[np.ndarray, " clip"]
    """Answers of the better classifier, of the clips of `recordings` in their order."""
    recordings: Int[np.ndarray, " recording"]
    """The recordings told apart: those with two groups of clips at least."""


Probe = Callable[[Float[np.ndarray, "clip feature"]], Int[np.ndarray, " clip"]]
"""The effects that a classifier sees in features."""


def effect_probes(train: Labelled, seed: int = 0) -> dict[str, Probe]:
    """Classifiers of the effect, fitted.

    Neighbours are compared by cosine after the training mean is taken away, with the features' own scale, in which the
    spread of a latent dimension or principal component carries its importance, or standardised, which numbers of
    different units need: whichever answers more clips of `train` rightly.
    """
    forest = RandomForestClassifier(FOREST, random_state=seed, n_jobs=cores())
    trees = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=seed, n_jobs=cores())
    return {
        "logistic": _logistic(train),
        "knn": _nearest(train),
        "forest": _grown(forest, train.features, train.effect),
        "trees": _grown(trees, train.features, train.effect),
    }


def _grown(trees, features: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Answers of trees, by one thread: several would add them up in the order in which they end, which varies."""
    return trees.fit(features, targets).set_params(n_jobs=1).predict


def classify(
    train: Labelled, test: Labelled, seed: int = 0, fitted: Mapping[str, Probe] | None = None
) -> dict[str, Classification]:
    """Scores of each classifier of the effect, fitted on `train` (see `effect_probes`) and scored on `test`.

    Raises:
        ValueError: a recording is in both sets, or `test` holds an effect that `train` lacks.
    """
    _require_unseen(train, test)
    unknown = np.setdiff1d(test.effect, train.effect)
    if unknown.size:
        raise ValueError(f"effects {unknown.tolist()} are in the test clips only; embed them for training as well")
    effects = np.unique(train.effect)
    most_frequent = effects[np.argmax(np.bincount(train.effect)[effects])]
    scores = {}
    for name, probe in (fitted or effect_probes(train, seed)).items():
        answers = probe(test.features)
        scores[name] = Classification(
            accuracy=float(np.mean(answers == test.effect)),
            macro_f1=float(f1_score(test.effect, answers, labels=effects, average="macro", zero_division=0.0)),
            chance=float(np.mean(test.effect == most_frequent)),
            confusion=confusion_matrix(test.effect, answers, labels=effects),
            correct=answers == test.effect,
        )
    return scores


def _logistic(train: Labelled) -> Probe:
    """The logistic regression whose strength has the greatest likelihood over the folds of `train`."""
    standard = Standard.of(train.features)
    fit, axes = standard(train.features), None
    if fit.shape[1] > len(fit):  # more features than clips lie in a space of as many dimensions as there are clips
        axes = np.linalg.qr(fit.T)[0]
        fit = fit @ axes
    divided = folds(train.recording)
    regressions = [_regression(STRENGTHS[0], warm_start=True) for _ in divided]
    best, least = STRENGTHS[0], np.inf
    for strength in STRENGTHS:
        loss = 0.0
        for (chosen, held), regression in zip(divided, regressions, strict=True):
            regression.set_params(C=strength).fit(fit[chosen], train.effect[chosen])
            known = np.isin(train.effect[held], regression.classes_)  # a fold may lack an effect that is rare
            columns = np.searchsorted(regression.classes_, train.effect[held][known])
            probability = regression.predict_proba(fit[held][known])[np.arange(known.sum()), columns]
            loss -= np.log(np.maximum(probability, _LEAST)).sum()
        if loss > least:  # weaker penalties are worse still, and take the longest
            break
        best, least = strength, loss
    regression = _regression(best).fit(fit, train.effect)

    def answer(features: np.ndarray) -> np.ndarray:
        seen = standard(features)
        return regression.predict(seen if axes is None else seen @ axes)

    return answer


class _Quiet(LogisticRegression):
    """Without a warning where the iterations end first, as those of the weakest penalties do, which are not chosen."""

    def fit(self, *arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return super().fit(*arguments)


def _regression(strength: float, warm_start: bool = False) -> LogisticRegression:
    return _Quiet(C=strength, tol=_TOLERANCE, max_iter=500, warm_start=warm_start)


def _nearest(train: Labelled) -> Probe:
    """The nearest neighbours in the better of two scales."""
    centre = train.features.mean(axis=0, dtype=np.float64)
    scales = (lambda features: features - centre, Standard.of(train.features))
    right = [0, 0]
    for chosen, held in folds(train.recording):
        for place, scale in enumerate(scales):
            known = scale(train.features)
            neighbours = _neighbours(len(chosen)).fit(known[chosen], train.effect[chosen])
            right[place] += int(np.sum(neighbours.predict(known[held]) == train.effect[held]))
    best = scales[int(np.argmax(right))]
    fitted = _neighbours(len(train.effect)).fit(best(train.features), train.effect)
    return lambda features: fitted.predict(best(features))


def _neighbours(clips: int) -> KNeighborsClassifier:
    return KNeighborsClassifier(min(NEIGHBOURS, clips), metric="cosine")


def folds(recording: Int[np.ndarray, " clip"]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Five folds (chosen, held) that keep recordings whole; of one recording, folds of its clips.

    With one recording the folds can only keep clips apart: what is chosen suffers, the test is as unseen as ever.
    """
    count = len(np.unique(recording))
    if count > 1:
        return list(GroupKFold(min(_FOLDS, count)).split(recording, groups=recording))
    return list(KFold(min(_FOLDS, len(recording))).split(recording))


def settings(
    train: Labelled, test: Labelled, probe: Literal["ridge", "trees"] = "ridge", seed: int = 0
) -> dict[int, list[Regression]]:
    """Scores of each parameter of each effect, by regressions fitted on `train` and scored on `test`.

    Of ridge regression the strength of the penalty is chosen for each parameter.

    Raises:
        ValueError: a recording is in both sets.
    """
    _require_unseen(train, test)
    scores = {}
    for effect in np.unique(test.effect).tolist():
        fit, held = train.of_effect(effect), test.of_effect(effect)
        if probe == "ridge":
            predicted = _ridge(fit.features, fit.normalized, fit.recording, held.features)
        else:
            trees = ExtraTreesRegressor(
                REGRESSION_TREES, min_samples_leaf=3, max_features=1 / 3, random_state=seed, n_jobs=cores()
            )
            targets = fit.normalized if fit.normalized.shape[1] > 1 else fit.normalized[:, 0]
            predicted = _grown(trees, fit.features, targets)(held.features).reshape(held.normalized.shape)
        scores[effect] = _score(fit.normalized.mean(axis=0), predicted, held.normalized)
    return scores


def settings_one_clip(
    features: Float[np.ndarray, "clip feature"], normalized: Float[np.ndarray, "clip parameter"], seed: int = 0
) -> list[Regression]:
    """Scores of each parameter with five folds over renders of one known clip: easier than unseen recordings."""
    predicted, constant = np.empty_like(normalized), np.empty_like(normalized)
    for fit, held in KFold(5, shuffle=True, random_state=seed).split(features):
        predicted[held] = _ridge(features[fit], normalized[fit], np.arange(len(fit)), features[held])
        constant[held] = normalized[fit].mean(axis=0)
    return _score(constant, predicted, normalized)


def share_of_ceiling(r2: Float[np.ndarray, " parameter"], ceiling: Float[np.ndarray, " parameter"]) -> float | None:
    """Mean over parameters of R² as a share of the ceiling's, each held to [0, 1]; None if no parameter can be known.

    A parameter counts if its ceiling is above .05; NaN is a ceiling that nobody measured.
    """
    known = ceiling > 0.05
    return float(np.clip(r2[known] / ceiling[known], 0, 1).mean()) if known.any() else None


def identify(
    features: Float[np.ndarray, "clip feature"],
    recording: Int[np.ndarray, " clip"],
    groups: Int[np.ndarray, " clip"] | None = None,
    seed: int = 0,
) -> Identification:
    """How well the recording is read by classifiers that know half of the clips of every recording, and the reverse.

    The clips of each recording are split in two halves at random; either half is fitted, the other scored. `groups`
    holds together what would give the recording away by itself, such as the renders of one dry clip: a group is in
    one half. By logistic regression of strength 1, and by as many nearest neighbours as a recording has clips in a
    half, 15 at most: to choose more would take as long as all the rest. Recordings of one group only are left out.

    Raises:
        ValueError: fewer than two recordings have two groups of clips.
    """
    half = _halves(recording, np.arange(len(recording)) if groups is None else groups, seed)
    features, recording, half = features[half >= 0], recording[half >= 0], half[half >= 0]
    recordings, clips = np.unique(recording, return_counts=True)
    if len(recordings) < 2:
        raise ValueError(
            f"{len(recordings)} recordings have two clips to tell them by; embed more clips of at least two recordings"
        )
    predicted = np.empty((2, len(recording)), recording.dtype)
    most_frequent = np.empty_like(recording)
    for held in (0, 1):
        fit, score = half != held, half == held
        for row, classifier in enumerate(_classifiers(min(NEIGHBOURS, max(1, int(np.median(clips)) // 2)))):
            predicted[row, score] = classifier.fit(features[fit], recording[fit]).predict(features[score])
        names, counts = np.unique(recording[fit], return_counts=True)
        most_frequent[score] = names[counts.argmax()]
    correct = predicted == recording
    logistic, knn = correct.mean(axis=1).tolist()
    accuracy, chance = max(logistic, knn), float(np.mean(most_frequent == recording))
    return Identification(accuracy, logistic, knn, chance, accuracy / chance, correct[int(knn > logistic)], recordings)


def _halves(recording, groups, seed) -> np.ndarray:
    """0 or 1 for each clip, the same within a group, as many groups of each recording in either; -1 left out."""
    rng, half = np.random.default_rng(seed), np.full(len(recording), -1)
    for name in np.unique(recording):
        own = np.flatnonzero(recording == name)
        members, group = np.unique(groups[own], return_inverse=True)
        if len(members) > 1:
            half[own] = (rng.permutation(len(members)) % 2)[group]
    return half


def active_units(mean: Float[np.ndarray, "clip latent"], threshold: float = 0.01) -> int:
    """Number of latent dimensions whose posterior mean has a variance above `threshold` (Burda et al. 2016)."""
    return int(np.sum(mean.var(axis=0) > threshold))


def _classifiers(neighbours: int) -> tuple[Pipeline, Pipeline]:
    return (
        make_pipeline(StandardScaler(), _regression(1.0)),
        make_pipeline(StandardScaler(with_std=False), KNeighborsClassifier(neighbours, metric="cosine")),
    )


def _require_unseen(train: Labelled, test: Labelled) -> None:
    seen = np.intersect1d(train.recording, test.recording)
    if seen.size:
        raise ValueError(
            f"{seen.size} recordings are in the training and the test clips, {seen[:5].tolist()} among them; "
            "score on recordings of another split"
        )


def _ridge(train, targets, groups, test) -> np.ndarray:
    """Predictions (clip, target) for `test`; each target has the penalty with the least cross-validated error."""
    errors = np.zeros((len(ALPHAS), targets.shape[1]))
    for fit, held in folds(groups):
        errors += np.sum((_ridge_path(train[fit], targets[fit], train[held]) - targets[held]) ** 2, axis=1)
    return _ridge_path(train, targets, test)[errors.argmin(axis=0), :, np.arange(targets.shape[1])].T


def _ridge_path(train, targets, test) -> np.ndarray:
    """Predictions (penalty, clip, target) of ridge regressions on standardised features.

    One eigendecomposition, as large as there are features or clips, whichever are fewer, serves all penalties, which is
    why this is not scikit-learn's.
    """
    standard = Standard.of(train)
    x, seen, mean = standard(train), standard(test), targets.mean(axis=0)
    if len(x) < x.shape[1]:
        squares, axes = np.linalg.eigh(x @ x.T)
        projected, onto = axes.T @ (targets - mean), (seen @ x.T) @ axes
    else:
        squares, axes = np.linalg.eigh(x.T @ x)
        projected, onto = axes.T @ (x.T @ (targets - mean)), seen @ axes
    return mean + (onto / (squares + ALPHAS[:, None])[:, None]) @ projected


def _score(constant, predicted, truth) -> list[Regression]:
    explained = 1 - (predicted - truth) ** 2 / truth.var(axis=0, dtype=np.float64)
    return [
        Regression(
            r2=float(explained[:, column].mean()),
            mae=float(np.abs(predicted - truth)[:, column].mean()),
            constant_mae=float(np.abs(constant - truth)[:, column].mean()),
            explained=explained[:, column],
        )
        for column in range(truth.shape[1])
    ]
