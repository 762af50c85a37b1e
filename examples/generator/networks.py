"""A variational autoencoder of the shapes, whose decoder is the generator, and the configuration of a small segmenter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastdissect.datasets.segmented.library import advising

SIDE = 64  # pixels
Z = 24
CHANNELS = (96, 64, 48, 32, 16)


def _up(channels: int, more: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(channels, more, 3, padding=1), nn.BatchNorm2d(more), nn.ReLU()
    )


def _down(channels: int, more: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, more, 3, stride=2, padding=1), nn.BatchNorm2d(more), nn.LeakyReLU(0.1)
    )


class Decoder(nn.Module):
    """Samples [n, 24] -> images [n, 3, 64, 64] in -1..1; `up1` to `up4` are 8, 16, 32 and 64 cells wide."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Linear(Z, CHANNELS[0] * 16), nn.Unflatten(1, (CHANNELS[0], 4, 4)), nn.ReLU()
        )
        self.up1 = _up(CHANNELS[0], CHANNELS[1])
        self.up2 = _up(CHANNELS[1], CHANNELS[2])
        self.up3 = _up(CHANNELS[2], CHANNELS[3])
        self.up4 = _up(CHANNELS[3], CHANNELS[4])
        self.pixels = nn.Sequential(nn.Conv2d(CHANNELS[4], 3, 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        found: Tensor = self.pixels(self.up4(self.up3(self.up2(self.up1(self.first(z))))))
        return found


class Encoder(nn.Module):
    """Images -> mean and log variance of their codes, [n, 24] each."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(_down(3, 16), _down(16, 32), _down(32, 64), _down(64, 96), nn.Flatten())
        self.codes = nn.Linear(96 * 16, 2 * Z)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = self.codes(self.body(images)).chunk(2, 1)
        return mean, spread.clamp(-8, 4)


def generator() -> nn.Module:
    """The decoder as `fastdissect run examples/generator/networks.py:generator?weights=FILE` wants it."""
    return Decoder()


def segmenter(names: tuple[str, ...]) -> nn.Module:
    """A SegFormer of 0.2 million weights; names: of its labels."""
    with advising("SegFormer"):
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config: Any = SegformerConfig(
        num_encoder_blocks=3,
        hidden_sizes=[24, 48, 64],
        depths=[1, 1, 1],
        num_attention_heads=[1, 2, 4],
        sr_ratios=[2, 1, 1],
        patch_sizes=[7, 3, 3],
        strides=[4, 2, 2],
        mlp_ratios=[2, 2, 2],
        decoder_hidden_size=64,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        semantic_loss_ignore_index=-1,
    )
    torch.manual_seed(0)
    found: nn.Module = SegformerForSemanticSegmentation(config)
    return found
