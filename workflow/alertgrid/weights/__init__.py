"""Where do initial weights come from? From a hub or from here into an encoder folder; whole published models as well.

`folder` writes, checks and loads encoder folders; `hub` fetches, and `pins` remembers what the first fetch got; `local`
imports what somebody has at hand; `published` has the released BTSbot models in the networks of this package.
"""

from .folder import (
    CONFIG,
    FETCH,
    MANIFEST,
    MODEL,
    encoder_state,
    load_encoder_weights,
    read_manifest,
    read_tensors,
    write_encoder_folder,
)

__all__ = [
    "CONFIG",
    "FETCH",
    "MANIFEST",
    "MODEL",
    "encoder_state",
    "load_encoder_weights",
    "read_manifest",
    "read_tensors",
    "write_encoder_folder",
]
