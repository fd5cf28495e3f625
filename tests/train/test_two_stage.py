"""Sequences with audio from a folder of videos to metrics: two stages, resumed, evaluated and predicted."""

import json
import shutil
import zipfile

import jax
import numpy as np
import pytest

import jaxvid
from configs import genre
from jaxvid import checkpoint
from jaxvid.data.dataset import open_split, prepare
from jaxvid.data.records import decode_frames
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.export.export import export
from jaxvid.inference import of_videos
from jaxvid.metrics.predictions import read_csv
from jaxvid.train.checks import check_config
from jaxvid.train.loop import train
from jaxvid.train.signals import Interrupted
from jaxvid.train.two_stage import check_sequences, frames_config
from tests.tiny import interrupt_after

RATE = 4000
FORM = f"64x64_4fps_4frames_{RATE}hz"


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of films of two classes, some without sound, one shorter than a sequence."""
    import tfds_builders  # noqa: F401
    from jaxvid.video.files import write_video
    from jaxvid.video.sound import write_video_with_sound
    from tfds_builders.synthetic_genre.drawing import draw_motion, play_sound

    directory = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 1), ("test", 2)):
        for motion, sound in (("sideways", "rising"), ("upright", "falling")):
            (directory / split / motion).mkdir(parents=True)
            for number in range(count):
                # 0.5 or 2.25 seconds: one sequence of 2 frames, or three, the last of 1.
                frames = draw_motion(rng, motion, 4 if number == 1 else 18, 8.0)
                path = directory / split / motion / f"{number}.avi"
                if number == 0 and motion == "upright":
                    write_video(path, frames, 8.0)
                else:
                    write_video_with_sound(path, frames, 8.0, play_sound(rng, sound, len(frames) / 8, RATE), RATE)
    return directory


@pytest.fixture(scope="module")
def make_config(films, tmp_path_factory, tiny_backbone):
    """Configs of two stages of four steps each."""
    data_dir = tmp_path_factory.mktemp("data")

    def make(arg=""):
        config = genre.get_config(arg)
        config.dataset.update(name=f"video_folder/{FORM}", manual_dir=str(films), data_dir=str(data_dir))
        config.clip.update(num_frames=4, height=32, width=32)
        config.audio.update(sample_rate=RATE * bool(config.audio.sample_rate), seconds=1.0, num_mels=16, fft_size=512)
        config.audio.update(window=128, hop=40, fft_size=128, num_mfcc=8)
        config.model.backbone = config.model.backbone and "tiny"
        config.model.update(pretrained="", lstm_features=4, audio_lstm_features=4, num_bands=16)
        config.model.dropout_rate = 0.1
        if config.retrain.num_steps:
            config.retrain.update(num_steps=4, every_steps=2, batch_size=4)
        config.train.update(batch_size=4, num_epochs=1, log_every_steps=1)
        config.eval.num_resamples = 20
        return config

    return make


@pytest.fixture(scope="module")
def run(make_config, tmp_path_factory):
    """The workdir of a run of both stages, with its metrics."""
    workdir = tmp_path_factory.mktemp("run") / "both"
    train(make_config(), workdir)
    return workdir, evaluate(workdir)


def variables_of(workdir, which="last"):
    return checkpoint.load_variables(workdir, "val_loss", which)[1]


def training_features(workdir):
    """The features of the training split: the largest of the chunks that the run has cached."""
    chunks = [
        {path.stem: np.load(path) for path in chunk.glob("*.npy")} for chunk in (workdir / "features").glob("*/chunk-*")
    ]
    return max(chunks, key=lambda chunk: len(next(iter(chunk.values()))))


def test_the_second_stage_trains_on_the_features_of_the_first(run, make_config):
    workdir, _ = run
    # All checkpoints of the first stage are there, and its CNN is that of the second, which left it as it was.
    assert {path.name for path in (workdir / "frames" / "checkpoints").iterdir()} == {"2", "4"}
    first, second = variables_of(workdir / "frames"), variables_of(workdir)
    for collection in ("params", "batch_stats"):
        jax.tree.map(np.testing.assert_array_equal, first[collection]["cnn"], second[collection]["cnn"])
    earlier = variables_of(workdir / "frames", "2")
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: (a != b).any(), first["params"], earlier["params"])))
    stored = training_features(workdir)
    assert set(stored) == {"frames", "num_frames", "sound", "num_sounds"}
    # Of each class three films of three sequences, the last of one frame, and a film of a single one of two frames.
    assert sorted(stored["num_frames"]) == [1] * 6 + [2] * 2 + [4] * 12
    assert (stored["num_sounds"] == 0).sum() == 3


def test_metrics_are_of_videos_and_of_sequences(run):
    workdir, metrics = run
    assert metrics["num_clips"] == 4
    assert metrics["views"]["num_clips"] == 2 * (3 + 1)
    videos, sequences = (read_csv(workdir / name) for name in ("predictions.csv", "view_predictions.csv"))
    assert set(videos.clips) == {f"test/{label}/{k}.avi" for label in ("sideways", "upright") for k in (0, 1)}
    for clip, probabilities in zip(videos.clips, videos.probabilities, strict=True):
        own = [name.startswith(f"{clip}#") for name in sequences.clips]
        np.testing.assert_allclose(sequences.probabilities[own].mean(axis=0), probabilities, rtol=1e-6)
    saved = json.loads((workdir / "metrics.json").read_text())
    assert saved["vote"]["accuracy"] == metrics["vote"]["accuracy"]
    assert saved["vote"]["num_clips"] == 4
    assert saved["evaluated"]["Input"] == "4 frames of 32x32, sequence; 1 s of audio as log_mel"


def test_the_files_themselves_give_what_the_stored_sequences_give(run, films, tmp_path):
    workdir, _ = run
    evaluate(workdir, videos=films / "test", output=tmp_path)
    from_files, stored = read_csv(tmp_path / "view_predictions.csv"), read_csv(workdir / "view_predictions.csv")
    of_stored = dict(zip(stored.clips, stored.probabilities, strict=True))
    for name, probabilities in zip(from_files.clips, from_files.probabilities, strict=True):
        np.testing.assert_allclose(probabilities, of_stored[f"test/{name}"], atol=1e-5)


def test_prediction_takes_the_frames_and_audio_that_were_stored(run, films):
    workdir, _ = run
    predictor = jaxvid.load(workdir, "best")
    stored = read_csv(workdir / "view_predictions.csv")
    for name in ("sideways/0.avi", "upright/0.avi", "sideways/1.avi"):
        timeline = predictor.predict_video(films / "test" / name, stride_seconds=1.0)
        expected = stored.probabilities[stored.clips.index(f"test/{name}#0")]
        # JPEG and scaling are all the difference.
        np.testing.assert_allclose(timeline.probabilities[0], expected, atol=0.02)
    assert timeline.ends[-1] == 0.5


def test_sound_matters_to_prediction(run, films):
    workdir, _ = run
    predictor = jaxvid.load(workdir, "last")
    frames = np.zeros((1, 4, 64, 64, 3), np.uint8)
    tone = (20000 * np.sin(np.arange(RATE) / 3)).astype(np.int16)
    heard, unheard = predictor.classify(frames, sounds=[tone]), predictor.classify(frames)
    assert np.abs(heard - unheard).max() > 1e-4
    np.testing.assert_array_equal(predictor.classify(frames, sounds=[tone[:0]]), unheard)


def test_an_exported_file_takes_frames_and_sound(run, tmp_path):
    workdir, _ = run
    facts = export(workdir, tmp_path / "model.zip")
    assert list(facts["input"]["arrays"]) == ["frames", "num_frames", "audio", "num_samples"]
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        program = jax.export.deserialize(bytearray(archive.read("model.stablehlo")))
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (2, 4, 64, 64, 3), np.uint8)
    sounds = rng.integers(-9000, 9000, (2, RATE)).astype(np.int16)
    probabilities = program.call(frames, np.asarray([4, 2], np.int32), sounds, np.asarray([RATE, 0], np.int32))
    expected = jaxvid.load(workdir).classify(frames, sounds=[sounds[0], sounds[1][:0]], num_frames=[4, 2])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.slow
def test_the_frame_classifier_of_the_first_stage_is_evaluated_and_exported_by_itself(run, make_config, tmp_path):
    workdir, _ = run
    metrics = evaluate(workdir / "frames", every_frame=True, output=tmp_path / "report")
    # Of each class a film of three sequences, the last of one frame, and a film of two frames.
    assert (metrics["num_clips"], metrics["views"]["num_clips"]) == (4, 2 * (9 + 2))
    frames = read_csv(tmp_path / "report" / "view_predictions.csv")
    assert metrics["views"]["accuracy"]["value"] == pytest.approx(np.mean(frames.labels == frames.predicted))
    described = json.loads((tmp_path / "report" / "metrics.json").read_text())["evaluated"]
    assert described["Input"] == "1 frame of 32x32, consecutive"

    # The exported program gives what the frames of a film as they are stored have in the evaluation, in their order.
    facts = export(workdir / "frames", tmp_path / "frames.zip")
    assert facts["class_names"] == ["sideways", "upright"]
    with zipfile.ZipFile(tmp_path / "frames.zip") as archive:
        program = jax.export.deserialize(bytearray(archive.read("model.stablehlo")))
        assert archive.read("labels.txt") == b"sideways\nupright\n"
    stored = open_split(prepare(make_config().dataset), "test")
    film = [i for i, video in enumerate(stored.metadata.videos) if video == "test/upright/0.avi"]
    images = np.concatenate([decode_frames(stored[i].frames, np.arange(len(stored[i].frames))) for i in film])
    of_film = [name.startswith("test/upright/0.avi#") for name in frames.clips]
    assert len(images) == sum(of_film) == 9
    np.testing.assert_allclose(frames.probabilities[of_film], program.call(images[:, None]), atol=1e-5)
    # A video has the mean of its frames.
    films = read_csv(tmp_path / "report" / "predictions.csv")
    expected = frames.probabilities[of_film].mean(axis=0)
    np.testing.assert_allclose(films.probabilities[films.clips.index("test/upright/0.avi")], expected, rtol=1e-6)


def test_every_frame_alone_is_for_networks_of_single_frames(run):
    workdir, _ = run
    with pytest.raises(ValueError, match="--every_frame is for networks of single frames; this one takes 4"):
        evaluate(workdir, every_frame=True)
    with pytest.raises(ValueError, match="--every_frame and --clips=3 exclude each other"):
        evaluate(workdir / "frames", every_frame=True, clips=3)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "step"), [("frames", 3), ("second", 2)])
def test_either_stage_resumes_where_it_stopped(run, make_config, tmp_path, monkeypatch, stage, step):
    workdir, _ = run
    if stage == "second":
        # The first stage is done already; its steps are not taken again.
        shutil.copytree(workdir / "frames", tmp_path / "run" / "frames")
    with monkeypatch.context() as patch:
        interrupt_after(patch, step)
        with pytest.raises(Interrupted):
            train(make_config(), tmp_path / "run")
    assert (tmp_path / "run" / "config.json").exists() == (stage == "second")
    train(make_config(), tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, variables_of(tmp_path / "run"), variables_of(workdir))


@pytest.mark.slow
def test_the_second_stage_starts_from_any_checkpoint_of_the_first(run, make_config, tmp_path):
    workdir, _ = run
    shutil.copytree(workdir / "frames", tmp_path / "run" / "frames")
    config = make_config()
    config.retrain.checkpoint = "3"
    with pytest.raises(ValueError, match="no checkpoint '3'; allowed: best, last, 2, 4"):
        train(config, tmp_path / "run")
    config.retrain.checkpoint = "2"
    train(config, tmp_path / "run")
    earlier, second = variables_of(workdir / "frames", "2"), variables_of(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, earlier["params"]["cnn"], second["params"]["cnn"])


@pytest.mark.slow
@pytest.mark.parametrize("arg", ["features=softmax,audio=false", "frames=false,spectrogram=mfcc"])
def test_one_stream_alone_trains_and_is_evaluated(make_config, tmp_path, arg):
    config = make_config(arg)
    if not config.audio.sample_rate:
        config.dataset.name = "video_folder/64x64_4fps_4frames"
    else:
        config.model.num_bands = 8
    train(config, tmp_path)
    assert evaluate(tmp_path)["num_clips"] == 4
    assert (tmp_path / "frames").exists() == (not config.audio.sample_rate)
    if not config.audio.sample_rate:
        first, second = variables_of(tmp_path / "frames")["params"], variables_of(tmp_path)["params"]
        jax.tree.map(np.testing.assert_array_equal, first["head"], second["cnn_top"])
        probabilities = training_features(tmp_path)["frames"]
        assert probabilities.shape[1:] == (4, 2)
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)


def test_the_first_stage_trains_on_single_frames(make_config):
    stage = frames_config(make_config())
    check_config(stage)
    assert stage.clip.num_frames == 1
    assert stage.model.name == "frame_classifier"
    assert (stage.train.num_steps, stage.eval.every_steps, stage.checkpoint.keep_all) == (4, 2, True)
    assert stage.retrain.num_steps == stage.audio.sample_rate == 0
    # Another choice for the second stage does not make the first another run.
    config = make_config()
    config.retrain.checkpoint = "2"
    assert frames_config(config) == stage


@pytest.mark.slow
def test_an_adaptive_sequence_model_with_fixed_activations_is_the_plain_one(run, make_config, tmp_path):
    workdir, _ = run
    config = make_config()
    config.model.adaptive = True
    train(config, tmp_path)
    adaptive, plain = variables_of(tmp_path), variables_of(workdir)
    assert "activations" not in variables_of(tmp_path / "frames")
    # ReLU at every site, by the coefficients of the family.
    sites = jax.tree.leaves(adaptive["activations"])
    assert len(sites) == 4
    assert all(leaf.tolist() == [0.0, 0.0, 1.0, np.inf] for leaf in sites)
    for name in ("params", "batch_stats"):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), adaptive[name], plain[name])
    assert evaluate(tmp_path)["num_clips"] == 4


@pytest.mark.slow
def test_a_policy_changes_activations_in_the_second_stage_alone(make_config, tmp_path):
    config = make_config()
    config.model.adaptive = True
    config.activations.update(policy="sequence", pool=("relu", "elu"), trigger="epochs", at_epochs=(1,))
    config.train.num_epochs = 2
    train(config, tmp_path)
    assert not (tmp_path / "frames" / "activation_changes.jsonl").exists()
    (change,) = map(json.loads, (tmp_path / "activation_changes.jsonl").read_text().splitlines())
    assert (change["from"], change["to"], change["epoch"]) == ("relu", "elu", 1.0)
    # The CNN of the first stage is there, with other activations.
    first, second = variables_of(tmp_path / "frames"), variables_of(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, first["params"]["cnn"], second["params"]["cnn"])
    assert all(leaf.tolist() == [0.0, 1.0, 1.0, np.inf] for leaf in jax.tree.leaves(second["activations"]))
    # Features that change are not cached.
    assert not (tmp_path / "features").exists()


def test_the_first_stage_of_an_adaptive_model_has_fixed_activations(make_config):
    config = make_config()
    config.model.adaptive = True
    config.activations.policy = "random"
    check_config(config)
    stage = frames_config(config)
    check_config(stage)
    assert (stage.model.adaptive, stage.activations.policy) == (False, "fixed")


def test_videos_are_those_of_the_split_in_its_order(make_config):
    split = open_split(prepare(make_config().dataset), "test")
    # Two windows of every sequence, from two processes: even positions first.
    order = np.concatenate([np.repeat(np.arange(start, len(split), 2), 2) for start in (0, 1)])
    outputs = np.stack([1 - order / 10, order / 10], axis=-1)
    predicted = of_videos(split, order, outputs)
    videos = split.metadata.videos
    positions = {video: [i for i, v in enumerate(videos) if v == video] for video in predicted.clips.clips}
    assert list(positions) == list(dict.fromkeys(videos))
    for clip, probabilities in zip(predicted.clips.clips, predicted.clips.probabilities, strict=True):
        assert probabilities[1] == pytest.approx(np.mean(positions[clip]) / 10)
    assert len(predicted.views.clips) == 2 * len(split)
    # Windows of a video are in the order of time.
    assert (np.diff(predicted.views.probabilities[:, 1]) >= 0).all()


@pytest.mark.slow
def test_only_frames_and_audio_together_distinguish_two_motions_times_two_sounds(tmp_path):
    def accuracy(name, arg, sample_rate, steps):
        config = genre.get_config(f"dataset=synthetic_genre,backbone=mobilenet{arg}")
        config.dataset.update(name="synthetic_genre/64x64_8fps_16frames_8000hz", data_dir=str(tmp_path / "data"))
        config.clip.update(height=48, width=48, num_frames=16)
        config.audio.update(sample_rate=sample_rate, seconds=2.0)
        config.model.update(pretrained="", lstm_features=64, audio_lstm_features=32)
        config.retrain.update(num_steps=steps, every_steps=200, batch_size=16, learning_rate=1e-3)
        config.augment.update(flip=True, brightness=0.4, contrast=0.4)
        config.optimizer.update(learning_rate=1e-3, schedule="cosine")
        config.train.num_epochs = 15
        train(config, tmp_path / name)
        return evaluate(tmp_path / name)["accuracy"]["value"]

    both = accuracy("both", "", 8000, 800)
    # The first stage is the same with and without sound.
    shutil.copytree(tmp_path / "both" / "frames", tmp_path / "sight" / "frames")
    assert both >= 0.95
    assert accuracy("sight", ",audio=false", 0, 800) <= 0.65
    assert accuracy("sound", ",frames=false", 8000, 0) <= 0.65


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("clip", "sampling", "uniform", "config.clip.sampling is 'uniform'; allowed for genre_crnn: sequence"),
        ("augment", "mixup", 0.2, "config.augment.mixup is 0.2; allowed for genre_crnn: 0"),
        ("audio", "sample_rate", 0, "config.audio.sample_rate is 0; the stream 'sound' needs"),
        ("audio", "kind", "mfcc", "config.model.num_bands is 16; allowed with this section audio: 8"),
        ("model", "streams", ("frames",), "allowed without a stream 'sound': 0"),
        ("model", "streams", ("sound",), "config.retrain.num_steps is 4; allowed without a stream 'frames': 0"),
        ("retrain", "every_steps", 0, "config.retrain.every_steps is 0; allowed: 1 or more"),
        ("retrain", "trainable", "top", "config.retrain.trainable is 'top'; allowed: all, head"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(make_config, section, key, value, message):
    config = make_config()
    config[section][key] = value
    with pytest.raises(ValueError, match=message):
        check_sequences(config)


def test_a_cnn_of_differences_is_not_retrained_on_single_frames(make_config):
    config = make_config()
    config.model.input = "differences"
    with pytest.raises(ValueError, match="config.retrain.num_steps is 4; allowed with input 'differences': 0"):
        check_sequences(config)


def test_softmax_features_need_a_retrained_cnn(make_config):
    config = make_config("features=softmax")
    config.retrain.num_steps = 0
    with pytest.raises(ValueError, match="num_steps is 0; allowed with features 'softmax': above 0"):
        check_sequences(config)


def test_models_without_audio_are_not_given_audio(config):
    config.audio.sample_rate = 8000
    with pytest.raises(ValueError, match="config.audio.sample_rate is 8000; allowed for cnn_lstm: 0"):
        check_config(config)


@pytest.mark.parametrize(
    ("name", "num_frames", "message"),
    [
        ("video_folder/64x64_4fps_4frames", 4, "stores no audio: name it ..._4000hz"),
        (f"video_folder/64x64_4fps_{RATE}hz", 4, "has 9: take a dataset that is stored in sequences, such as"),
    ],
)
def test_a_dataset_that_does_not_fit_is_named(make_config, tmp_path, name, num_frames, message):
    config = make_config("frames=false")
    config.dataset.name = name
    config.clip.num_frames = num_frames
    with pytest.raises(ValueError, match=message):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
