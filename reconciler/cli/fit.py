"""`reconciler fit`: the machines that hold a model, at what context, on how many nodes, for how much."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

import typer

from ..errors import InvalidSpec
from ..model.preset import Preset, Runtime
from ..model.sizing.advice import recipe
from ..model.sizing.model import Model
from ..model.sizing.options import Option, serving_options, tuning_options
from ..model.sizing.serving import Demand
from ..model.sizing.training import SEQUENCE, Method, Recipe
from .catalogue import catalogues, one
from .options import Cloud, OptionalSettings, Verbose, settings_of
from .output import FAILED, counted, say, say_json, say_table

Name = Annotated[str, typer.Argument(metavar="PRESET", help="A preset's name or alias.", show_default=False)]
InstanceType = Annotated[
    str | None, typer.Option("--instance-type", "-i", help="Judge this one alone.", show_default=False)
]
Context = Annotated[
    int,
    typer.Option("--context", min=0, help="Tokens of one sequence; 0: 2048 for serving, 1024 for tuning."),
]
Sequences = Annotated[
    int, typer.Option("--sequences", min=1, help="Sequences at once; for tuning, samples of a batch.")
]
MethodOption = Annotated[
    Method | None, typer.Option("--method", help="Tune the model instead of serving it.", show_default=False)
]
Served = Annotated[
    Runtime | None,
    typer.Option("--runtime", help="What serves it; by default the preset's first.", show_default=False),
]
Style = Annotated[Literal["table", "json"], typer.Option("--output", "-o", help="How to print the result.")]
All = Annotated[bool, typer.Option("--all", help="Also what does not fit, and why.")]


def fit(
    preset: Name,
    instance_type: InstanceType = None,
    context: Context = 0,
    sequences: Sequences = 1,
    method: MethodOption = None,
    runtime: Served = None,
    cloud: Cloud = None,
    settings_file: OptionalSettings = None,
    output: Style = "table",
    everything: All = False,
    verbose: Verbose = False,
) -> None:
    """List the machines that hold a model, the cheapest first: nodes, GPUs, largest context and list price.

    An estimate from the model's geometry; what it counts is in reconciler/README.md.

    Exit status: 0 something fits, 1 nothing does or the preset's geometry is not known.
    """
    known = catalogues(settings_of(settings_file), cloud)
    chosen = one(known.presets, preset)
    skus = [one(known.skus, instance_type)] if instance_type else [sku for sku in known.skus if sku.gpus]
    model = _model(chosen, runtime)
    if method is None:
        found = serving_options(chosen, model, skus, Demand(context, sequences))
    else:
        found = tuning_options(model, skus, _recipe(chosen, method, context, sequences))
    if output == "json":
        say_json({"preset": chosen.name, "method": method, "options": [_as_json(each) for each in found]})
    else:
        _say(found, everything or instance_type is not None)
    if not any(option.fits for option in found):
        raise typer.Exit(FAILED)


def _model(preset: Preset, runtime: Runtime | None) -> Model:
    runtimes = preset.inference.runtimes
    if runtime is not None and runtime not in runtimes:
        raise InvalidSpec(f"{preset.name} is not served by {runtime}; it is by {' and '.join(runtimes)}")
    if model := Model.of(preset, runtime or runtimes[0]):
        return model
    weights = f", only that its weights take {preset.weights.gib:g} GiB" if preset.known else ""
    raise InvalidSpec(f"{preset.name}: the catalogue knows no layers, heads and context of it{weights}")


def _recipe(preset: Preset, method: Method, context: int, sequences: int) -> Recipe:
    if preset.tuning is None:
        raise InvalidSpec(f"{preset.name}: this preset cannot be tuned")
    return replace(recipe(method, preset, None), sequence=context or SEQUENCE, batch=sequences)


def _say(options: list[Option], everything: bool) -> None:
    fitting = [each for each in options if each.fits]
    others = [each for each in options if not each.fits]
    shown = options if everything or not fitting else fitting
    columns = ("INSTANCE TYPE", "GPU", "FITS", "NODES", "GPUS", "MAX CONTEXT", "$/H", "NOTE")
    say_table(columns, (_row(each) for each in shown))
    if others and shown is fitting:
        does = "does" if len(others) == 1 else "do"
        say(f"{counted(len(others), 'other instance type')} {does} not fit; --all says why")


def _row(option: Option) -> tuple[str, ...]:
    sku, cut, price = option.sku, option.layout, option.dollars_per_hour
    return (
        sku.name,
        f"{sku.gpus}×{sku.gpu_model} {sku.gib_per_gpu:g} GiB",
        "yes" if option.fits else "no",
        str(option.nodes) if option.fits else "",
        str(cut or sku.gpus) if option.fits else "",
        str(option.max_context or ""),
        f"{price:.2f}" if price is not None and option.fits else "",
        "; ".join((*_notes(option), *option.reasons)),
    )


def _notes(option: Option) -> Iterable[str]:
    sku = option.sku
    if sku.retired:
        yield f"retired {sku.retired.on}, use {sku.retired.replacement}"
    if option.enough < option.nodes:
        yield f"{counted(option.enough, 'node')} would hold it, but not pass Kaito's checks"
    if option.layout and option.layout.tensor > 1 and not sku.nvlink:
        yield "no NVLink known"


def _as_json(option: Option) -> dict[str, Any]:
    cut, sku = option.layout, option.sku
    return {
        "instanceType": sku.name,
        "fits": option.fits,
        "nodes": option.nodes,
        "tensorParallel": cut.tensor if cut else None,
        "pipelineParallel": cut.pipeline if cut else None,
        "maxContext": option.max_context,
        "neededGibPerGpu": round(option.needed_gib, 2),
        "gibPerGpu": sku.gib_per_gpu,
        "dollarsPerHour": option.dollars_per_hour,
        "retired": sku.retired.on.isoformat() if sku.retired else None,
        "reasons": option.reasons,
    }
