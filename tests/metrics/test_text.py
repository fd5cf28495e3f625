import re

from jaxvid.metrics.classification import classification_metrics
from jaxvid.metrics.text import format_estimate, format_metrics, format_percent
from tests.tiny import predictions_from_confusion


def test_format_percent():
    assert format_percent({"value": 0.8333, "low": 0.712, "high": 0.92}) == "83.3 % [71.2, 92.0]"
    assert format_percent({"value": 0.8333, "low": None, "high": None}) == "83.3 %"
    assert format_percent({"value": None, "low": None, "high": None}) == "undefined"


def test_a_loss_is_no_percentage():
    assert format_estimate({"value": 0.5214, "low": 0.4, "high": 0.6}, percent=False) == "0.521 [0.400, 0.600]"
    assert format_estimate({"value": 0.5214, "low": None, "high": None}, percent=False) == "0.521"


def test_terminal_table_names_the_positive_class_and_aligns():
    predictions = predictions_from_confusion([[35, 5], [2, 22]], class_names=["Fight", "NonFight"])
    lines = format_metrics(classification_metrics(predictions, positive_class="Fight")).splitlines()
    assert lines[0].startswith("64 clips of 64 sources")
    assert lines[1] == "Positive class: Fight (the other name negates it)"
    overall, by_class = lines[2 : lines.index("Recall by class:")], lines[lines.index("Recall by class:") + 1 :]
    found = [re.match(r" *(.+?) +([0-9.]+) %", line) for line in overall if "%" in line]
    columns = {match[1]: match.start(2) for match in found}
    assert "Recall of Fight" in columns
    assert len(set(columns.values())) == 1
    assert [line.split()[:3] for line in by_class] == [["Fight", "87.5", "%"], ["NonFight", "91.7", "%"]]
    assert by_class[0].endswith("40 clips")


def test_terminal_table_says_that_there_is_no_positive_class():
    text = format_metrics(classification_metrics(predictions_from_confusion([[22, 2], [5, 35]])))
    assert "Precision, mean of the classes" in text
    assert "Precision of" not in text
    assert "No positive class" in text
