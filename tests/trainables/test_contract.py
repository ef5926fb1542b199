"""What every family promises, tested for all that are discovered."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from search_spaces.domains import Choice, SpaceError
from sweeps.plan import check_guards
from tests.trainables.conftest import COMPANIONS, MORE_CELLS, run, small_dataset, small_params, training
from trainables.families import FamilyError, code_version, family_names, load_family
from trainables.guard import Guard

MIN_FAMILIES = 3


def every_option(name: str) -> list[dict[str, object]]:
    space = load_family(name).space
    options = [
        {key: option}
        for key, domain in space.items()
        if isinstance(domain, Choice)
        for option in domain.options
    ]
    cells = [COMPANIONS.get((name, *cell.items()), {}) | cell for cell in options] + MORE_CELLS.get(name, [])
    by_params = {tuple(space.resolve(cell).items()): cell for cell in reversed(cells)}
    return list(reversed(by_params.values()))  # the default option of every choice is one and the same cell


CELLS = [(name, cell) for name in family_names() for cell in every_option(name)]
QUICK = [  # the first cell of every family is enough for `make check`
    pytest.param(name, cell, marks=() if cell == every_option(name)[0] else pytest.mark.slow)
    for name, cell in CELLS
]


def test_families_are_discovered():
    assert len(family_names()) >= MIN_FAMILIES
    assert len(CELLS) >= 10


def test_an_unknown_parameter_is_refused_before_training(family_name):
    with pytest.raises(SpaceError, match="Unknown parameter 'globals_bta'"):
        load_family(family_name).space.resolve({"globals_bta": 1})


@pytest.mark.parametrize(("name", "cell"), QUICK)
def test_every_option_trains_and_its_metric_names_never_change(name, cell):
    history = run(training(name, epochs=3, **cell))
    # the cosine of a gradient that is zero does not exist
    first, second, last = ({m for m in metrics if not m.startswith("grad_cos/")} for metrics in history)
    assert first == second
    assert second == {metric for metric in last if not metric.startswith("test/")}
    assert any(metric.startswith("test/") for metric in last)
    reported = {m.removeprefix("train/") for m in first if m.startswith("train/")}
    assert reported <= {"lr", "total_loss", *load_family(name).train_metrics}
    check_guards([Guard(metric, below=0.0) for metric in first], load_family(name))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cell"), CELLS)
def test_an_interrupted_trial_ends_with_the_same_numbers_to_the_last_bit(name, cell):
    whole = run(training(name, epochs=4, **cell))
    first = training(name, epochs=4, **cell)
    first.run_epoch()
    first.run_epoch()
    rest = training(name, epochs=4, seed=1, **cell)
    rest.restore(first.checkpoint())
    assert run(rest) == whole


def test_two_trials_with_the_same_seed_are_the_same_and_another_seed_is_not(family_name):
    assert run(training(family_name)) == run(training(family_name))
    assert run(training(family_name)) != run(training(family_name, seed=2))


def test_nothing_of_one_trial_is_left_for_the_next(family_name):
    alone = run(training(family_name))
    run(training(family_name, seed=9, lr=0.1))
    assert run(training(family_name)) == alone


@pytest.mark.parametrize(("name", "cell"), QUICK)
def test_every_module_gets_gradient_or_the_family_says_why_not(name, cell):
    one = training(name, **cell)
    reasons = one.family.without_gradient(one.spec.params)
    metrics = one.run_epoch()
    reached = {
        key.split("/")[1]: value for key, value in metrics.items() if key.startswith("frac_params_with_grad/")
    }
    modules = {
        child for child, module in one.model.named_children() if any(True for _ in module.parameters())
    }
    for module in modules - set(reasons):
        assert reached[module] == 1.0, module


class LossOf(nn.Module):
    """A loss as a function of the model's weights, so that `functional_call` and `vmap` can swap them."""

    def __init__(self, family, model):
        super().__init__()
        self.family, self.model = family, model

    def forward(self, state, batch, params):
        loss, _ = self.family.loss(self.model, state, batch, params)
        return loss.total


@pytest.mark.parametrize(("name", "cell"), QUICK)
def test_the_loss_of_two_parameter_sets_in_one_vmap_equals_the_two_losses(name, cell):
    family, dataset = load_family(name), small_dataset(name)
    params = small_params(name, **cell)
    losses = [LossOf(family, family.build(params, dataset, seed)) for seed in (1, 2)]
    states = [family.initial_state(loss.model, params) for loss in losses]
    batch = {key: torch.as_tensor(array[:32]) for key, array in dataset.train.items()}
    batch |= family.noise(batch, params, torch.Generator().manual_seed(1))
    weights, buffers = stack_module_state(losses)
    betas = torch.tensor([0.5, 3.0])
    weight_name = next(key for key, domain in family.space.items() if getattr(domain, "weight", False))
    stacked = {key: torch.stack([state[key] for state in states]) for key in states[0]}

    def one(weights, buffers, state, beta):
        return functional_call(losses[0], (weights, buffers), (state, batch, {**params, weight_name: beta}))

    together = vmap(one)(weights, buffers, stacked, betas)
    apart = [
        loss(state, batch, {**params, weight_name: beta})
        for loss, state, beta in zip(losses, states, betas, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(apart), rtol=1e-5, atol=1e-6)


def test_baselines_stand_beside_the_metrics(family_name):
    family, dataset = load_family(family_name), small_dataset(family_name)
    assert dataset.baselines
    for baseline in dataset.baselines:
        _, split, metric = baseline.split("/")
        assert split in ("valid", "test")
        assert metric in family.metrics


def test_a_family_that_does_not_exist_is_refused_with_the_closest_name():
    with pytest.raises(
        FamilyError, match=r"Unknown family 'globals_autoencodr'. Did you mean 'globals_autoencoder'\?"
    ):
        load_family("globals_autoencodr")
    with pytest.raises(
        FamilyError,
        match=r"Family 'no.such' cannot be imported: .* Mend it, or put its package on PYTHONPATH",
    ):
        load_family("no.such")


def test_the_code_version_is_stable(family_name):
    assert code_version(family_name) == code_version(family_name)
