"""What a run begins with: published weights, those of a file, or those of an earlier run, which it fine-tunes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging
from flax import traverse_util

from jaxvid import checkpoint
from jaxvid.config import load_config
from jaxvid.models.activations import FAMILY, functions_of, same_function
from jaxvid.models.create import Variables, module_from_config
from jaxvid.pretrained.load import check_weights
from jaxvid.types import ConfigDict

# Settings of a model that its weights do not depend on.
_FREE = (
    "num_classes",
    "pretrained",
    "trainable",
    "adaptive",
    "dtype",
    "dropout_rate",
    "recurrent_dropout_rate",
    "remat",
)


def names_run(pretrained: str) -> bool:
    """Returns whether `config.model.pretrained` is a workdir."""
    return bool(pretrained) and Path(pretrained).expanduser().is_dir()


def check_pretrained(config: ConfigDict) -> None:
    """Checks `pretrained` of the section `model` of a config.

    Raises:
      ValueError: if it is neither "", the name of published weights, nor a file, nor the workdir of an earlier run of
        the same model that has a checkpoint.
    """
    pretrained = config.pretrained
    if not names_run(pretrained):
        try:
            check_weights(module_from_config(config), pretrained)
        except ValueError as error:
            raise ValueError(f"config.model.{error}; or the workdir of an earlier run") from error
        return
    workdir, said = Path(pretrained).expanduser(), f"config.model.pretrained is {pretrained!r}"
    try:
        earlier = load_config(workdir).model.name
    except ValueError as error:
        raise ValueError(f"{said}: {error}") from error
    if earlier != config.name:
        raise ValueError(f"{said}, a run of {earlier!r}; allowed: runs of {config.name!r}")
    if not checkpoint.has_checkpoint(workdir):
        raise ValueError(f"{said}, a run without a checkpoint; train it first")


def weights_of_run(
    config: ConfigDict, variables: Variables, sites: Mapping[str, str]
) -> tuple[Variables, dict[str, str]]:
    """Returns variables with the weights of an earlier run's best checkpoint, and the functions that its sites had.

    Parameters and statistics are found by their names. The layer of the classes is new where their number is another.
    The collection `activations` stays as it is: of an earlier run without it, the sites are those of this model.

    Args:
      config: of the run, with the facts of its dataset; `model.pretrained` is the earlier run's workdir.
      variables: of the model; they give shapes and types.
      sites: activation sites of the model with the functions that it is constructed with.

    Returns:
      The variables, and for an adaptive model of an adaptive run the function of every site; else none.

    Raises:
      ValueError: listing every variable that is not in both, or has another shape, and every site whose function this
        model, if it is not adaptive, does not have.
    """
    workdir = Path(config.model.pretrained).expanduser()
    earlier = load_config(workdir)
    step, saved = checkpoint.load_variables(workdir, earlier.eval.monitor, "best")
    saved = jax.device_get(saved)
    there, here = _flat(saved), _flat(variables)
    classes = _layer_of_classes(there, here, earlier.model.num_classes, config.model.num_classes)
    adaptive = "activations" in variables
    functions = _functions(saved.get("activations"), adaptive, earlier, sites)
    problems = _mismatches(there, here, classes) + ([] if adaptive else _lost_functions(functions, sites))
    if problems:
        lines = "\n  ".join(problems)
        raise ValueError(f"config.model.pretrained is {config.model.pretrained!r}, which does not fit:\n  {lines}")
    _report(step, earlier, config, classes)
    taken = {name: leaf if name in classes else jnp.asarray(there[name], leaf.dtype) for name, leaf in here.items()}
    fitted = traverse_util.unflatten_dict(taken, sep="/")
    return ({**fitted, "activations": variables["activations"]}, functions) if adaptive else (fitted, {})


def _flat(variables: Variables) -> dict[str, Any]:
    """Returns all variables by their path, without those of activations."""
    collections: dict[str, Any] = {name: values for name, values in variables.items() if name != "activations"}
    return traverse_util.flatten_dict(collections, sep="/")


def _layer_of_classes(there: Mapping[str, Any], here: Mapping[str, Any], num_there: int, num_here: int) -> list[str]:
    """Returns the variables whose shapes differ in the number of classes alone."""
    return [
        name
        for name in here
        if name in there
        and num_there != num_here
        and there[name].shape == (*here[name].shape[:-1], num_there)
        and here[name].shape[-1:] == (num_here,)
    ]


def _functions(activations: Any, adaptive: bool, earlier: ConfigDict, sites: Mapping[str, str]) -> dict[str, str]:
    """Returns the function of every site of an earlier run; none if it was not adaptive."""
    if activations is None:
        return {}
    # Some functions have two names, such as ELU and CELU: those of the policy, or those of this model.
    began = module_from_config(earlier.model).activation
    own = () if adaptive else sites.values()
    return functions_of(activations, (*own, *earlier.activations.pool, began, *FAMILY))


def _mismatches(there: Mapping[str, Any], here: Mapping[str, Any], new: list[str]) -> list[str]:
    lines = [f"{name}: only in the run" for name in there if name not in here]
    lines += [f"{name}: not in the run" for name in here if name not in there]
    shapes = {name: (there[name].shape, here[name].shape) for name in here if name in there and name not in new}
    return lines + [f"{name}: {old} in the run, {now} here" for name, (old, now) in shapes.items() if old != now]


def _lost_functions(functions: Mapping[str, str], sites: Mapping[str, str]) -> list[str]:
    # Sites that a model lacks are those of another architecture, whose parameters differ too.
    return [
        f"activation {site}: {name} in the run, {sites[site]} here"
        for site, name in functions.items()
        if not same_function(name, sites.get(site, name))
    ]


def _report(step: int, earlier: ConfigDict, config: ConfigDict, new: list[str]) -> None:
    """Logs what is taken, and the settings and classes of the earlier run that the weights do not show."""
    logging.info("Weights of step %d of %s; new: %s", step, config.model.pretrained, ", ".join(new) or "none")
    settings = {
        f"model.{key}": (earlier.model[key], config.model[key])
        for key in sorted(set(earlier.model) & set(config.model) - set(_FREE))
    }
    settings["clip.normalization"] = earlier.clip.normalization, config.clip.normalization
    if not new:
        settings["dataset.class_names"] = tuple(earlier.dataset.class_names), tuple(config.dataset.class_names)
    for key, (old, now) in settings.items():
        if old != now:
            logging.warning("The weights of %s were trained with %s=%r, not %r", config.model.pretrained, key, old, now)
