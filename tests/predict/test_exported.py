import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from jaxvid.export.export import export
from jaxvid.predict import exported, predictor
from tests.commands import run_command


@pytest.fixture(scope="module")
def file(workdir, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.zip"
    export(workdir, path)
    return path


def test_an_exported_file_predicts_as_its_checkpoint(workdir, file):
    ours, theirs = exported.load(file), predictor.load(workdir)
    clips = np.random.default_rng(0).integers(0, 256, (5, 4, 32, 32, 3)).astype(np.uint8)
    np.testing.assert_allclose(ours.classify(clips), theirs.classify(clips), atol=1e-5)
    assert ours.class_names == theirs.class_names
    assert ours.positive_class == "fight"
    assert ours.frame_size == theirs.frame_size
    one, other = ours.plan(), theirs.plan()
    assert (one.seconds, one.stride, one.stretches) == (other.seconds, other.stride, other.stretches)
    np.testing.assert_array_equal(one.offsets, other.offsets)
    assert ours.origin == (str(file), theirs.origin.step, ours.origin.fingerprint)
    assert exported.load(file, positive_class="No-Fight").positive_class == "no_fight"


def test_windows_share_the_features_of_frames_as_with_the_checkpoint(workdir, file, tmp_path):
    ours, theirs = exported.load(file), predictor.load(workdir)
    assert ours.stream_programs.span == theirs.stream_programs.span == 1
    frames = np.random.default_rng(0).integers(0, 256, (25, 32, 32, 3)).astype(np.uint8)
    expected = theirs.predict_frames(frames, 10.0).probabilities
    assert len(expected) > 4
    np.testing.assert_allclose(ours.predict_frames(frames, 10.0).probabilities, expected, atol=1e-5)
    # A file of an earlier version computes every window by itself.
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(tmp_path / "old.zip", "w") as old:
        metadata = json.loads(archive.read("model.json"))
        assert sorted(metadata.pop("parts")) == ["features", "sequences", "span"]
        old.writestr("model.json", json.dumps(metadata))
        old.writestr("model.stablehlo", archive.read("model.stablehlo"))
    older = exported.load(tmp_path / "old.zip")
    assert older.stream_programs is None
    np.testing.assert_allclose(older.predict_frames(frames, 10.0).probabilities, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("sampling", "dataset_fps", "clip_fps"), [("consecutive", 12.5, 0.0), ("fps", 30.0, 8.0), ("sequence", 4.0, 0.0)]
)
def test_windows_are_those_of_the_run(sampling, dataset_fps, clip_fps):
    from jaxvid.export.export import _metadata
    from jaxvid.predict.windows import plan_windows
    from tests.predict.conftest import prediction_config

    config = prediction_config()
    config.clip.update(sampling=sampling, frame_interval=1 if sampling == "sequence" else 3, fps=clip_fps)
    config.dataset.fps = dataset_fps
    one, other = plan_windows(exported._config(json.loads(json.dumps(_metadata(config))))), plan_windows(config)
    assert one.seconds == other.seconds
    np.testing.assert_array_equal(one.offsets, other.offsets)


def test_other_files_are_refused(file, tmp_path):
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(ValueError, match="text.zip is no exported file: .*python -m jaxvid.export --workdir=DIR"):
        exported.load(tmp_path / "text.zip")
    with pytest.raises(ValueError, match="is no exported file"):
        exported.load(tmp_path / "nowhere.zip")
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        archive.writestr("model.stablehlo", b"")
        archive.writestr("model.json", json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="new.zip has format 99; this jaxvid reads 1: export it again"):
        exported.load(tmp_path / "new.zip")
    for flag in ("--explain", "--embeddings=x.parquet"):
        with pytest.raises(ValueError, match="--exported and --e.* exclude each other"):
            run_command("jaxvid.predict", f"--exported={file}", flag, "video.mp4")


@pytest.mark.slow
def test_neither_beam_nor_duckdb_is_imported_before_they_are_asked_for():
    program = (
        "import sys, jaxvid, jaxvid.predict.predictor, jaxvid.predict.files, jaxvid.predict.camera, "
        "jaxvid.predict.database, jaxvid.predict.source, jaxvid.predict.bulk.inputs, jaxvid.predict.bulk.parts\n"
        "assert not {'apache_beam', 'duckdb', 'upath'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
