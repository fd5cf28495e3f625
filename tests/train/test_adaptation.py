import pytest

from jaxvid.report.activations import Adaptation, format_adaptation
from jaxvid.train.adaptation import (
    Evaluation,
    best_rows,
    change_rows,
    changing_sites,
    check_adaptation,
    describe,
    initial_functions,
    replay,
)
from tests.tiny import tiny_config

SITES = {"stem/a": "relu", "layer1/a": "relu", "layer2/a": "relu"}
POOL = ("celu", "leaky_relu", "relu", "relu6")


@pytest.fixture
def config():
    config = tiny_config("nowhere")
    config.model.update(activation="relu", adaptive=True)
    config.activations.policy = "sequence"
    config.train.num_epochs = 20
    return config


def history(*losses):
    """One evaluation an epoch of ten steps; the accuracy is made up of the loss."""
    return [Evaluation(10 * i, float(i), loss, 1 - loss / 10) for i, loss in enumerate(losses, start=1)]


def changes(config, *losses):
    """When the activations changed, why, and to what."""
    progress = replay(history(*losses), config, SITES)
    return [(change.evaluation.epoch, change.reason, describe(change.after)) for change in progress.changes]


def test_fixed_activations_never_change_and_never_end_the_run(config):
    config.activations.policy = "fixed"
    progress = replay(history(1.0, 2.0, 3.0, 4.0, 5.0), config, SITES)
    assert (progress.functions, progress.changes, progress.converged) == (SITES, (), False)


def test_a_sequence_advances_when_the_loss_rises_and_ends_the_run_after_its_last(config):
    assert set(initial_functions(config, SITES).values()) == {"celu"}
    losses = [1.0, 0.9, 0.95, 0.97, 0.98, 0.5, 0.4, 0.4]
    # 0.95 is a rise; 0.97, the first with Leaky ReLU, has nothing to rise from; a loss that stays is no new lowest one.
    assert changes(config, *losses) == [(3, "rise", "leaky_relu"), (5, "rise", "relu"), (8, "rise", "relu6")]
    assert not replay(history(*losses), config, SITES).converged
    assert not replay(history(*losses, 0.3), config, SITES).converged
    assert replay(history(*losses, 0.3, 0.31), config, SITES).converged


def test_patience_counts_evaluations_without_a_new_lowest_loss(config):
    config.activations.patience = 3
    assert changes(config, 1.0, 1.1, 1.2) == []
    assert changes(config, 1.0, 1.1, 1.2, 1.05) == [(4, "rise", "leaky_relu")]
    assert changes(config, 1.0, 1.1, 1.2, 0.9, 1.3, 1.2) == []


def test_nothing_changes_during_the_cool_down(config):
    config.activations.cool_down = 3
    assert changes(config, 1.0, 1.1) == [(2, "rise", "leaky_relu")]
    assert changes(config, 1.0, 1.1, 1.2, 1.3, 1.4) == [(2, "rise", "leaky_relu")]
    assert changes(config, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)[1:] == [(6, "rise", "relu")]


def test_changes_at_epochs_do_not_look_at_the_loss(config):
    config.activations.update(trigger="epochs", at_epochs=(2, 3))
    assert changes(config, 1.0, 0.9, 0.8, 0.9, 1.0) == [(2, "epochs", "leaky_relu"), (3, "epochs", "relu")]


def test_a_sequence_per_site_changes_one_site_after_another(config):
    config.activations.scope = "per_site"
    losses = [1.0, 1.1] * 4
    after = [change.after for change in replay(history(*losses), config, SITES).changes]
    assert [list(functions.values()) for functions in after] == [
        ["leaky_relu", "celu", "celu"],
        ["leaky_relu", "leaky_relu", "celu"],
        ["leaky_relu", "leaky_relu", "leaky_relu"],
        ["relu", "leaky_relu", "leaky_relu"],
    ]


@pytest.mark.parametrize("scope", ["global", "per_site"])
def test_draws_come_from_the_pool_always_differ_and_are_reproducible(config, scope):
    config.activations.update(policy="random", scope=scope, pool=("relu", "elu"))
    assert initial_functions(config, SITES) == SITES
    losses = [1.0, 1.1] * 8
    first, again = (replay(history(*losses), config, SITES).changes for _ in range(2))
    assert first == again
    assert len(first) == 8
    for change in first:
        assert set(change.after.values()) <= {"relu", "elu"}
        assert change.before != change.after
    mixed = any(len(set(change.after.values())) > 1 for change in first)
    assert mixed == (scope == "per_site")
    config.seed = 1
    if scope == "per_site":
        assert replay(history(*losses), config, SITES).changes != first


def test_only_the_sites_that_are_named_change(config):
    config.activations.sites = ("layer*",)
    assert changing_sites(config.activations, SITES) == ["layer1/a", "layer2/a"]
    assert initial_functions(config, SITES) == {"stem/a": "relu", "layer1/a": "celu", "layer2/a": "celu"}
    (change,) = replay(history(1.0, 1.1), config, SITES).changes
    assert change.after == {"stem/a": "relu", "layer1/a": "leaky_relu", "layer2/a": "leaky_relu"}
    config.activations.sites = ("layer1/*", "layer3/*")
    with pytest.raises(ValueError, match="has 'layer3/\\*', which is no site; there are: stem/a, layer1/a, layer2/a"):
        changing_sites(config.activations, SITES)


def test_a_change_between_two_names_of_one_function_is_none(config):
    config.activations.pool = ("elu", "celu", "leaky_relu", "leaky_relu:0.01", "relu")
    check_adaptation(config)
    assert set(initial_functions(config, SITES).values()) == {"elu"}
    losses = [1.0, 1.1] * 3
    assert changes(config, *losses) == [(2, "rise", "leaky_relu"), (4, "rise", "relu")]
    assert replay(history(*losses), config, SITES).converged
    # Draws: only the other function is a change, and a site that draws its own function keeps its name.
    config.activations.update(policy="random", pool=("celu", "relu"))
    elu = dict.fromkeys(SITES, "elu")
    (change,) = replay(history(1.0, 1.1), config, elu).changes
    assert set(change.after.values()) == {"relu"}
    config.activations.scope = "per_site"
    seen = set()
    for config.seed in range(8):
        (change,) = replay(history(1.0, 1.1), config, elu).changes
        seen |= set(change.after.values())
    assert seen == {"elu", "relu"}


def test_the_constants_of_a_pool_are_settings(config):
    config.activations.pool = ("leaky_relu:0.3", "leaky_relu:0.1", "elu:0.5", "celu:0.5", "linear")
    check_adaptation(config)
    assert [after for _, _, after in changes(config, *[1.0, 1.1] * 4)] == [*config.activations.pool[1:]]


def test_a_change_can_begin_from_the_best_weights(config):
    assert not replay(history(1.0, 1.1), config, SITES).changes[0].returns_to_best
    config.activations.return_to_best = True
    assert replay(history(1.0, 1.1), config, SITES).changes[0].returns_to_best


def test_a_change_without_improvement_is_undone_and_the_sequence_continues(config):
    config.activations.update(reject_after=2, patience=1)
    losses = [1.0, 0.8, 0.9, 0.95, 0.85]
    assert changes(config, *losses) == [(3, "rise", "leaky_relu"), (5, "rejected", "celu")]
    assert replay(history(*losses), config, SITES).changes[1].returns_to_best
    assert changes(config, *losses, 0.9, 0.95)[2:] == [(7, "rise", "relu")]
    # A new lowest loss within two evaluations pays.
    assert changes(config, 1.0, 0.8, 0.9, 0.95, 0.79) == [(3, "rise", "leaky_relu")]


def test_changes_in_a_row_without_a_new_lowest_loss_end_the_run(config):
    config.activations.update(policy="random", converge_after=2)
    idle = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert [replay(history(*idle[:n]), config, SITES).converged for n in range(1, 7)] == [False] * 5 + [True]
    # The second change pays off, and the count begins anew.
    paid = [1.0, 1.1, 1.2, 1.3, 0.9, 1.5]
    assert not replay(history(*paid), config, SITES).converged


def test_a_resumed_run_decides_like_an_uninterrupted_one(config):
    config.activations.update(policy="random", scope="per_site", reject_after=2, cool_down=1)
    losses = [1.0, 0.8, 0.9, 0.95, 0.85, 0.7, 0.9, 0.6, 0.65, 0.7, 0.75]
    whole = replay(history(*losses), config, SITES)
    for known in range(len(losses)):
        earlier = replay(history(*losses[:known]), config, SITES).changes
        assert whole.changes[: len(earlier)] == earlier


def test_the_tables_of_the_paper(config):
    evaluations = history(1.0, 0.8, 0.9, 0.95, 0.7, 0.75)
    progress = replay(evaluations, config, SITES)
    first, second = change_rows(evaluations, progress)
    assert {key: value for key, value in first.items() if key != "sites"} == {
        "step": 30,
        "epoch": 3.0,
        "reason": "rise",
        "from": "celu",
        "to": "leaky_relu",
        "before": {"loss": 0.9, "accuracy": 0.91},
        "next": {"loss": 0.95, "accuracy": 0.905},
        "best": {"loss": 0.7, "accuracy": 0.93},
        "returned_to_best": False,
    }
    assert first["sites"] == {site: ["celu", "leaky_relu"] for site in SITES}
    assert (second["to"], second["next"], second["best"]) == ("relu", None, None)
    assert best_rows(evaluations, progress) == [
        {"activation": "celu", "evaluations": 3, "loss": 0.8, "accuracy": 0.92},
        {"activation": "leaky_relu", "evaluations": 3, "loss": 0.7, "accuracy": 0.93},
    ]
    text = format_adaptation(Adaptation([first, second], best_rows(evaluations, progress)))
    assert "celu → leaky_relu  rise        0.900        0.950  0.700" in text
    assert "leaky_relu  3            0.700        93.00 %" in text


def test_mixtures_are_described_by_counts():
    assert describe({"a": "relu", "b": "relu"}) == "relu"
    assert describe({"a": "relu", "b": "elu", "c": "relu"}) == "1 elu, 2 relu"


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("model", {"activation": "rleu"}, "'rleu' cannot adapt; adaptive sites take one of: relu, leaky_relu, elu"),
        ("model", {"activation": "rleu", "adaptive": False}, "unknown activation 'rleu'; allowed: relu, leaky_relu"),
        ("model", {"adaptive": False}, "policy is 'sequence', which needs config.model.adaptive=True"),
        ("activations", {"policy": "randm"}, "policy is 'randm'; allowed: fixed, sequence, random"),
        ("activations", {"scope": "local"}, "scope is 'local'; allowed: global, per_site"),
        ("activations", {"trigger": "fall"}, "trigger is 'fall'; allowed: rise, epochs"),
        ("activations", {"pool": ("relu", "gelu")}, "pool has 'gelu', which cannot adapt; allowed: relu, leaky_relu"),
        ("activations", {"pool": ("relu",)}, "pool is ('relu',); allowed: two or more different"),
        ("activations", {"pool": ("elu", "celu")}, "pool is ('elu', 'celu'); allowed: two or more different"),
        ("activations", {"pool": ("elu:x", "relu")}, "activation 'elu:x': the alpha is 'x'; allowed: a number above 0"),
        ("activations", {"patience": 0}, "patience is 0; allowed: 1 or more"),
        ("activations", {"cool_down": -1}, "cool_down is -1; allowed: 0 or more"),
        ("activations", {"trigger": "epochs"}, "at_epochs is (); allowed: rising epochs"),
        ("activations", {"trigger": "epochs", "at_epochs": (4, 2)}, "at_epochs is (4, 2); allowed: rising epochs"),
        ("activations", {"trigger": "epochs", "at_epochs": (20,)}, "below train.num_epochs, 20"),
    ],
)
def test_bad_settings_are_refused_with_the_allowed_values(config, section, values, message):
    config[section].update(values)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        check_adaptation(config)
    assert message in str(error.value)


def test_epochs_without_an_evaluation_and_monitors_without_a_best_loss_are_refused(config):
    check_adaptation(config)
    config.eval.every_epochs = 2
    config.activations.update(trigger="epochs", at_epochs=(2, 3))
    with pytest.raises(ValueError, match="multiples of eval.every_epochs, 2"):
        check_adaptation(config)
    config.activations.update(trigger="rise", reject_after=2)
    config.eval.monitor = "val_accuracy"
    with pytest.raises(ValueError, match="config.eval.monitor is 'val_accuracy'"):
        check_adaptation(config)
