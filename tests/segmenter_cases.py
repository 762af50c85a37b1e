"""Segmenters for tests: one that knows colours, and tiny ones of transformers, built from their configurations."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from token_cases import _name_operators, library

from fastdissect.datasets.resize import resize_image
from fastdissect.datasets.segmented.segmenter import Segmenter
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.types import LabelChannel

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 210), "grey": (120, 120, 120)}
SQUARE = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}


class Colours(Segmenter):
    """Labels pixels by the nearest of COLOURS; a second channel says which are dark. Counts its batches."""

    def __init__(self) -> None:
        self.name = "colours"
        names = {i: (name, 0) for i, name in enumerate((*COLOURS, "dark"), 1)}
        self.concepts = make_concepts(names, ("object",))
        self.batches: list[int] = []

    def segment(self, images: Sequence[Any], sizes: Sequence[Any]) -> list[tuple[LabelChannel, ...]]:
        self.batches.append(len(images))
        found = []
        for image, size in zip(images, sizes, strict=True):
            small = resize_image(image, size, "nearest").astype(int)
            away = [np.abs(small - colour).sum(-1) for colour in COLOURS.values()]
            nearest = (np.argmin(away, 0) + 1).astype(np.uint16)
            dark = ((small.sum(-1) < 275) * 5).astype(np.uint16)
            found.append((LabelChannel(0, nearest), LabelChannel(0, dark)))
        return found

    def fingerprint(self) -> str:
        return "c0" * 16


def patches(count: int, size: int = 64, seed: int = 0, cell: int = 16) -> Any:
    """Images of coloured squares with a little noise, uint8 [count, size, size, 3], and their colours' numbers."""
    draws = np.random.default_rng(seed)
    grid = draws.integers(0, len(COLOURS), (count, size // cell, size // cell))
    labels = grid.repeat(cell, 1).repeat(cell, 2)
    pixels = np.array(list(COLOURS.values()))[labels] + draws.integers(-25, 26, (count, size, size, 3))
    return pixels.clip(0, 255).astype(np.uint8), labels


def write_images(folder: Path, images: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return folder


def save(network: Any, folder: Path, processor: dict[str, Any] | None = None) -> Path:
    """A model's folder, as the library writes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor or SQUARE))
    return folder


def transformers() -> Any:
    _name_operators()
    return library("transformers")


SEGFORMER = {
    "num_encoder_blocks": 2,
    "hidden_sizes": [16, 24],
    "depths": [1, 1],
    "num_attention_heads": [1, 2],
    "sr_ratios": [2, 1],
    "patch_sizes": [5, 3],
    "strides": [4, 2],
    "mlp_ratios": [2, 2],
    "decoder_hidden_size": 16,
    "classifier_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.0,
    "drop_path_rate": 0.0,
}
SWIN = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "window_size": 4,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 8, 8, 8],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_features": ["stage4"],
}


def built(make: Any) -> Any:
    """A network with weights of a fixed seed."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return make().eval()


def segformer(names: Sequence[str] = tuple(COLOURS)) -> Any:
    library_ = transformers()
    words = dict(enumerate(names))
    config = library_.SegformerConfig(**SEGFORMER, id2label=words, label2id={v: k for k, v in words.items()})
    return built(lambda: library_.SegformerForSemanticSegmentation(config))


def trained_segformer(steps: int = 120) -> Any:
    """A SegFormer that knows the colours of `patches`, after a second."""
    network = segformer()
    images, labels = patches(64, 32, seed=1, cell=8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    wanted = torch.from_numpy(labels[:, 2::4, 2::4])
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    network.train()
    for step in range(steps):
        own = slice(16 * (step % 4), 16 * (step % 4) + 16)
        loss = F.cross_entropy(network(pixel_values=pixels[own]).logits, wanted[own])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def mask2former(kind: str = "Mask2Former") -> Any:
    """Mask2Former or MaskFormer with 6 queries and the labels of COLOURS."""
    library_ = transformers()
    words = dict(enumerate(COLOURS))
    common = {"id2label": words, "label2id": {v: k for k, v in words.items()}}
    if kind == "MaskFormer":
        small = {"image_size": 32, "patch_size": 2, **SWIN}
        decoder = library_.DetrConfig(
            d_model=16, num_queries=6, decoder_layers=1, encoder_layers=1, decoder_attention_heads=2,
            encoder_attention_heads=2, decoder_ffn_dim=16, encoder_ffn_dim=16, use_timm_backbone=False,
            backbone=None, backbone_config=library_.ResNetConfig(**RESNET),
        )  # fmt: skip
        config = library_.MaskFormerConfig(
            backbone_config=library_.MaskFormerSwinConfig(**small), decoder_config=decoder, fpn_feature_size=32,
            mask_feature_size=32, **common,
        )  # fmt: skip
        return built(lambda: library_.MaskFormerForInstanceSegmentation(config))
    config = library_.Mask2FormerConfig(
        backbone_config=library_.SwinConfig(**SWIN), feature_size=32, mask_feature_size=32, hidden_dim=32,
        encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16,
        num_queries=6, **common,
    )  # fmt: skip
    return built(lambda: library_.Mask2FormerForUniversalSegmentation(config))


def oneformer() -> Any:
    library_ = transformers()
    words = dict(enumerate(COLOURS))
    config = library_.OneFormerConfig(
        backbone_config=library_.SwinConfig(**SWIN), hidden_dim=32, conv_dim=32, mask_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=6, query_dec_layers=1,
        text_encoder_width=16, text_encoder_num_layers=1, text_encoder_vocab_size=100, text_encoder_context_length=8,
        text_encoder_n_ctx=2, text_encoder_proj_layers=1, task_seq_len=8, max_seq_len=8, is_training=False,
        id2label=words, label2id={v: k for k, v in words.items()},
    )  # fmt: skip
    return built(lambda: library_.OneFormerForUniversalSegmentation(config))


def bert_tokenizer(folder: Path, words: Sequence[str], length: int) -> None:
    """A tokenizer of whole words with BERT's numbers for its special tokens, as Grounding DINO expects them."""
    tokenizers = library("tokenizers")
    vocabulary = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
    vocabulary |= {word: 2000 + i for i, word in enumerate(words)}
    found = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    found.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    found.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    _save_tokenizer(found, folder, length, pad="[PAD]", unknown="[UNK]")


def clip_tokenizer(folder: Path, words: Sequence[str], length: int) -> None:
    """A tokenizer of whole words that ends a text with token 99, as CLIP's ends it with its last."""
    tokenizers = library("tokenizers")
    vocabulary = {"<pad>": 0, "<start>": 98, "<end>": 99, "<unknown>": 97}
    vocabulary |= {word: 1 + i for i, word in enumerate(words)}
    found = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unknown>"))
    found.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    found.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 98), ("<end>", 99)]
    )
    _save_tokenizer(found, folder, length, pad="<pad>", unknown="<unknown>")


def _save_tokenizer(found: Any, folder: Path, length: int, pad: str, unknown: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    transformers().PreTrainedTokenizerFast(
        tokenizer_object=found, pad_token=pad, unk_token=unknown, model_max_length=length
    ).save_pretrained(folder)


def clipseg() -> Any:
    library_ = transformers()
    config = library_.CLIPSegConfig(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 100,
            "max_position_embeddings": 8, "eos_token_id": 99, "pad_token_id": 0, "bos_token_id": 98,
        },
        vision_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 32,
            "patch_size": 8,
        },
        projection_dim=16, extract_layers=[0, 1, 2], reduce_dim=8, decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )  # fmt: skip
    return built(lambda: library_.CLIPSegForImageSegmentation(config))


def grounding_dino() -> Any:
    library_ = transformers()
    config = library_.GroundingDinoConfig(
        backbone_config=library_.SwinConfig(**{**SWIN, "out_features": ["stage2", "stage3", "stage4"]}),
        text_config={
            "model_type": "bert", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "vocab_size": 2100,
        },
        num_queries=5, d_model=32, encoder_layers=1, encoder_ffn_dim=16, encoder_attention_heads=2, decoder_layers=2,
        decoder_ffn_dim=16, decoder_attention_heads=2, num_feature_levels=4, max_text_len=16, encoder_n_points=2,
        decoder_n_points=2, two_stage=True, disable_custom_kernels=True,
    )  # fmt: skip
    return built(lambda: library_.GroundingDinoForObjectDetection(config))


def sam() -> Any:
    library_ = transformers()
    config = library_.SamConfig(
        vision_config={
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "patch_size": 16,
            "output_channels": 16, "mlp_dim": 16, "window_size": 2, "global_attn_indexes": [0], "num_pos_feats": 8,
        },
        prompt_encoder_config={
            "hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    return built(lambda: library_.SamModel(config))
