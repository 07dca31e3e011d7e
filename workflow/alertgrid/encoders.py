"""Which image encoders are compared? A table of frozen entries over timm and two custom convolutional networks.

The table imports neither torch nor timm, so that a workflow can list and check a grid on a machine without them.
Sources: BTSbot and its pre-training study (arXiv 2401.15167, 2512.11957), timm's model names, arXiv 2203.07390.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .errors import StudyError
from .settings.words import asked_size, named_size

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class EncoderSpec:
    """One encoder as the grid names it.

    Parameters
    ----------
    name : str
        Name on the grid's `architecture` axis, with its input size where one is asked for (`maxvit_tiny@224`).
    timm_name : str or None
        timm architecture; None for a network of this package.
    pretrainable : bool
        Whether initial weights other than random ones may be given.
    native_size : int or None
        Side in pixels that `input_size: native` feeds to the network (stamps of 63 are resized bilinearly when it
        differs); None asks timm: 63, or the size a fixed-size network was made for.
    description : str
        One line for the report.
    resizable : bool
        The network is created for its input size (timm's `img_size`), as window attention needs.
    features : int
        Length of the embedding of three cutouts with the settings as they come, for plans; of other timm networks a
        guess.
    """

    name: str
    timm_name: str | None
    pretrainable: bool
    native_size: int | None
    description: str
    resizable: bool = False
    features: int = 512


_TABLE = (
    EncoderSpec("btsbot_cnn", None, False, 63, "BTSbot's custom convolutional network, the baseline", features=3136),
    EncoderSpec("convnext_pico", "convnext_pico", True, 63, "ConvNeXt pico; 63 pixels shrink to a 1 x 1 map"),
    EncoderSpec(
        "maxvit_tiny", "maxvit_tiny_rw_224", True, 64, "MaxViT tiny; windows of 2 pixels at 64, of 7 at 224", True
    ),
    EncoderSpec(
        "acero_cnn", None, False, 63, "Network of arXiv 2203.07390: stamps side by side in one channel", features=5120
    ),
    EncoderSpec("resnet18", "resnet18", True, 63, "ResNet-18, the usual small baseline"),
    EncoderSpec(
        "efficientnet_b0", "efficientnet_b0", True, 63, "EfficientNet-B0, as in Galaxy Zoo DECaLS", features=1280
    ),
)
USUAL_SIZE = 224  # every timm network of the table takes it
ENCODERS: dict[str, EncoderSpec] = {spec.name: spec for spec in _TABLE}


def encoder_spec(name: str) -> EncoderSpec:
    """Entry of an encoder, or a generic entry for any other timm name; `name@pixels` is the same at that input size.

    Raises
    ------
    StudyError
        timm knows no such name (checked only where timm is installed; building the network checks it everywhere else),
        or the network takes stamps of its own size alone.
    """
    plain, side = named_size(name)
    if plain not in ENCODERS and importlib.util.find_spec("timm") is not None:
        _refuse_unknown(plain)
    spec = ENCODERS.get(plain) or EncoderSpec(plain, plain, True, None, f"timm model {plain}")
    if side is None:
        return spec
    if spec.timm_name is None:
        expected = f"{plain}, which sees stamps as they are"
        raise StudyError(f"architecture {name!r}", "takes no other input size", expected, "leave out the size")
    return replace(spec, name=name, native_size=side, description=f"{spec.description}; at {side} pixels")


def _refuse_unknown(name: str) -> None:
    """Raise unless timm has this architecture, with the nearest names it has."""
    import timm

    known = timm.list_models()
    if name in known:
        return
    near = difflib.get_close_matches(name, sorted({*ENCODERS, *known}), n=4, cutoff=0.5)
    raise StudyError(
        f"architecture {name!r}",
        "is neither in the table of encoders nor an architecture of timm",
        f"one of {', '.join(ENCODERS)}, or a timm name without its tag"
        + (f"; near: {', '.join(near)}" if near else ""),
        "correct the name in the study's grid",
    )


def check_architectures(names: Iterable[str], models: Mapping[str, Any]) -> None:
    """Refuse architectures that neither our table nor timm knows, and input sizes that they cannot take.

    Builds only networks of which the table cannot tell, since timm takes seconds.

    Parameters
    ----------
    names : iterable of str
        Architectures of the grid.
    models : mapping
        Settings of the networks.

    Raises
    ------
    StudyError
        Names the architecture and the nearest known ones, or the size and what the network says of it.
    """
    for name in names:
        spec, size, entry = encoder_spec(name), asked_size(models, name), ENCODERS.get(named_size(name)[0])
        known = entry is not None and size in ("native", entry.native_size, USUAL_SIZE)
        if spec.timm_name and not known and importlib.util.find_spec("timm") is not None:
            build_encoder(name, input_size=size)


def build_encoder(
    name: str,
    in_channels: int = 3,
    input_size: str | int = "native",
    settings: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build an encoder with random weights from torch's current generator.

    Parameters
    ----------
    name : str
        A name of `ENCODERS` or of timm.
    in_channels : int
        Number of cutouts C of a stamp, >= 1.
    input_size : "native" or int
        Side in pixels that the network sees; 63 pixels are resized bilinearly where it differs.
    settings : mapping, optional
        Model settings as in `models.settings`; the section `cnn` is used by btsbot_cnn.

    Returns
    -------
    nn.Module
        (B, C, 63, 63) float -> (B, features) float, with the attributes `features`, `spec` and `input_size`.

    Raises
    ------
    StudyError
        Unknown name, or a size the network cannot take.
    """
    from .models.backbones import AceroCNN, BtsbotCNN, TimmEncoder
    from .models.settings import resolve_settings

    spec = encoder_spec(name)
    custom = {"btsbot_cnn": BtsbotCNN, "acero_cnn": AceroCNN}
    if spec.name in custom:
        return custom[spec.name](spec, in_channels, resolve_settings(name, settings))
    return TimmEncoder(spec, in_channels, input_size)
