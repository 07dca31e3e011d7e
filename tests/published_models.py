"""Stand-ins of the released BTSbot models: state dicts with upstream's names and shapes, built from its description."""

from __future__ import annotations

import json

import timm
import torch
from alertgrid.columns import METADATA_COLUMNS

META = {
    "model_name": "um_nn", "metadata_cols": list(METADATA_COLUMNS), "meta_fc1_neurons": 128, "meta_fc2_neurons": 96,
    "meta_dropout": 0.25,
}  # fmt: skip
CONVNEXT = {
    "model_name": "ConvNeXt", "model_kind": "hf-hub:mwalmsley/zoobot-encoder-convnext_pico", "pretrained": True,
    "fc1_neurons": 256, "fc2_neurons": 8, "dropout": 0.7,
}  # fmt: skip
MAXVIT = {**CONVNEXT, "model_name": "MaxViT", "model_kind": "maxvit_tiny_rw_224.sw_in1k"}
CNN = {
    "model_name": "um_cnn", "conv1_channels": 8, "conv2_channels": 6, "conv_kernel": 3, "conv_dropout1": 0.45,
    "conv_dropout2": 0.65, "fc1_neurons": 64, "fc2_neurons": 32, "dropout": 0.45,
}  # fmt: skip
COMBINED = {"comb_fc1_neurons": 32, "comb_fc2_neurons": 8, "comb_dropout": 0.2}


class Writer:
    """Random tensors under upstream's names."""

    def __init__(self, seed=7):
        self.generator, self.state = torch.Generator().manual_seed(seed), {}

    def linear(self, name, features, width):
        self.tensor(f"{name}.weight", (width, features), features**-0.5)
        self.tensor(f"{name}.bias", (width,))

    def convolution(self, name, channels, width, kernel):
        self.tensor(f"{name}.weight", (width, channels, kernel, kernel), 0.5)
        self.tensor(f"{name}.bias", (width,))

    def norm(self, name, features):
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.tensor(f"{name}.{part}", (features,), 1.0, positive=part == "running_var")
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(3)

    def tensor(self, name, shape, scale=0.1, positive=False):
        value = torch.randn(shape, generator=self.generator) * scale
        self.state[name] = value.abs() + 0.5 if positive else value

    def timm(self, prefix, architecture, skip):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            network = timm.create_model(architecture, pretrained=False).eval()
        for key, value in network.state_dict().items():
            if not key.startswith(skip):
                self.state[prefix + key] = value.clone()
        return network


def upstream_image(config, writer, prefix="", headless=False):
    """Upstream's keys of an image model; headless as its frozen fusion keeps it."""
    if config["model_name"] == "um_cnn":
        c1, c2, k = config["conv1_channels"], config["conv2_channels"], config["conv_kernel"]
        for index, (a, b) in {0: (3, c1), 2: (c1, c1), 6: (c1, c2), 8: (c2, c2)}.items():
            writer.convolution(f"{prefix}conv_layers.{index}", a, b, k)
        heads, features = (0, 2, 5), c2 * 49
        name = f"{prefix}head"
    else:
        convnext = config["model_name"] == "ConvNeXt"
        name = f"{prefix}{'convnext' if convnext else 'maxvit'}."
        writer.timm(name, "convnext_pico" if convnext else "maxvit_tiny_rw_224", skip=("head.",))
        if convnext:
            writer.tensor(f"{name}head.1.weight", (512,), 1.0)
            writer.tensor(f"{name}head.1.bias", (512,))
        heads, features, name = ((3, 5, 8) if convnext else (1, 3, 6)), 512, f"{name}head"
    sizes = (features, config["fc1_neurons"], config["fc2_neurons"], 1)
    for index, a, b in zip(heads, sizes, sizes[1:], strict=False):
        if not headless:
            writer.linear(f"{name}.{index}", a, b)
    return features


def upstream_metadata(config, writer, prefix="", headless=False):
    first, second = config["meta_fc1_neurons"], config["meta_fc2_neurons"]
    writer.norm(f"{prefix}network.0", 25)
    writer.linear(f"{prefix}network.1", 25, first)
    writer.linear(f"{prefix}network.4", first, second)
    if not headless:
        writer.linear(f"{prefix}network.6", second, 1)
    return second


def upstream(config):
    writer = Writer()
    kind = config["model_name"]
    if kind == "um_nn":
        upstream_metadata(config, writer)
    elif kind == "frozen_fusion":
        features = upstream_image(config["image_model_config"], writer, "image_branch.", headless=True)
        features += upstream_metadata(config["meta_model_config"], writer, "meta_branch.", headless=True)
        sizes = (features, config["comb_fc1_neurons"], config["comb_fc2_neurons"], 1)
        for index, a, b in zip((0, 2, 5), sizes, sizes[1:], strict=False):
            writer.linear(f"combined_head.{index}", a, b)
    else:
        upstream_image(config, writer)
    return writer.state


def fusion(image):
    return {"model_name": "frozen_fusion", "image_model_config": image, "meta_model_config": META, **COMBINED}


CASES = {
    "cnn": CNN, "convnext": CONVNEXT, "maxvit": MAXVIT, "metadata": META, "cnn-metadata": fusion(CNN),
    "convnext-metadata": fusion(CONVNEXT), "maxvit-metadata": fusion(MAXVIT),
}  # fmt: skip


def put(folder, config, state):
    folder.mkdir(exist_ok=True)
    (folder / "train_config.json").write_text(json.dumps(config))
    torch.save(state, folder / "pytorch_model.bin")
    return folder
