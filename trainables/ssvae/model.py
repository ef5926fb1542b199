"""The semi-supervised VAE: encoder, mixture weights, one of eight decoders.

Shapes: B images, D pixels, L latent dimensions, K components, C components that are decoded apart (K when
the decoder sees them, else 1), Y classes. Direct children of the model are the modules that gradient
accounting names, and each is drawn from its own stream: two cells that share a seed share the draws of
every module that they have in common.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.domains import Params
from trainables.dataset import Array
from trainables.ssvae.decoders import build_decoder, build_mean_head, build_sigma_head

# Keeps exp(log variance) finite at any learning rate; a clip would cut the gradient where it cuts the value.
LOG_VARIANCE_BOUND = 10.0
_STREAMS = ("encoder", "prior", "decoder", "mean_head", "sigma_head")


@dataclass(frozen=True)
class Posterior:
    """What the encoder says of images.

    Args:
        responsibilities: r = q(c | x), ``(B, K)``, rows sum to one.
        mean: Means of q(z | x), ``(B, L)``.
        log_variance: Logarithms of its variances, between -10 and 10, ``(B, L)``.
    """

    responsibilities: Tensor
    mean: Tensor
    log_variance: Tensor


@dataclass(frozen=True)
class Rebuilt:
    """What the decoder says of latents, per component that is decoded apart.

    Args:
        mean: Pixels in [0, 1], ``(B, C, D)``.
        sigma: One predicted standard deviation per image and component, ``(B, C)``; None when homoscedastic.
    """

    mean: Tensor
    sigma: Tensor | None


class Encoder(nn.Module):
    """Three leaky layers, then component logits, means and log variances."""

    def __init__(self, n_pixels: int, params: Params) -> None:
        super().__init__()
        width, latent_dim = int(params["hidden_dim"]), int(params["latent_dim"])
        widths = [n_pixels, width, width // 2, width // 4]
        layers = [
            layer
            for n_in, n_out in itertools.pairwise(widths)
            for layer in (nn.Linear(n_in, n_out), nn.LeakyReLU())
        ]
        self.trunk = nn.Sequential(*layers)
        self.z_mean, self.z_log_variance = (
            nn.Linear(widths[-1], latent_dim),
            nn.Linear(widths[-1], latent_dim),
        )
        self.logits = nn.Linear(widths[-1], int(params["n_components"]))

    def forward(self, x: Tensor) -> Posterior:
        """Return the posterior of images ``(B, D)``."""
        features = self.trunk(x)
        log_variance = LOG_VARIANCE_BOUND * (self.z_log_variance(features) / LOG_VARIANCE_BOUND).tanh()
        return Posterior(self.logits(features).softmax(dim=-1), self.z_mean(features), log_variance)


class MixturePrior(nn.Module):
    """The weights pi of the components, and their embeddings where the decoder sees them.

    Args:
        n_components: K.
        component_dim: Width E of an embedding; None when the decoder sees no component.
    """

    def __init__(self, n_components: int, component_dim: int | None) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_components))
        self.embedding = (
            None if component_dim is None else nn.Parameter(torch.randn(n_components, component_dim))
        )


class SemiSupervisedVAE(nn.Module):
    """Encoder, prior and decoder of one cell.

    Args:
        params: Resolved parameters of the family.
        constants: ``image_shape (2,)``, ``n_classes ()``, ``pixel_sigma ()``, the spread of pixels around their
            mean image in the training split, near which a sigmoid head's sigma starts.
        seed: Seed of the initialisation.
    """

    def __init__(self, params: Params, constants: Mapping[str, Array], seed: int) -> None:
        super().__init__()
        height, width = (int(side) for side in constants["image_shape"])
        shape = (height, width)
        self.image_shape, self.n_classes = shape, int(constants["n_classes"])
        self.detaches_sigma = params["recon_loss"] == "faithful"
        mixture = params["prior"] == "mixture"
        component_dim = int(params["component_dim"]) if mixture and params["component_aware"] else None
        start_stream(seed, "encoder")
        self.encoder = Encoder(height * width, params)
        start_stream(seed, "prior")
        self.prior = MixturePrior(int(params["n_components"]), component_dim) if mixture else None
        start_stream(seed, "decoder")
        self.decoder = build_decoder(params, shape, component_dim)
        start_stream(seed, "mean_head")
        self.mean_head = build_mean_head(params, shape)
        start_stream(seed, "sigma_head")
        sigma_head = build_sigma_head(params, shape, float(constants["pixel_sigma"]))
        self.sigma_head = sigma_head if params["heteroscedastic"] else None

    def encode(self, x: Tensor) -> Posterior:
        """Return the posterior of images ``(B, D)``."""
        posterior: Posterior = self.encoder(x)
        return posterior

    def decode(self, z: Tensor) -> Rebuilt:
        """Return images and sigmas of latents ``(B, L)``."""
        features = self.features(z)
        mean: Tensor = self.mean_head(features)
        return Rebuilt(mean.reshape(len(z), -1, mean.shape[-1]), self.sigma_of(features, len(z)))

    def decode_sigma(self, z: Tensor) -> Tensor | None:
        """Return the sigmas ``(B, C)`` of latents ``(B, L)`` without rebuilding any pixel."""
        return None if self.sigma_head is None else self.sigma_of(self.features(z), len(z))

    def features(self, z: Tensor) -> Tensor:
        """Return what both heads read, ``(B * C, ...)``, image by image."""
        features: Tensor = self.decoder(z, None if self.prior is None else self.prior.embedding)
        return features

    def sigma_of(self, features: Tensor, n_images: int) -> Tensor | None:
        """Return the sigmas ``(B, C)`` of features ``(B * C, ...)``; `faithful` keeps its gradient to the head."""
        if self.sigma_head is None:
            return None
        sigma: Tensor = self.sigma_head(features.detach() if self.detaches_sigma else features)
        return sigma.reshape(n_images, -1)

    def mixture_weights(self, like: Tensor) -> Tensor:
        """Return pi ``(K,)``; uniform under the standard prior, which has no component. ``like`` is ``(..., K)``."""
        if self.prior is None:
            return torch.full_like(like[0], 1.0 / like.shape[-1])
        return self.prior.logits.softmax(dim=-1)


def start_stream(seed: int, module: str) -> None:
    """Make torch's next draws those of one module, whatever was drawn before."""
    torch.manual_seed(seed * 1009 + _STREAMS.index(module))
