"""What netdissect has and this package does not, and what to use instead."""

from __future__ import annotations

__all__ = ["MODULES", "STATISTICS", "TALLIES"]

OWN = "netdissect's own module can be used beside this one"
COMBINED = "fastdissect.compat.baukit.CombinedStat keeps several statistics in one file"
COVARIANCE = "fastdissect.compat.baukit.Covariance computes it"
CACHE = "cachefile= of the tallies reads and writes, with arguments checked"
PROGRESS = "progress is shown where standard error is a terminal"
SUBSET = "sample_size= of the tallies reads the first items; torch.utils.data.Subset takes any others"
SEGMENTER = f"fastdissect.datasets reads label maps that a segmenter wrote; {OWN}"

MODULES = {
    "bargraph": "fastdissect.reports draws the bars",
    "imgsave": f"fastdissect.reports writes the pictures; {OWN}",
    "imgviz": f"fastdissect.reports shows each unit's top images; {OWN}",
    "nethook": f"torch's register_forward_hook retains a layer; {OWN}",
    "parallelfolder": "fastdissect.datasets opens folders of images with masks",
    "pbar": PROGRESS,
    "pidfile": "fastdissect.dissect(out=...) locks and continues its folder",
    "renormalize": "fastdissect.models.Preprocessing holds mean and standard deviation",
    "sampler": SUBSET,
    "segmenter": SEGMENTER,
    "segmodel": SEGMENTER,
    "upsegmodel": SEGMENTER,
    "segviz": f"fastdissect.datasets.check_dataset(out=...) draws label maps; {OWN}",
    "upsample": (
        'torch.nn.functional.interpolate(mode="bilinear") upsamples maps; fastdissect.dissect does without them; '
        f"{OWN}"
    ),
    "workerpool": "torch.utils.data.DataLoader(num_workers=...) works in parallel",
    "zdataset": f"any torch data set of latent vectors will do; {OWN}",
    **dict.fromkeys(("easydict", "labwidget", "paintwidget", "show"), f"fastdissect has no widgets; {OWN}"),
}

STATISTICS = {
    "RunningCovariance": COVARIANCE,
    "RunningCrossCovariance": "a block of fastdissect.compat.baukit.Covariance over both signals side by side is it",
    "RunningSecondMoment": "fastdissect.compat.baukit.Covariance, covariance(unbiased=False) + mean mean', is it",
    "nearestCov": "statsmodels.stats.correlation_tools.cov_nearest computes it",
    "nearestCorr": "statsmodels.stats.correlation_tools.corr_nearest computes it",
    "progress_addbmm": "torch.addbmm computes it",
    "resolve_state_dict": "state= takes a path, an open .npz or a dictionary",
    "sample_portion": "RunningQuantile samples by itself, beyond memory=",
}

TALLIES = {
    "tally_covariance": "fastdissect.compat.baukit.tally(Covariance(), dataset) computes it",
    "tally_cross_covariance": STATISTICS["RunningCrossCovariance"],
    "tally_second_moment": STATISTICS["RunningSecondMoment"],
    "CombinedState": COMBINED,
    "SavedTensor": "tally_cat keeps a tensor in a file",
    "TensorDict": "tally_cat_dict keeps tensors in a file",
    "load_cached_state": CACHE,
    "save_cached_state": CACHE,
    "push_key_prefix": COMBINED,
    "pull_key_prefix": COMBINED,
    "torch_from_numpy_dict": "torch.from_numpy converts an array",
    "FixedSubsetSampler": SUBSET,
    "runningstats": "import it: from fastdissect.compat.netdissect import runningstats",
    "pbar": PROGRESS,
}
