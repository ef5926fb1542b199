"""The eight decoders, from three choices: dense or conv, seeing the component or not, with a sigma or without.

A decoder is a trunk (the model's child ``decoder``) under two heads. The trunk gives features of every
image under every component that it sees; without components it gives them once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.domains import Params

CONV_CHANNELS = (32, 16, 8)  # of the small map, then after each doubling
_SHRINK = 4  # two doublings from the small map to the image
# A start on a bound would start without gradient: the sigmoid is flat there.
_BOUND_MARGIN = 0.05


class LatentMix(nn.Module):
    """The first layer of a decoder: half of its width from z, half from the component when it sees one.

    Args:
        latent_dim: L.
        component_dim: Width E of an embedding; None when the decoder sees no component.
        width: Width of the layer; even.
    """

    def __init__(self, latent_dim: int, component_dim: int | None, width: int) -> None:
        super().__init__()
        self.from_z = nn.Linear(latent_dim, width if component_dim is None else width // 2)
        self.from_component = None if component_dim is None else nn.Linear(component_dim, width - width // 2)

    def forward(self, z: Tensor, embedding: Tensor | None) -> Tensor:
        """Return ``(B, C, width)`` of latents ``(B, L)`` and embeddings ``(K, E)``; C is K, or 1 without them."""
        seen: Tensor = self.from_z(z).unsqueeze(1)
        if self.from_component is None:
            return seen
        component = self.from_component(embedding).unsqueeze(0)
        n_images, n_components = len(z), component.shape[1]
        both = [seen.expand(-1, n_components, -1), component.expand(n_images, -1, -1)]
        return torch.cat(both, dim=-1)


class DenseDecoder(nn.Module):
    """Three leaky layers, a quarter, a half and the whole of ``hidden_dim``."""

    def __init__(self, params: Params, component_dim: int | None) -> None:
        super().__init__()
        width = int(params["hidden_dim"])
        # Drawn first, so that decoders which differ in what they see share it.
        self.deep = nn.Sequential(
            nn.LeakyReLU(),
            nn.Linear(width // 4, width // 2),
            nn.LeakyReLU(),
            nn.Linear(width // 2, width),
            nn.LeakyReLU(),
        )
        self.first = LatentMix(int(params["latent_dim"]), component_dim, width // 4)

    def forward(self, z: Tensor, embedding: Tensor | None) -> Tensor:
        """Return features ``(B * C, hidden_dim)``."""
        features: Tensor = self.deep(self.first(z, embedding).flatten(0, 1))
        return features


class ConvDecoder(nn.Module):
    """A small map from z and from the component, channel on channel, then two transposed convolutions."""

    def __init__(self, params: Params, image_shape: tuple[int, int], component_dim: int | None) -> None:
        super().__init__()
        first, middle, last = CONV_CHANNELS
        self.small = (first, image_shape[0] // _SHRINK, image_shape[1] // _SHRINK)
        self.deep = nn.Sequential(
            nn.LeakyReLU(),
            nn.ConvTranspose2d(first, middle, kernel_size=2, stride=2),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(middle, last, kernel_size=2, stride=2),
            nn.LeakyReLU(),
        )
        self.first = LatentMix(int(params["latent_dim"]), component_dim, math.prod(self.small))

    def forward(self, z: Tensor, embedding: Tensor | None) -> Tensor:
        """Return features ``(B * C, 8, H, W)``."""
        maps = self.first(z, embedding).flatten(0, 1).unflatten(1, self.small)
        features: Tensor = self.deep(maps)
        return features


class SigmaHead(nn.Module):
    """One sigma per row of features, between its bounds.

    ``softplus_clip`` is clip(min + softplus(s), min, max): where the clip cuts, there is no gradient. Its s
    starts near 0 and so sigma at min + 0.693, above the default sigma_max of 0.5. ``sigmoid`` is
    min + (max - min) sigmoid(s), its bias set so that sigma starts near ``start``.

    Args:
        flatten: Brings features to ``(rows, n_features)``.
        n_features: Width of that.
        params: ``sigma_head``, ``sigma_min``, ``sigma_max``.
        start: Where a sigmoid head starts; moved inside the bounds when it is not.
    """

    def __init__(self, flatten: nn.Module, n_features: int, params: Params, start: float) -> None:
        super().__init__()
        self.flatten, self.linear = flatten, nn.Linear(n_features, 1)
        self.low, self.high = float(params["sigma_min"]), float(params["sigma_max"])
        self.clips = params["sigma_head"] == "softplus_clip"
        with torch.no_grad():
            self.linear.bias.fill_(0.0 if self.clips else self.start_bias(start))

    def start_bias(self, start: float) -> float:
        """Return the s at which the sigmoid gives ``start``."""
        share = (start - self.low) / (self.high - self.low)
        share = min(max(share, _BOUND_MARGIN), 1.0 - _BOUND_MARGIN)
        return math.log(share / (1.0 - share))

    def forward(self, features: Tensor) -> Tensor:
        """Return sigmas ``(rows,)``."""
        raw: Tensor = self.linear(self.flatten(features)).squeeze(-1)
        if self.clips:
            return (self.low + functional.softplus(raw)).clamp(self.low, self.high)
        return self.low + (self.high - self.low) * raw.sigmoid()


def build_decoder(params: Params, image_shape: tuple[int, int], component_dim: int | None) -> nn.Module:
    """Return the trunk; ``component_dim`` is None when it sees no component."""
    if params["decoder_type"] == "conv":
        return ConvDecoder(params, image_shape, component_dim)
    return DenseDecoder(params, component_dim)


def build_mean_head(params: Params, image_shape: tuple[int, int]) -> nn.Module:
    """Return features to pixels in [0, 1], ``(rows, D)``."""
    if params["decoder_type"] == "conv":
        last = CONV_CHANNELS[-1]
        return nn.Sequential(nn.Conv2d(last, 1, kernel_size=3, padding=1), nn.Sigmoid(), nn.Flatten())
    return nn.Sequential(nn.Linear(int(params["hidden_dim"]), math.prod(image_shape)), nn.Sigmoid())


def build_sigma_head(params: Params, image_shape: tuple[int, int], start: float) -> SigmaHead:
    """Return features to one sigma; a conv decoder's are averaged over patches of 4 x 4 first."""
    if params["decoder_type"] == "conv":
        n_features = CONV_CHANNELS[-1] * math.prod(image_shape) // _SHRINK**2
        return SigmaHead(nn.Sequential(nn.AvgPool2d(_SHRINK), nn.Flatten()), n_features, params, start)
    return SigmaHead(nn.Identity(), int(params["hidden_dim"]), params, start)
