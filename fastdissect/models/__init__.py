"""Networks: names to modules, layer patterns, outputs to maps, receptive fields."""

from __future__ import annotations

from fastdissect.models.digest import weights_digest
from fastdissect.models.layer_rows import LayerRow, describe_layers
from fastdissect.models.layers import get_layer, layer_names, resolve_layer, resolve_layers, unwrap
from fastdissect.models.loading import LoadedModel, load_model
from fastdissect.models.outputs import MapView, TokenGrid, as_map, output_tensor
from fastdissect.models.preprocessing import Preprocessing
from fastdissect.models.receptive_fields import ReceptiveField, receptive_field

__all__ = [
    "LayerRow",
    "LoadedModel",
    "MapView",
    "Preprocessing",
    "ReceptiveField",
    "TokenGrid",
    "as_map",
    "describe_layers",
    "get_layer",
    "layer_names",
    "load_model",
    "output_tensor",
    "receptive_field",
    "resolve_layer",
    "resolve_layers",
    "unwrap",
    "weights_digest",
]
