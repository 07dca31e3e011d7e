"""Weights of timm networks as none were ever published."""

import functools

import timm
import torch
from alertgrid.models import seeded

TINY = "test_resnet"  # half a million parameters


@functools.cache
def network(architecture, seed=11, **options):
    """A timm network with weights that no other seed has, batch statistics included."""
    with seeded(seed):
        model = timm.create_model(architecture, pretrained=False, **options)
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape) * 0.02)
    return model
