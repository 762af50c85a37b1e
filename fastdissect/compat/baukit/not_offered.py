"""What baukit has and this package does not, and what to use instead."""

from __future__ import annotations

__all__ = ["NAMES", "STATISTICS"]

OWN = "baukit's own can be used beside this one"
HOOKS = f"torch's register_forward_hook does it; {OWN}"
WIDGETS = f"fastdissect has no widgets; {OWN}"
TOKENS = f"fastdissect reads images; {OWN}"
CROSS = "a block of Covariance over both signals side by side (torch.cat([a, b], 1)) is it"
NULLS = "save() and load() take care of it"
CACHE = "tally(cache=...) reads and writes, with arguments checked"
SUBSET = "sample_size= and random_sample= of tally() choose the items"

STATISTICS = {
    "CrossCovariance": CROSS,
    "Reservoir": "tally(History(), dataset, sample_size=..., random_sample=...) keeps a random sample",
    "SecondMoment": "Covariance, covariance(unbiased=False) + mean mean', is it",
    "FixedRandomSubsetSampler": SUBSET,
    "FixedSubsetSampler": SUBSET,
    "box_numpy_null": NULLS,
    "unbox_numpy_null": NULLS,
    "is_null_numpy_value": NULLS,
    "null_numpy_value": NULLS,
    "load_cached_state": CACHE,
    "save_cached_state": CACHE,
    "global_load_cache_enabled": "with cache_load_enabled(False): computes again",
    "push_key_prefix": "CombinedStat keeps several statistics in one file",
    "pull_key_prefix": "CombinedStat keeps several statistics in one file",
    "resolve_state_dict": "state= takes a path, an open .npz or a dictionary",
    "sample_portion": "Quantile samples by itself, beyond memory=",
}

NAMES = {
    **{name: STATISTICS[name] for name in ("CrossCovariance", "Reservoir")},
    **dict.fromkeys(
        (
            "Trace",
            "TraceDict",
            "get_module",
            "get_parameter",
            "module_names",
            "nethook",
            "parameter_names",
            "replace_module",
            "set_requires_grad",
            "subsequence",
        ),
        HOOKS,
    ),
    **dict.fromkeys(
        (
            "Button",
            "Checkbox",
            "Choice",
            "ClickDiv",
            "ColorPicker",
            "Datalist",
            "Div",
            "Event",
            "Image",
            "Img",
            "Label",
            "Menu",
            "Model",
            "Numberbox",
            "PaintWidget",
            "PlotWidget",
            "Property",
            "Range",
            "Textarea",
            "Textbox",
            "Trigger",
            "Widget",
            "labwidget",
            "paintwidget",
            "plotwidget",
            "show",
        ),
        WIDGETS,
    ),
    **dict.fromkeys(
        (
            "TokenizedDataset",
            "flatten_masked_batch",
            "length_collation",
            "make_padded_batch",
            "move_to",
            "tokendataset",
        ),
        TOKENS,
    ),
    **dict.fromkeys(
        ("ImageFolderSet", "parallelfolder"), "fastdissect.datasets opens folders of images with masks"
    ),
    **dict.fromkeys(("imgsave", "save_image_set"), f"fastdissect.reports writes the pictures; {OWN}"),
    **dict.fromkeys(
        ("WorkerBase", "WorkerPool", "workerpool"),
        "torch.utils.data.DataLoader(num_workers=...) works in parallel",
    ),
    **dict.fromkeys(
        ("pidfile", "reserve_dir"), "fastdissect.dissect(out=...) locks and continues its folder"
    ),
    "pbar": f"rich.progress.track shows a bar; {OWN}",
    "renormalize": "fastdissect.models.Preprocessing holds mean and standard deviation",
}
