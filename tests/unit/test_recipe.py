"""How a run is trained: what a recipe allows, what identifies it, and its learning rate."""

import json

import pytest
import torch
from alertgrid.errors import StudyError
from alertgrid.training import Recipe
from alertgrid.training.recipe import learning_rate_factor


def test_recipe_defaults_are_published():
    recipe = Recipe()
    assert (recipe.epochs, recipe.patience, recipe.batch_size, recipe.warmup_epochs) == (25, 5, 64, 2)
    assert (recipe.betas, recipe.min_improvement, recipe.max_alerts_per_source) == ((0.9, 0.999), 0.005, 100)
    assert Recipe.parse(recipe.settings()) == recipe
    assert json.loads(json.dumps(recipe.settings())) == recipe.settings()


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("leraning_rate", 0.1, "did you mean 'learning_rate'"),
        ("zzz", 1, "unknown key"),
        ("epochs", 0, "an integer from 1"),
        ("epochs", 2.5, "an integer"),
        ("epochs", True, "an integer"),
        ("learning_rate", "1e-4", "a number from 0"),
        ("augment", 1, "true or false"),
        ("precision", "fp16", "one of"),
        ("betas", [0.9], "two numbers"),
        ("betas", [0.9, 1.0], "two numbers"),
    ],
)
def test_recipe_refuses(key, value, match):
    with pytest.raises(StudyError, match=match) as error:
        Recipe.parse({key: value})
    assert error.value.where == f"training.{key}"


def test_recipe_identity_leaves_out_what_only_concerns_the_machine():
    assert Recipe(checkpoint_minutes=1, resident="no").identity() == Recipe().identity()
    assert Recipe(learning_rate=1e-3).identity() != Recipe().identity()


def test_how_the_machine_is_used_is_said_apart_and_nothing_else_is():
    recipe = Recipe.parse({"epochs": 3}, machine=[("devices", 4), ("resident", "no")])
    assert (recipe.epochs, recipe.devices, recipe.resident) == (3, 4, "no")
    assert recipe.identity() == Recipe(epochs=3).identity()
    with pytest.raises(StudyError, match=r"--machine: 'epochs' is unknown\n.*devices"):
        Recipe.parse({}, machine=[("epochs", 1)])
    with pytest.raises(StudyError, match="did you mean 'devices'"):
        Recipe.parse({}, machine=[("device", 2)])


def test_cuda_graphs_and_pieces_of_batches_exclude_each_other():
    machine = [("compile", "reduce-overhead"), ("micro_batch", 16)]
    with pytest.raises(StudyError, match=r"compile, micro_batch: .*\n.*\n.*say compile=default"):
        Recipe.parse({}, machine)
    assert Recipe.parse({}, [("compile", "default"), ("micro_batch", 16)]).micro_batch == 16
    assert Recipe.parse({}, machine[:1]).compile == "reduce-overhead"


def test_learning_rate_warms_up_and_falls():
    recipe = Recipe(epochs=10, warmup_epochs=2, warmup_start=0.01, final_fraction=0.01)
    assert learning_rate_factor(recipe, 0) == pytest.approx(0.01)
    assert learning_rate_factor(recipe, 1) == pytest.approx(0.505)
    assert learning_rate_factor(recipe, 2) == pytest.approx(1)
    assert learning_rate_factor(recipe, 6) == pytest.approx(0.505)
    assert learning_rate_factor(recipe, 10) == pytest.approx(0.01)
    assert learning_rate_factor(Recipe(epochs=1, warmup_epochs=0), 0) == pytest.approx(1)


def test_learning_rate_follows_torch_schedulers():
    recipe = Recipe(epochs=9, warmup_epochs=3)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    parts = [
        torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=3),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6, eta_min=0.01),
    ]
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[3])
    for epoch in range(9):
        assert learning_rate_factor(recipe, epoch) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
