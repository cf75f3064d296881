"""Grant's (2023) network in PyTorch, from its description: an independent twin of jaxvae's, for equality and speed.

Layout: spectrogram (batch, 1, bin, frame), both sizes 16 m + 1.
"""

import torch
from torch import nn


class Autoencoder(nn.Module):
    """Convolutional variational autoencoder of 1-8-16-32-32 channels, ReLU before BatchNorm."""

    def __init__(self, bins: int, frames: int, latent_dim: int) -> None:
        super().__init__()
        rows, columns = (bins - 1) // 16 + 1, (frames - 1) // 16 + 1
        layers = []
        for inputs, outputs in ((1, 8), (8, 16), (16, 32), (32, 32)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU(), nn.BatchNorm2d(outputs)]
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.mean = nn.Linear(32 * rows * columns, latent_dim)
        self.logvar = nn.Linear(32 * rows * columns, latent_dim)
        layers = [nn.Linear(latent_dim, 32 * rows * columns), nn.ReLU(), nn.Unflatten(1, (32, rows, columns))]
        for inputs, outputs in ((32, 32), (32, 16), (16, 8)):
            layers += [nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU(), nn.BatchNorm2d(outputs)]
        self.decoder = nn.Sequential(*layers, nn.ConvTranspose2d(8, 1, 3, stride=2, padding=1))

    def forward(self, spectrogram: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Mean, logvar, and the reconstruction of the sample at `noise`."""
        features = self.encoder(spectrogram)
        mean, logvar = self.mean(features), self.logvar(features)
        return mean, logvar, self.decoder(mean + torch.exp(logvar / 2) * noise)


def train_step(
    model: Autoencoder, optimizer: torch.optim.Optimizer, spectrogram: torch.Tensor, noise: torch.Tensor, beta: float
) -> torch.Tensor:
    """The loss before one step of the optimiser: mean squared error of a pixel plus beta times the KL of a clip."""
    mean, logvar, reconstruction = model(spectrogram, noise)
    kl = (logvar.exp() + mean.square() - 1 - logvar).sum(dim=1) / 2
    loss = nn.functional.mse_loss(reconstruction, spectrogram) + beta * kl.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
