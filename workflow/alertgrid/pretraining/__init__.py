"""How is an encoder pre-trained on a corpus of images? With the engine of `training`, another loss, another score.

Regression targets are standardised and learnt by squared error, binary ones and classes by cross-entropy, each through
one linear layer on the embedding. What comes out is an encoder folder (see `weights`), so that pre-trainings can start
from one another: fractals -> galaxies mirrors ImageNet -> Galaxy Zoo.
"""

from .objective import Objective, headline
from .run import PretrainingModel, pretrain

__all__ = ["Objective", "PretrainingModel", "headline", "pretrain"]
