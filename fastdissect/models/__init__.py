"""Networks: names to modules, layer patterns, outputs to maps, receptive fields."""

from __future__ import annotations

from fastdissect.models.channel_parts import ChannelPart, channel_part, channel_parts
from fastdissect.models.digest import weights_digest
from fastdissect.models.layer_rows import LayerRow, describe_layers
from fastdissect.models.layers import get_layer, layer_names, resolve_layer, resolve_layers, unwrap
from fastdissect.models.layouts import may_mix_layouts
from fastdissect.models.loading import LoadedModel, load_model
from fastdissect.models.observing import observe
from fastdissect.models.outputs import MapView, TokenGrid, as_map, output_tensor
from fastdissect.models.preprocessing import Preprocessing
from fastdissect.models.readings import Reading, Readings
from fastdissect.models.receptive_fields import ReceptiveField, receptive_field

__all__ = [
    "ChannelPart",
    "LayerRow",
    "LoadedModel",
    "MapView",
    "Preprocessing",
    "Reading",
    "Readings",
    "ReceptiveField",
    "TokenGrid",
    "as_map",
    "channel_part",
    "channel_parts",
    "describe_layers",
    "get_layer",
    "layer_names",
    "load_model",
    "may_mix_layouts",
    "observe",
    "output_tensor",
    "receptive_field",
    "resolve_layer",
    "resolve_layers",
    "unwrap",
    "weights_digest",
]
