import pytest

from jaxvid.classes import describe_positive_class, find_positive_class, match_classes, parse_class_map


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        (["no_fight", "fight"], ["fight", "no_fight"], [1, 0]),
        (["NoFight", "Fight"], ["no_fight", "fight"], [0, 1]),
        (["Horse Race", "TAI-CHI"], ["HorseRace", "Swing", "tai_chi"], [0, 2]),
    ],
)
def test_classes_match_without_case_and_separators(theirs, ours, expected):
    assert match_classes(theirs, ours) == expected


def test_classes_without_a_counterpart_are_refused_with_both_lists():
    with pytest.raises(ValueError, match="the data has the classes cat, dog; the model has fight, no_fight"):
        match_classes(["cat", "dog"], ["fight", "no_fight"])
    with pytest.raises(ValueError, match="--class_map=theirs:ours"):
        match_classes(["fight", "dog"], ["fight", "no_fight"])


def test_a_class_map_names_the_counterparts():
    class_map = parse_class_map("violence:fight, Normal:no_fight")
    assert match_classes(["normal", "Violence"], ["fight", "no_fight"], class_map) == [1, 0]
    with pytest.raises(ValueError, match="'peace', no class of the model; allowed: fight, no_fight"):
        match_classes(["normal"], ["fight", "no_fight"], {"normal": "peace"})
    with pytest.raises(ValueError, match="'abnormal', no class of the data; allowed: normal"):
        match_classes(["normal"], ["fight", "no_fight"], {"abnormal": "fight"})


@pytest.mark.parametrize("text", ["violence", "violence:", ":fight", "a:b,c"])
def test_a_class_map_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="allowed: theirs:ours,theirs:ours"):
        parse_class_map(text)


def test_a_class_mapped_twice_is_refused():
    with pytest.raises(ValueError, match="maps 'a' twice"):
        parse_class_map("a:b,a:c")


@pytest.mark.parametrize(
    ("class_names", "expected"),
    [
        (["Fight", "NonFight"], "Fight"),
        (["no_fight", "fight"], "fight"),
        (["fights", "noFights"], "fights"),
        (["nofight", "fight"], "fight"),
        (["nonfight", "fight"], "fight"),
        (["harassment", "non_harassment"], "harassment"),
        (["violence", "normal"], "violence"),
        (["Safe", "Assault"], "Assault"),
        (["calm crowd", "riot"], "riot"),
        (["background", "person"], "person"),
        (["cats", "dogs"], None),
        (["normal", "safe"], None),
        # "notice" begins with letters of "not", which do not negate it.
        (["notice", "alarm"], None),
        (["a", "b", "no_a"], None),
    ],
)
def test_the_positive_class_is_the_one_that_the_other_negates(class_names, expected):
    assert find_positive_class(class_names) == expected


def test_a_chosen_positive_class_wins():
    assert find_positive_class(["Fight", "NonFight"], "non_fight") == "NonFight"
    assert find_positive_class(["a", "b", "c"], "B") == "b"
    with pytest.raises(ValueError, match="the positive class is 'dog'; allowed: Fight, NonFight"):
        find_positive_class(["Fight", "NonFight"], "dog")


def test_the_choice_of_the_positive_class_is_described():
    assert describe_positive_class(["Fight", "NonFight"]) == "Fight (the other name negates it)"
    assert describe_positive_class(["Fight", "NonFight"], "nonfight") == "NonFight (chosen by positive_class)"
    # A choice that agrees with the names has the same reason as without it.
    assert describe_positive_class(["Fight", "NonFight"], "fight") == "Fight (the other name negates it)"
    assert "neither of the names cats, dogs negates the other" in describe_positive_class(["cats", "dogs"])
