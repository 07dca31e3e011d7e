"""Cutouts as the survey delivers them -> stamps as the networks see them.

Source: BTSbot 2.0.7 (arXiv 2401.15167): per cutout NaN -> 0, division by its own L2 norm, then padding at the high end
of both axes to 63 pixels with 1e-9. ZTF stores negative differences already inverted, so nothing is flipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .columns import CHANNELS, STAMP_SIZE

PADDING = 1e-9


def preprocess_cutouts(cutouts: np.ndarray) -> np.ndarray:
    """Normalise and pad whole alerts.

    Parameters
    ----------
    cutouts : (n, 3, h, w) float
        Science, template, difference; h and w at most 63; NaN where a pixel is masked or lies off the detector.

    Returns
    -------
    (n, 3, 63, 63) float32
        Each cutout of unit L2 norm (before padding).
    """
    filled = np.nan_to_num(np.asarray(cutouts), nan=0.0, posinf=np.inf, neginf=-np.inf)
    # Sums and quotients in double precision without a double-precision copy of the batch.
    norms = np.sqrt(np.einsum("nchw,nchw->nc", filled, filled, dtype=np.float64))
    stamps = np.full((*filled.shape[:2], STAMP_SIZE, STAMP_SIZE), PADDING, np.float32)
    inner = stamps[:, :, : filled.shape[2], : filled.shape[3]]
    np.divide(filled, np.where(norms > 0, norms, 1.0)[..., None, None], out=inner, casting="unsafe")
    return stamps


def preprocess_alert(cutouts: Sequence[np.ndarray]) -> np.ndarray:
    """Normalise and pad the three cutouts of one alert, whose shapes may differ, to (3, 63, 63) float32."""
    return np.stack([preprocess_cutouts(np.asarray(cutout)[None, None])[0, 0] for cutout in cutouts])


def refusal_reason(cutouts: Sequence[np.ndarray]) -> str | None:
    """Why an alert's cutouts cannot be used, or None.

    Parameters
    ----------
    cutouts : three 2-D arrays
        Science, template, difference, before any preprocessing.
    """
    for name, cutout in zip(CHANNELS, cutouts, strict=True):
        if cutout.ndim != 2 or not cutout.size or max(cutout.shape) > STAMP_SIZE:
            return f"{name} cutout has shape {cutout.shape}, at most {STAMP_SIZE} x {STAMP_SIZE} is expected"
        known = cutout[~np.isnan(cutout)]
        # ASSUME: the published median rule ignores masked pixels; real stamps with half of them masked are in use.
        if not known.size or not np.isfinite(np.median(known)):
            return f"median of the {name} cutout is not finite"
        if not np.isfinite(known).all():
            return f"{name} cutout has infinite pixels"
        if not known.any():
            return f"{name} cutout is all zero"
    return None
