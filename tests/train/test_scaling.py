import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import pytest

from jaxvid import parallel
from jaxvid.config import base_config
from jaxvid.train import scaling, step_costs
from jaxvid.train.scaling import Footage, Host, Step
from jaxvid.train.step_costs import Network

# Two devices of 100 FLOP/s, joined by 10 bytes/s, in hosts joined by 4 bytes/s.
HOST = Host("host", 2, 100.0, 10.0, 4.0, 0.5, 1.0, 1e9, 4)
NETWORK = Network("network", "128x171", 16, 300.0, 100.0, 40.0, 5)


def test_rings_and_trees_of_two_hosts_of_two_devices_by_hand():
    # A tree over two devices: there and back, 0.5 s each; over two hosts 1 s each as well.
    assert scaling.latency_seconds(HOST, 1) == 1.0
    assert scaling.latency_seconds(HOST, 2) == 3.0
    assert scaling.latency_seconds(HOST, 5) == 7.0
    # A ring of two sends 2 * 1/2 of 40 bytes: 4 s at 10 bytes/s, then 10 s at 4 bytes/s.
    assert scaling.all_reduce_seconds(40.0, HOST, 1) == 4.0 + 1.0
    assert scaling.all_reduce_seconds(40.0, HOST, 2) == 4.0 + 10.0 + 3.0
    # A ring of four hosts: 2 * 3/4 of 40 bytes.
    assert scaling.all_reduce_seconds(40.0, HOST, 4) == 4.0 + 15.0 + 5.0


def test_a_step_by_hand():
    step = scaling.training_step(NETWORK, HOST, 2, 7.0, 0.0)
    # Seven clips of 300 operations at 100/s, and four sums of statistics that wait for one another.
    assert (step.compute, step.gradients, step.statistics) == (21.0, 17.0, 12.0)
    assert step.decode == pytest.approx(14 * 16 / (4 * scaling.TRAINING_FRAMES["128x171"]))
    assert step.read == 0
    assert step.seconds == 50.0
    assert scaling.efficiency(step) == 0.42
    read = scaling.training_step(NETWORK, HOST, 2, 7.0, 300.0).read
    assert read == pytest.approx(14 * 300 * scaling.FRAME_BYTES["128x171"] / 1e9)


@pytest.mark.parametrize(
    ("parts", "seconds", "bottleneck"),
    [
        ((3.0, 1.0, 1.0, 4.0, 2.0), 5.0, "compute"),
        ((3.0, 4.0, 1.0, 4.0, 2.0), 8.0, "gradients"),
        ((3.0, 1.0, 4.0, 4.0, 8.0), 8.0, "statistics"),
        ((3.0, 1.0, 1.0, 6.0, 2.0), 6.0, "decoding"),
        ((3.0, 1.0, 1.0, 6.0, 7.0), 7.0, "reading"),
    ],
)
def test_the_bottleneck_is_what_takes_longest(parts, seconds, bottleneck):
    assert (Step(*parts).seconds, Step(*parts).bottleneck) == (seconds, bottleneck)


def test_strong_scaling_ends_where_sums_take_half_of_the_time():
    network = dataclasses.replace(NETWORK, num_collectives=1)
    # On one host of two devices 5 s of sums, on two hosts 17, on four 24; a clip takes 3 s.
    assert scaling.most_devices(network, HOST, 2) == 0
    assert scaling.most_devices(network, HOST, 4) == 2
    assert scaling.most_devices(network, HOST, 24) == 4
    assert scaling.most_devices(network, HOST, 64) == 8


def test_footage_by_hand():
    footage = Footage("ten hours", 10.0, 25.0, 5.0)
    assert (footage.frames, footage.clips, footage.record_frames) == (900_000, 7200, 125)
    assert scaling.build_core_hours(footage, "128x171") == pytest.approx(900_000 / 554 / 3600)
    decoding, computing = scaling.prediction_hours(footage, NETWORK, HOST, 2.0)
    assert decoding == pytest.approx(900_000 / 554 / 4 / 3600)
    # 72,000 windows of 100 operations on 2 * 100 operations a second.
    assert computing == 10.0


def test_sums_in_a_row_are_counted_and_those_side_by_side_are_one():
    def program(x):
        first = jax.lax.psum(x, "data")
        waits = jax.jit(lambda y: jax.lax.psum(jnp.sin(y), "data"))(first)
        beside = jax.lax.psum(x * 2, "data")
        return waits + beside

    jaxpr = jax.make_jaxpr(jax.vmap(program, axis_name="other"), axis_env=[("data", 2)])(jnp.ones(3)).jaxpr
    assert step_costs.longest_chain(jaxpr) == 2


@pytest.mark.slow
def test_the_costs_of_a_network_are_those_of_its_program():
    config = base_config()
    config.clip.update(num_frames=4, height=16, width=16)
    config.model = ml_collections.ConfigDict(
        {"name": "video_resnet", "num_classes": 0, "variant": "r2plus1d_10", "activation": "relu", "adaptive": False,
         "dtype": "float32", "pretrained": "kinetics400", "trainable": "all"}
    )  # fmt: skip
    network = step_costs.network_of("small", config, (16, 16), 3)
    step, state, batch = step_costs._training_step(_without_weights(config, 3), (16, 16), 3)
    assert network.gradient_bytes == 4 * sum(leaf.size for leaf in jax.tree.leaves(state.params))
    # XLA counts cheap operations too, such as a dozen of Adam for each parameter; of loops, of which it would count one
    # run, there are none.
    by_xla = parallel.over_devices(step, 1).trace(state, batch).lower().cost_analysis()["flops"]
    assert network.train_flops < by_xla < 1.05 * network.train_flops + 15 * network.gradient_bytes / 4
    # Forwards, and as much again for the inputs' and the kernels' gradients, but for the frames'.
    assert 2.5 * network.inference_flops < network.train_flops <= 3 * network.inference_flops
    # Forwards and backwards through the longest way, stem and two convolutions each of two halves in four blocks, and
    # then the gradients.
    assert network.num_collectives == 2 * (2 + 4 * 4) + 1


def _without_weights(config, num_classes):
    config = config.copy_and_resolve_references()
    config.model.update(pretrained="", num_classes=num_classes)
    return config


@pytest.mark.slow
def test_the_page_has_the_tables_of_the_command(capsys):
    scaling.main()
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    page = (Path(scaling.__file__).parent / "SCALING.md").read_text().splitlines()
    assert len(printed) > 30
    assert [line for line in printed if line not in page] == []
