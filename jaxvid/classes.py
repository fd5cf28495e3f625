"""Names of classes: which names of two datasets mean the same class, and which of two classes is the positive one."""

import re
from collections.abc import Mapping, Sequence

# A name that begins with one of these words, such as "normal_videos", is the negative class of two.
_NEGATIVE_WORDS = (
    "background",
    "calm",
    "negative",
    "neutral",
    "no",
    "non",
    "none",
    "normal",
    "not",
    "nothing",
    "other",
)
_NEGATIVE_WORDS += ("peaceful", "quiet", "regular", "safe", "usual", "without")
_PREFIXES = ("non", "not", "no")


def fold(name: str) -> str:
    """Returns a class name without case, `_`, `-`, spaces and camel case: "NonFight" and "non_fight" are one name."""
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    """Returns the words of a class name in lower case: "NonFight" has "non" and "fight"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word.casefold() for word in re.split(r"[\s_\-]+", spaced) if word]


def match_classes(theirs: Sequence[str], ours: Sequence[str], class_map: Mapping[str, str] | None = None) -> list[int]:
    """Finds for each of the classes `theirs` the index of the same class in `ours`.

    Args:
      theirs: classes of the data.
      ours: classes of the model.
      class_map: names of the data's classes to names of the model's; it wins over the equality of names. Its names are
        compared as all names are, without case, `_`, `-`, spaces and camel case.

    Raises:
      ValueError: if a class of the data has no counterpart, or `class_map` names a class that neither side has.
    """
    index = {fold(name): position for position, name in enumerate(ours)}
    mapped = {fold(name): fold(counterpart) for name, counterpart in (class_map or {}).items()}
    _check_class_map(class_map or {}, theirs, ours)
    matches = [index.get(mapped.get(fold(name), fold(name))) for name in theirs]
    missing = [name for name, match in zip(theirs, matches, strict=True) if match is None]
    if missing:
        raise ValueError(
            f"the data has the classes {', '.join(theirs)}; the model has {', '.join(ours)}: {', '.join(missing)} is "
            "not among them; name the counterparts with --class_map=theirs:ours,..."
        )
    return [match for match in matches if match is not None]


def _check_class_map(class_map: Mapping[str, str], theirs: Sequence[str], ours: Sequence[str]) -> None:
    for names, allowed, side in ((class_map, theirs, "data"), (class_map.values(), ours, "model")):
        known = {fold(name) for name in allowed}
        for name in names:
            if fold(name) not in known:
                raise ValueError(f"--class_map names {name!r}, no class of the {side}; allowed: {', '.join(allowed)}")


def parse_class_map(text: str, flag: str = "--class_map") -> dict[str, str]:
    """Reads `theirs:ours,theirs:ours`, the value of `flag`.

    Raises:
      ValueError: if a part is not of that form, or a name is mapped twice.
    """
    class_map: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, colon, counterpart = (piece.strip() for piece in part.partition(":"))
        if not (colon and name and counterpart):
            raise ValueError(f"{flag} has the part {part!r}; allowed: theirs:ours,theirs:ours,...")
        if name in class_map:
            raise ValueError(f"{flag} maps {name!r} twice")
        class_map[name] = counterpart
    return class_map


def find_positive_class(class_names: Sequence[str], chosen: str = "") -> str | None:
    """Finds the positive class of two: the one whose precision, recall and events a person asks for.

    Args:
      class_names: the classes, in any order.
      chosen: the user's choice, which wins; compared without case, `_`, `-`, spaces and camel case.

    Returns:
      The name as it stands in `class_names`: the chosen one, or else of two classes the one that the other negates
      ("fight" beside "NonFight", "violence" beside "normal"). None of more than two classes without a choice, and where
      neither name tells.

    Raises:
      ValueError: if `chosen` is no class.
    """
    if chosen:
        chosen_names = [name for name in class_names if fold(name) == fold(chosen)]
        if not chosen_names:
            raise ValueError(f"the positive class is {chosen!r}; allowed: {', '.join(class_names)}")
        return chosen_names[0]
    if len(class_names) != 2:
        return None
    first, second = class_names
    first_is_negative, second_is_negative = _negates(first, second), _negates(second, first)
    if first_is_negative == second_is_negative:
        return None
    return second if first_is_negative else first


def describe_positive_class(class_names: Sequence[str], chosen: str = "") -> str:
    """Returns which of two classes is the positive one and how it was chosen (`find_positive_class`), in words."""
    positive = find_positive_class(class_names, chosen)
    if positive is None:
        return (
            f"not known, as neither of the names {', '.join(class_names)} negates the other; choose one with "
            "--positive_class or the config key dataset.positive_class"
        )
    return f"{positive} ({positive_class_reason(class_names, positive)})"


def positive_class_reason(class_names: Sequence[str], positive_class: str) -> str:
    """Returns how the positive class of two was chosen, in words that fit into brackets behind its name."""
    if positive_class == find_positive_class(class_names):
        return "the other name negates it"
    return "chosen by positive_class"


def _negates(name: str, other: str) -> bool:
    """Whether `name` is the negative one of two classes."""
    return _words(name)[0] in _NEGATIVE_WORDS or any(fold(name) == prefix + fold(other) for prefix in _PREFIXES)
