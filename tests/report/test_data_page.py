"""The page about data: what it says, that names are only names, and its link from the report of an evaluation."""

import html
import re

import numpy as np
import pytest

from jaxvid.config import save_config
from jaxvid.data.show.facts import facts_of_splits
from jaxvid.data.show.network import network_clips
from jaxvid.data.show.shown import Sample, ShownData
from jaxvid.report import report
from jaxvid.report.data import DATA_PAGE, write_data_page
from jaxvid.report.data.page import render_data_page
from jaxvid.report.data.run import write_page_of_run
from tests.data.test_show import made_split, stored_clip
from tests.report.made_up import HOSTILE, Page, frames_of, metrics_of, perfect_predictions, plain_square


def shown(*splits, formats=None, **changes):
    facts = facts_of_splits({split.name: split for split in splits}, formats or {})
    samples = [Sample(row, frames_of(row)[:3]) for row in range(min(len(facts), 4))]
    fields = {"name": "made_up/64x64", "details": {}, "facts": facts, "samples": samples, "differences": []}
    return ShownData(**(fields | changes))


def page_of(data):
    text = render_data_page(data)
    return Page(text), text


def rows_of(text, label):
    """The texts of the cells of a table, by row."""
    body = text.split(f'aria-label="{label}"')[1].split("<tbody>")[1].split("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
    return [html.unescape(re.sub(r"<[^>]+>", "", row)).replace("\xa0", " ") for row in rows]


def test_the_page_counts_clips_sources_and_copies():
    train = made_split([0, 0, 0, 1], "aabb", changes=[1, 2, 3, 4])
    page, text = page_of(shown(train, made_split([1], "b", changes=[4], name="test")))
    assert "5 clips of 2 classes" in page.text
    assert rows_of(text, "Clips by class and split") == [
        "calm3 75 %0 0 %3 60 %",
        "fight1 25 %1 100 %2 40 %",
        "All415",
    ]
    assert rows_of(text, "Clips and sources by split") == ["train442", "test111"]
    assert rows_of(text, "Sources in several splits") == ["btrain, test"]
    assert rows_of(text, "Copies") == ["train/3= test/0different splits"]
    cautions = " ".join(page.cautions())
    assert "1 source video with clips in more than one split, such as b" in cautions
    assert "1 group of copies lie" in cautions
    assert "There is no clip of calm in test." in cautions


def test_data_without_faults_has_no_cautions():
    page, text = page_of(shown(made_split([0, 1], "ab"), made_split([0, 1], "cd", changes=[5, 6], name="test")))
    assert page.cautions() == []
    assert "No source has clips in two splits." in page.text
    assert "No clip is a copy of another. Clips that look alike, though they are no copies, were not" in page.text
    assert "With --config=configs/NAME.py, this page shows" in page.text
    assert 'aria-label="Copies"' not in text
    assert "No two clips look alike." in page_of(shown(made_split([0, 1], "ab"), alike=[]))[0].text


def test_formats_that_are_all_the_same_are_a_line_and_rare_ones_are_summed():
    sizes = {f"{size}x64": {"calm": 10} for size in range(20)}
    formats = {"Size": sizes, "Codec": {"h264": {"calm": 150, "fight": 50}}, "Sound": {"with sound": {"fight": 1}}}
    page, text = page_of(shown(made_split([0, 1], "ab"), formats=formats))
    rows = rows_of(text, "Size")
    assert len(rows) == 9
    assert rows[-1] == "12 others120 60 %0 0 %120 60 %"
    assert "all h264" in page.text


def test_names_are_only_names(config):
    # Names that are not UTF-8 are replaced where they are read.
    hostile = HOSTILE.encode("utf-8", errors="replace").decode("utf-8")
    split = made_split([0, 1], [hostile, "b"], name=hostile, class_names=[hostile, "<b>"])
    config.clip.update(num_frames=2, height=32, width=32)
    config.augment.mixup = 1.0
    config.audio.update(sample_rate=8000, seconds=1.0)
    clips = [stored_clip(label, 2, audio=np.arange(4000)) for label in (0, 1)]
    inputs = network_clips([type(clip)(**{**vars(clip), "filename": hostile}) for clip in clips], config, 2)
    formats = {"Size": {"<i>1x1": {hostile: 1}, "2x2": {"<b>": 1}}}
    data = shown(
        split,
        formats=formats,
        name=hostile,
        details={"<u>": hostile},
        differences=[hostile],
        alike=[hostile],
        problems=[(hostile, hostile)],
        config=config,
        inputs=inputs,
    )
    page, text = page_of(data)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "u", "i", "link", "iframe"}
    assert "default-src 'none'; img-src data:;" in text
    assert all(attributes["src"].startswith("data:image/") for attributes in page.attributes("img"))
    assert all(attributes["href"].startswith("#") for attributes in page.attributes("a"))
    assert not any("bdi" in value for _, attributes in page.elements for value in attributes.values() if value)
    assert "the network takes this" in page.text


def test_the_page_says_what_training_changes(config):
    config.clip.update(num_frames=2, height=32, width=32)
    config.augment.update(flip=True, erasing=0.25)
    inputs = network_clips([stored_clip(1, 2)], config, 2)
    page, _ = page_of(shown(made_split([0, 1], "ab"), config=config, inputs=inputs))
    assert "Training changes frames: erasing 0.25, flip." in page.text
    config.augment.update(flip=False, erasing=0.0)
    page, _ = page_of(shown(made_split([0, 1], "ab"), config=config, inputs=inputs))
    assert "Training does not change the frames." in page.text
    assert [attributes["alt"][:10] for attributes in page.attributes("img")[-4:]] == [
        "Evaluation",
        "Training 1",
        "Training 2",
        "Training 3",
    ]


@pytest.mark.parametrize("num_classes", [9, 200])
def test_many_classes_have_one_histogram_and_no_columns(num_classes):
    labels = list(range(num_classes))
    names = [f"class{label}" for label in labels]
    split = made_split(labels, map(str, labels), num_frames=[10 + label for label in labels], class_names=names)
    formats = {"Size": {"1x1": {"class0": 1}, "2x2": {"class1": 3}}}
    _, text = page_of(shown(split, formats=formats))
    assert text.count('aria-label="Lengths of') == 1
    assert rows_of(text, "Size") == ["1x11 25 %", "2x23 75 %"]


def test_the_report_of_an_evaluation_links_to_a_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_plots", lambda *_: dict.fromkeys(report.PLOTS, plain_square()))
    source = tmp_path / "run" / DATA_PAGE
    write_data_page(source, shown(made_split([0, 1], "ab")), "python -m x <y>")
    predictions = perfect_predictions()

    def write(data_page):
        fields = {"history": [], "frames_of": frames_of, "title": "", "details": {}, "data_page": data_page}
        return report.write_report(tmp_path / "report", predictions, metrics_of(predictions), **fields)

    page = write(source)
    (link,) = Page(page.read_text(encoding="utf-8")).attributes("a")
    copy = page.parent / link["href"]
    assert copy.read_bytes() == source.read_bytes()
    assert "python -m x <y>" in Page(copy.read_text(encoding="utf-8")).text
    # It is of the report, which may replace it; one without it has no link.
    assert Page(write(None).read_text(encoding="utf-8")).attributes("a") == []
    assert not copy.exists()


def test_a_run_has_a_page_of_its_data(config, tmp_path):
    save_config(config, tmp_path)
    assert write_page_of_run(tmp_path, "python -m jaxvid.main") == tmp_path / "data.html"
    page = Page((tmp_path / "data.html").read_text(encoding="utf-8"))
    assert "Split for trainingtrain Split for validationval Commandpython -m jaxvid.main" in page.text
    # Four clips, in evaluation and in three draws of training.
    assert sum("frames of" in attributes["alt"] for attributes in page.attributes("img")[-16:]) == 16
    with pytest.raises(ValueError, match="is no workdir of a training run"):
        write_page_of_run(tmp_path / "nowhere")
