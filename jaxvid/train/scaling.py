"""What building, training and prediction cost on many machines, on paper: the figures of SCALING.md.

    python -m jaxvid.train.scaling

A step of data-parallel training is computed, then its gradients are summed over all devices, while the next batch is
decoded: nothing else is modeled. FLOPs, gradient bytes and the number of collectives are counted from the programs of
the real networks; rates of decoding are measured; machines are as their vendors describe them.
"""

import dataclasses
import math
from collections.abc import Sequence

from jaxvid.tables import in_markdown
from jaxvid.train.step_costs import Network, network_of

# Measured with decord and OpenCV on one core of this project's machine (SCALING.md), frames per second of CPU time:
# decoding H.264 of many sizes, resizing and encoding JPEG.
BUILT_FRAMES = {"128x171": 554.0, "224x224": 532.0}
# Measured, the whole input pipeline on one core: 215 clips of 16 frames of 128x128 a second. Larger frames cost more by
# what they cost OpenCV: 6687, 6022 and 3238 frames a second.
TRAINING_FRAMES = {"128x128": 3440.0, "128x171": 3440.0 * 6022 / 6687, "224x224": 3440.0 * 3238 / 6687}
# Measured: bytes of a stored frame, JPEG of quality 95.
FRAME_BYTES = {"128x171": 11139.0, "224x224": 21003.0}


@dataclasses.dataclass(frozen=True)
class Host:
    """A machine with devices, in a network of such.

    Attributes:
      name: of the machine.
      devices: it has so many.
      flops: FLOP/s of a device, as far as a network of convolutions reaches its peak.
      link: bytes per second from a device to another of the host, in one direction.
      network: bytes per second from the host to others.
      link_latency: seconds of one message between devices of the host.
      network_latency: seconds of one message between hosts.
      storage: bytes per second that the host reads.
      cores: that decode.
    """

    name: str
    devices: int
    flops: float
    link: float
    network: float
    link_latency: float
    network_latency: float
    storage: float
    cores: int


# Assumptions, not measurements: the share of the peak that convolutions over clips reach, latencies and storage.
SHARE_OF_PEAK = 0.3
# From data sheets: peak in bfloat16 without sparsity, half of the two-way bandwidth of links, network, cores.
H100 = Host("8 x H100, InfiniBand 8 x 400 Gb/s", 8, SHARE_OF_PEAK * 989e12, 450e9, 400e9, 3.5e-6, 8e-6, 25e9, 112)
H100_ETHERNET = dataclasses.replace(
    H100, name="8 x H100, Ethernet 100 Gb/s", network=12.5e9, network_latency=30e-6, storage=5e9
)
V5E = Host("4 x TPU v5e of one slice", 4, SHARE_OF_PEAK * 197e12, 200e9, 800e9, 2e-6, 2e-6, 2e9, 112)


def all_reduce_seconds(num_bytes: float, host: Host, num_hosts: int) -> float:
    """Returns the seconds in which all devices sum a large array: in rings within hosts, then in rings of hosts.

    A ring of n sends 2 (n - 1) / n of the bytes through each link.
    """
    within = 2 * (host.devices - 1) / host.devices * num_bytes / host.link
    between = 2 * (num_hosts - 1) / num_hosts * num_bytes / host.network
    return within + between + latency_seconds(host, num_hosts)


def latency_seconds(host: Host, num_hosts: int) -> float:
    """Returns the seconds in which all devices sum one number: in a tree, two messages for each doubling of them."""
    within = math.ceil(math.log2(host.devices)) * host.link_latency
    return 2 * (within + math.ceil(math.log2(num_hosts)) * host.network_latency)


@dataclasses.dataclass(frozen=True)
class Step:
    """A training step, in seconds.

    Attributes:
      compute: on a device.
      gradients: their sum over all devices, while nothing is computed.
      statistics: of batch normalization, summed likewise.
      decode: of its clips on a host, while the last step runs.
      read: of their records from the storage, likewise.
    """

    compute: float
    gradients: float
    statistics: float
    decode: float
    read: float

    @property
    def seconds(self) -> float:
        """The whole step. XLA may hide some of the sums behind the backward pass, which counts nothing here."""
        return max(self.compute + self.gradients + self.statistics, self.decode, self.read)

    @property
    def bottleneck(self) -> str:
        """What takes longest, and would have to be faster first."""
        parts = {"compute": self.compute, "gradients": self.gradients, "statistics": self.statistics}
        inputs = {"decoding": self.decode, "reading": self.read}
        slower = {name: seconds for name, seconds in inputs.items() if seconds > sum(parts.values())}
        return max(slower or parts, key=lambda name: (slower or parts)[name])


def training_step(network: Network, host: Host, num_hosts: int, clips_per_device: float, record_frames: float) -> Step:
    """Returns a step of data-parallel training.

    Args:
      network: that is trained.
      host: one of them.
      num_hosts: of that kind.
      clips_per_device: in a batch.
      record_frames: stored frames of a clip, all of which are read, though only those of a sample are decoded.
    """
    clips = clips_per_device * host.devices
    return Step(
        clips_per_device * network.train_flops / host.flops,
        all_reduce_seconds(network.gradient_bytes, host, num_hosts),
        (network.num_collectives - 1) * latency_seconds(host, num_hosts),
        clips * network.num_frames / (host.cores * TRAINING_FRAMES[network.size]),
        clips * record_frames * FRAME_BYTES[network.size] / host.storage,
    )


def efficiency(step: Step) -> float:
    """Returns the share of a step in which devices compute."""
    return step.compute / step.seconds


def most_devices(network: Network, host: Host, batch_size: int, least: float = 0.5) -> int:
    """Returns on how many devices, in a power of two of hosts, a batch runs with at least this efficiency; 0 for none.

    Their input is left out: data parallelism ends where the sums over devices take as long as the computation.
    """
    sizes = [2**i for i in range(20) if 2**i * host.devices <= batch_size]
    steps = {hosts: training_step(network, host, hosts, batch_size / (hosts * host.devices), 0.0) for hosts in sizes}
    summed = {hosts: step.compute + step.gradients + step.statistics for hosts, step in steps.items()}
    return max((hosts * host.devices for hosts in sizes if steps[hosts].compute >= least * summed[hosts]), default=0)


@dataclasses.dataclass(frozen=True)
class Footage:
    """Videos to build, to train on or to predict.

    Attributes:
      name: of them.
      hours: of video.
      fps: frames per second.
      record_seconds: that are stored as one clip, of which an epoch takes one sample.
    """

    name: str
    hours: float
    fps: float
    record_seconds: float

    @property
    def frames(self) -> float:
        """All frames."""
        return self.hours * 3600 * self.fps

    @property
    def record_frames(self) -> float:
        """Frames of a stored clip."""
        return self.record_seconds * self.fps

    @property
    def clips(self) -> float:
        """Stored clips."""
        return self.hours * 3600 / self.record_seconds


# Kinetics-400 has about 240,000 training and 20,000 validation clips of ten seconds (Kay et al. 2017).
KINETICS = Footage("Kinetics-400", 260_000 * 10 / 3600, 30.0, 10.0)
ARCHIVE = Footage("100,000 hours", 100_000.0, 25.0, 10.0)


def build_core_hours(footage: Footage, size: str) -> float:
    """Returns the hours that one core takes to decode videos, resize their frames and encode them as JPEG."""
    return footage.frames / BUILT_FRAMES[size] / 3600


def prediction_hours(footage: Footage, network: Network, host: Host, windows_per_second: float) -> tuple[float, float]:
    """Returns the hours of decoding on the cores of one host, and of the network on its devices."""
    windows = footage.hours * 3600 * windows_per_second
    decoding = footage.frames / BUILT_FRAMES[network.size] / host.cores
    return decoding / 3600, windows * network.inference_flops / (host.flops * host.devices) / 3600


# Measured on two cores, 2026-11-21 (jaxvid/models/README.md): seconds of a training step and of inference.
MEASURED = {
    "SHDN C10R1D3, 16 clips of 16 frames": (16 / 6.7, 16 / 24),
    "R(2+1)D-18, 2 clips of 8 frames": (3.00, 0.61),
    "LRCN, 4 clips of 20 frames": (0.098, 0.0188),
    "ConvLSTM, 4 clips of 20 frames": (0.466, 0.083),
}


def fitted_rate(seconds: float, network: Network, batch_size: int) -> float:
    """Returns the FLOP/s of a machine on which a training step takes this time, its input and sums left out."""
    return batch_size * network.train_flops / seconds


def main() -> None:
    """Prints the tables."""
    # Not at the top: the package does not need the configs.
    from configs import convlstm, lrcn, recommended, shdn, video_resnet

    resnet = network_of("R(2+1)D-18", video_resnet.get_config("frames=16"), (128, 171), 400)
    frozen = network_of("recommended, frozen MobileNet", recommended.get_config(), (224, 224), 2)
    sequence = network_of("SHDN C10R1D3", shdn.get_config(), (128, 128), 2)
    _print_networks((resnet, frozen, sequence))
    short = network_of("R(2+1)D-18", video_resnet.get_config("frames=8"), (128, 171), 2)
    others = [network_of("", config.get_config(), (64, 64), 4) for config in (lrcn, convlstm)]
    _print_fit(list(zip(MEASURED, (sequence, short, *others), (16, 2, 4, 4), strict=True)))
    _print_weak(resnet, 16)
    _print_strong(resnet)
    _print_footage((resnet, frozen))
    _print_cameras((resnet, frozen))


def _print(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"\n{title}:\n")
    print("\n".join(in_markdown([tuple(header), *map(tuple, rows)], [False] + [True] * (len(header) - 1))))


def _print_networks(networks: Sequence[Network]) -> None:
    header = ("network", "GFLOP a clip, training", "inference", "gradients, MB", "sums in a row")
    rows = [
        (
            each.name,
            f"{each.train_flops / 1e9:.1f}",
            f"{each.inference_flops / 1e9:.1f}",
            f"{each.gradient_bytes / 1e6:.2f}",
            f"{each.num_collectives}",
        )
        for each in networks
    ]
    _print("What a clip and a step cost", header, rows)


def _print_fit(cases: Sequence[tuple[str, Network, int]]) -> None:
    name, network, batch_size = cases[0]
    rate = fitted_rate(MEASURED[name][0], network, batch_size)
    rows = []
    for name, network, batch_size in cases:
        training, inference = MEASURED[name]
        expected = batch_size * network.train_flops / rate, batch_size * network.inference_flops / rate
        rows.append((name, *(f"{seconds:.3f}" for seconds in (training, expected[0], inference, expected[1]))))
    header = ("two CPU cores", "training step, s: measured", "expected", "inference, s: measured", "expected")
    _print(f"Fit: {rate / 1e9:.0f} GFLOP/s, from the first measured step", header, rows)


def _print_weak(network: Network, clips_per_device: int) -> None:
    rows = []
    for host in (H100, H100_ETHERNET, V5E):
        for num_hosts in (1, 2, 8, 32, 128):
            step = training_step(network, host, num_hosts, float(clips_per_device), KINETICS.record_frames)
            batch_size = clips_per_device * host.devices * num_hosts
            rate = batch_size / step.seconds
            milliseconds = [f"{1e3 * part:.1f}" for part in dataclasses.astuple(step)]
            last = (f"{rate:,.0f}", f"{efficiency(step):.0%}", step.bottleneck, f"{KINETICS.clips / rate / 60:.2f}")
            rows.append((host.name, f"{num_hosts}", f"{batch_size}", *milliseconds, *last))
    parts = [f"{field.name}, ms" for field in dataclasses.fields(Step)]
    last = ("clips/s", "efficiency", "bottleneck", "minutes an epoch of Kinetics-400")
    title = f"{network.name}, weak scaling: {clips_per_device} clips for each device"
    _print(title, ("host", "hosts", "batch", *parts, *last), rows)


def _print_strong(network: Network) -> None:
    rows = [
        (host.name, *(f"{most_devices(network, host, batch_size)}" for batch_size in (64, 256, 1024, 4096)))
        for host in (H100, H100_ETHERNET, V5E)
    ]
    header = ("host", "batch of 64", "256", "1024", "4096")
    _print(f"{network.name}, strong scaling: most devices that compute half of the time", header, rows)


def _print_footage(networks: Sequence[Network]) -> None:
    rows = []
    for footage in (KINETICS, ARCHIVE):
        for network in networks:
            decoding, computing = prediction_hours(footage, network, H100, 2.0)
            stored = footage.frames * FRAME_BYTES[network.size] / 1e12
            building = build_core_hours(footage, network.size)
            cells = f"{footage.frames:.1e}", f"{building:,.0f}", f"{stored:.1f}", f"{decoding:.2f}", f"{computing:.2f}"
            rows.append((footage.name, f"{network.name}, {network.size}", *cells))
    header = ("videos", "network", "frames", "core hours to build", "TB stored", "hours to decode", "hours to compute")
    _print(f"Building; prediction of two windows a second on one host, {H100.name}", header, rows)


def _print_cameras(networks: Sequence[Network]) -> None:
    cameras, fps, windows = 1000, 25.0, 2.0
    rows = []
    for network in networks:
        rate = cameras * windows * network.inference_flops
        cores = cameras * fps / BUILT_FRAMES[network.size]
        rows.append((network.name, f"{cores:.0f}", f"{rate / 1e12:.0f}", f"{rate / H100.flops:.2f}"))
    header = ("network", "cores that decode", "TFLOP/s", "H100")
    _print(f"{cameras} cameras of {fps:g} frames a second, {windows:g} windows a second each", header, rows)


if __name__ == "__main__":
    main()
