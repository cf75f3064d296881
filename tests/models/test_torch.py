"""Grant's (2023) network in JAX against its twin in PyTorch: the same weights, the same outputs, the same step.

Needs the extra `benchmark`; run with `python -m pytest -m benchmark`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvae.config import Model
from jaxvae.models.vae import VAE, still
from jaxvae.training import losses
from jaxvae.views import Views

pytestmark = pytest.mark.benchmark

BATCH, BINS, FRAMES, LATENT, BETA = 12, 129, 65, 16, 1e-3


def variables_of(model) -> dict:
    """The weights and batch statistics of the PyTorch model as Linen's variables."""
    from torch import nn

    arrays = {name: value.detach().numpy().copy() for name, value in model.state_dict().items()}
    rows, columns = (BINS - 1) // 16 + 1, (FRAMES - 1) // 16 + 1

    def dense_from_image(name: str) -> dict:
        kernel = arrays[f"{name}.weight"].reshape(LATENT, 32, rows, columns).transpose(2, 3, 1, 0)
        return {"kernel": kernel.reshape(-1, LATENT), "bias": arrays[f"{name}.bias"]}

    def layers(part: str, prefix: str) -> tuple[dict, dict]:
        params, batch_stats, found = {}, {}, {}
        for index, layer in enumerate(getattr(model, part)):
            name, kind = f"{part}.{index}", type(layer).__name__
            if isinstance(layer, nn.BatchNorm2d):
                target = f"BatchNorm_{found.setdefault(kind, 0)}"
                params[target] = {"scale": arrays[f"{name}.weight"], "bias": arrays[f"{name}.bias"]}
                batch_stats[target] = {"mean": arrays[f"{name}.running_mean"], "var": arrays[f"{name}.running_var"]}
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                weights = {"kernel": arrays[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": arrays[f"{name}.bias"]}
                params[f"{prefix}_{found.setdefault(kind, 0)}"] = weights if part == "decoder" else {"Conv_0": weights}
            else:
                continue
            found[kind] += 1
        return params, batch_stats

    encoder, encoder_stats = layers("encoder", "Convolution")
    decoder, decoder_stats = layers("decoder", "TransposedConvolution")
    kernel = arrays["decoder.0.weight"].reshape(32, rows, columns, LATENT).transpose(3, 1, 2, 0).reshape(LATENT, -1)
    bias = arrays["decoder.0.bias"].reshape(32, rows, columns).transpose(1, 2, 0).reshape(-1)
    decoder["from_latent"] = {"kernel": kernel, "bias": bias}
    return {
        "params": {
            "encoder": {
                "backbone": encoder,
                "mean": dense_from_image("mean"),
                "logvar": dense_from_image("logvar"),
            },
            "decoder": {"backbone": decoder},
            "log_std": np.zeros((), np.float32),
        },
        "batch_stats": {"encoder": {"backbone": encoder_stats}, "decoder": {"backbone": decoder_stats}},
    }


@pytest.fixture
def twins():
    """The PyTorch network, ours with its weights, views of a batch and draws of the latent noise."""
    import torch

    from analysis.benchmark import torch_grant2023

    torch.manual_seed(0)
    twin, model = torch_grant2023.Autoencoder(BINS, FRAMES, LATENT), VAE(Model("grant2023", LATENT, content_dim=0))
    rng = np.random.default_rng(0)
    spectrogram = rng.standard_normal((BATCH, BINS, FRAMES)).cumsum(axis=2).astype(np.float32) / 5
    noise = rng.standard_normal((BATCH, LATENT)).astype(np.float32)
    draws = still(BATCH, model.config)._replace(noise=jnp.asarray(noise))
    views = Views(jnp.asarray(spectrogram), jnp.zeros((BATCH, 0)))
    ours = jax.eval_shape(model.init, jax.random.key(0), views, views, draws)
    assert jax.tree.map(np.shape, variables_of(twin)) == jax.tree.map(np.shape, ours)
    return twin, model, views, draws


def as_tensor(array: jax.Array):
    import torch

    return torch.from_numpy(np.array(array))


def close(ours, theirs) -> None:
    """Within 1e-4, as tolerance of the value and of the array's largest."""
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("train", [False, True])
def test_forward_pass_equals_torchs(twins, train):
    import torch

    twin, model, views, draws = twins
    variables = variables_of(twin)
    twin.train(train)
    with torch.no_grad():
        mean, logvar, reconstruction = twin(as_tensor(views.spectrogram)[:, None], as_tensor(draws.noise))
    output, _ = jax.jit(
        lambda variables: model.apply(variables, views, views, draws, train=train, mutable=["batch_stats"])
    )(variables)
    close(output.posterior.mean, mean)
    close(output.posterior.logvar, logvar)
    close(output.reconstruction, reconstruction[:, 0])


def test_training_step_equals_torchs(twins):
    import torch

    from analysis.benchmark import torch_grant2023

    twin, model, views, draws = twins
    before = variables_of(twin)
    optimizer = torch.optim.Adam(twin.parameters(), lr=5e-4)
    loss = torch_grant2023.train_step(
        twin, optimizer, as_tensor(views.spectrogram)[:, None], as_tensor(draws.noise), BETA
    )
    after = variables_of(twin)

    def loss_fn(params):
        variables = {"params": params, "batch_stats": before["batch_stats"]}
        output, updated = model.apply(variables, views, views, draws, train=True, mutable=["batch_stats"])
        kl = jnp.sum(losses.kl_per_dimension(output.posterior), axis=1)
        error = losses.mean_squared(views.spectrogram, output.reconstruction)
        return jnp.mean(error + BETA * kl), updated["batch_stats"]

    @jax.jit
    def step(params):
        (loss, batch_stats), gradient = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, _ = (adam := optax.adam(5e-4)).update(gradient, adam.init(params))
        return loss, batch_stats, optax.apply_updates(params, updates)

    our_loss, batch_stats, params = step(before["params"])
    close(our_loss, loss)
    jax.tree.map(close, batch_stats, after["batch_stats"])
    # Adam's first step is the learning rate times the gradient's sign, whatever its size, so the parameters differ by
    # more than rounding only where a sign does.
    jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=1e-4), params, after["params"])
