"""The command line: `python -m explorer list | look | folder | claims | record`.

Exit status 0, or 2 with one line on stderr when something that was given cannot be used.
"""

from __future__ import annotations

import csv
import functools
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperGroup

if TYPE_CHECKING:
    from explorer.exhibit import Claim, ClaimResult, Controls, Exhibit, Scene
    from explorer.many import ManyPictures
    from explorer.service import Source

F = TypeVar("F", bound=Callable[..., Any])
WIDE = 150  # columns of a table that goes into a file or a pipe


class _OneLine(TyperGroup):
    """Usage errors as one line too, instead of a box."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        alone = kwargs.pop("standalone_mode", True)
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
        except (typer.Abort, KeyboardInterrupt):
            _say("stopped")
            status = 130
        except Exception as error:
            if not _is_usage(error):
                raise
            _say(error.format_message())  # type: ignore[attr-defined]
            status = 2
        if alone:
            sys.exit(status if isinstance(status, int) else 0)
        return status


def _is_usage(error: Exception) -> bool:
    """An error of the command line itself. Its class lives in click or, in newer releases, inside Typer."""
    return hasattr(error, "format_message")


app = typer.Typer(cls=_OneLine, help=__doc__, no_args_is_help=False, pretty_exceptions_enable=False, add_completion=False)

Slug = Annotated[str, typer.Argument(help="Name of an exhibit; `list` shows them.")]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="NAME=VALUE", help="A control of the exhibit; may be repeated. A text may come from a file: NAME=@FILE."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _say(line: str) -> None:
    """One line on stderr."""
    print(" ".join(f"hyperscope: {line}".split()), file=sys.stderr)


def _plainly(command: F) -> F:
    """Bad input ends a command with one line and status 2, never with a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if _is_usage(error):
                raise
            from explorer.exhibit import BadRequest
            from explorer.intake import IntakeError

            expected = isinstance(error, (BadRequest, IntakeError, OSError))
            _say(str(error) if expected else f"this should not have happened, please report it: {type(error).__name__}: {error}")
            raise typer.Exit(2 if expected else 1) from None

    return run  # type: ignore[return-value]


# ----------------------------------------------------------------------------------------------------------- commands


@app.command("list")
@_plainly
def list_exhibits(as_json: AsJson = False) -> None:
    """Every exhibit with its one idea and its controls."""
    from explorer.exhibits import catalogue

    found, missing = catalogue()
    if as_json:
        rows: list[dict[str, Any]] = [exhibit.describe() for exhibit in found.values()]
        rows += [{"slug": absent.slug, "unavailable": absent.reason} for absent in missing]
        return print(json.dumps(rows, indent=2, ensure_ascii=False))
    table = Table("exhibit", "wing", "idea", "controls", box=None, pad_edge=False)
    for exhibit in found.values():
        table.add_row(exhibit.slug, exhibit.wing.slug, exhibit.idea, ", ".join(w["name"] for w in exhibit.controls.widgets()))
    for absent in missing:
        table.add_row(absent.slug, "", f"unavailable: {absent.reason}", "")
    _print(table)


@app.command()
@_plainly
def look(
    slug: Slug,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to; made when it does not exist.")],
    image: Annotated[str | None, typer.Argument(metavar="[IMAGE]", help="A picture file, or the name of an example.")] = None,
    settings: Settings = [],  # noqa: B006  (Typer copies it)
) -> None:
    """Look at one picture and write figures, an offline page, structures, graphs and numbers."""
    from explorer import export, runtime, service

    exhibit = service.exhibit(slug)
    controls = exhibit.controls.parse(_pairs(settings))
    source = _source(exhibit, image)
    _usable_folder(out)
    with _progress() as bar:
        task = bar.add_task("look", total=1)
        with runtime.followed(lambda done, of: bar.update(task, completed=done, total=of, description="look, layer by layer")):
            scene = service.compute(slug, source, controls)
        task = bar.add_task("write", total=1)
        written = export.write(scene, exhibit, controls, out, image=source.name, picture=source.shown)
        bar.update(task, advance=1)
    for remark in (*source.notes, *scene.notes):
        print(f"note: {remark}", file=sys.stderr)
    best = ", ".join(f"{label} {100 * probability:.1f} %" for label, probability in scene.prediction[:3])
    print(f"{len(written)} files in {out}; {len(scene.layers)} layers; prediction: {best}")


@app.command()
@_plainly
def folder(
    slug: Slug,
    pictures: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of pictures.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.csv", help="The table.")],
    sort: Annotated[
        str, typer.Option("--sort", metavar="MEASURE", help="Worst cases of this measure first; left out, one that suits the exhibit.")
    ] = "",
    settings: Settings = [],  # noqa: B006
) -> None:
    """Every picture of a folder as a table of diagnostics: a row per picture and layer, worst cases first.

    Of exhibits with soft hyperedges it also prints how these are used over all pictures.
    """
    from explorer.exhibit import BadRequest
    from explorer.intake import IntakeError
    from explorer.many import ManyPictures
    from explorer.service import exhibit as named

    exhibit = named(slug)
    if not exhibit.pictures:
        raise BadRequest(f"{exhibit.slug} takes no pictures, so there is nothing to do with a folder of them")
    controls = exhibit.controls.parse(_pairs(settings))
    if sort:
        _worst_first(sort)  # refused before anything is looked at
    files = _files_of(pictures)
    _usable_folder(out.parent)
    rows: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    many = ManyPictures()
    with _progress() as bar:
        for file in bar.track(files, description=slug):
            try:
                scene = _scene_of(exhibit, controls, file)
                rows += _rows(scene, file)
                many.add(scene)
            except (IntakeError, BadRequest) as error:
                refused.append({"picture": file.name, "refused": str(error)})
    sort = sort or _usual_measure(rows)
    if sort:
        worst = _worst_first(sort)
        rows.sort(key=lambda row: worst(row.get(sort)))
    _write_table(out, [*rows, *refused])
    for row in refused:
        print(f"refused: {row['picture']}: {row['refused']}", file=sys.stderr)
    if not rows:
        raise BadRequest(f"none of the {len(files)} files in {pictures} could be looked at; {out} lists the reasons")
    by = f", worst {sort} first" if sort else ""
    print(f"{len(files) - len(refused)} pictures, {len(refused)} refused, {len(rows)} rows in {out}{by}")
    _print_usage(many)


@app.command()
@_plainly
def record(slugs: Annotated[list[str] | None, typer.Argument(metavar="[SLUG …]", help="Exhibits; all when left out.")] = None) -> None:
    """Store the first run of exhibits: what a page shows before its model is loaded, and the drawing on its card."""
    from explorer import service
    from explorer.exhibits import catalogue

    for slug in slugs or list(catalogue()[0]):
        print(f"{slug}: {service.store_record(slug) // 1000} kB")


@app.command()
@_plainly
def claims(
    slugs: Annotated[list[str] | None, typer.Argument(metavar="[SLUG]...", help="Exhibits; all when left out.")] = None,
    as_json: AsJson = False,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Pictures with masks; the shipped ones when left out.")
    ] = None,
    store: Annotated[bool, typer.Option("--store", help="Also write the figures to where the pages read them.")] = False,
) -> None:
    """Measure our counterpart of each paper's claims."""
    from explorer import measuring, service
    from explorer.exhibits import catalogue

    exhibits = [service.exhibit(slug) for slug in slugs or catalogue()[0]]
    if data_dir is not None:
        measuring.masked_pictures(data_dir)  # refused before anything is measured
    results: list[tuple[Exhibit, Claim, ClaimResult]] = []
    with _progress() as bar:
        todo = [(exhibit, claim) for exhibit in exhibits for claim in exhibit.claims]
        task = bar.add_task("", total=len(todo))
        for exhibit, claim in todo:
            bar.update(task, description=f"{exhibit.slug}: {claim.key}")
            results.append((exhibit, claim, claim.measure(data_dir)))
            bar.advance(task)
    if store:
        for exhibit in exhibits:
            rows = [_claim_row(*result) for result in results if result[0] is exhibit]
            service.store_claims(exhibit.slug, rows, data_dir is not None)
            service.store_record(exhibit.slug)  # the first run carries the claims
    if as_json:
        return print(json.dumps([_claim_row(*result) for result in results], indent=2, ensure_ascii=False, allow_nan=False))
    table = Table("exhibit", "claim", "paper figure", "our figure", "holds?", "seeds and detail", pad_edge=False, show_lines=True)
    for exhibit, claim, result in results:
        table.add_row(exhibit.slug, claim.text, claim.paper_figure or "(ours)", result.figure, VERDICT[result.holds], result.detail)
    _print(table)


VERDICT = {True: "yes", False: "no", None: "open"}


def _claim_row(exhibit: Exhibit, claim: Claim, result: ClaimResult) -> dict[str, Any]:
    return {
        "exhibit": exhibit.slug,
        "key": claim.key,
        "claim": claim.text,
        "paper_figure": claim.paper_figure,
        "our_figure": result.figure,
        "holds": None if result.holds is None else bool(result.holds),
        "detail": result.detail,
    }


# -------------------------------------------------------------------------------------------------- what is passed in


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    from explorer.exhibit import BadRequest

    for item in settings:
        if "=" not in item:
            raise BadRequest(f"--set takes NAME=VALUE, not {item[:40]!r}")
    return {name.strip(): _read(value.strip()) for name, _, value in (item.partition("=") for item in settings)}


def _read(value: str) -> str:
    """The value, or what stands in the file that it names after an @."""
    return Path(value[1:]).read_text(encoding="utf-8") if value.startswith("@") and Path(value[1:]).is_file() else value


def _source(exhibit: Exhibit, image: str | None) -> Source:
    """What to look at: the exhibit's example, an example by name, or a file; nothing where the exhibit takes no picture."""
    from explorer import examples, service
    from explorer.exhibit import BadRequest
    from explorer.intake import IntakeError

    if not exhibit.pictures and image is not None:
        raise BadRequest(f"{exhibit.slug} takes no picture; its controls say what it looks at ({', '.join(exhibit.controls.model_fields)})")
    if image is None:
        return service.first(exhibit)
    if image in examples.examples():
        return service.example(image)
    if not Path(image).is_file():
        raise BadRequest(f"{image!r} is neither a file nor an example; the examples are {', '.join(examples.examples())}")
    try:
        return _visitors(Path(image))
    except IntakeError as error:
        raise BadRequest(f"{Path(image).name}: {error}") from None


def _visitors(file: Path) -> Source:
    from explorer import examples, service
    from explorer.intake import read_image

    photo = read_image(file)
    return service.visitors(examples.shown_square(photo), photo.notes)


def _usable_folder(out: Path) -> None:
    """Find out before the model runs whether results can be written."""
    from explorer.exhibit import BadRequest

    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".hyperscope"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadRequest(f"cannot write to {out}: {error.strerror or error}") from None


def _files_of(pictures: Path) -> list[Path]:
    from explorer.exhibit import BadRequest

    if not pictures.is_dir():
        raise BadRequest(f"{pictures} is not a folder")
    files = sorted(path for path in pictures.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise BadRequest(f"there is no file in {pictures}")
    return files


# --------------------------------------------------------------------------------------------------------------- rows


def _scene_of(exhibit: Exhibit, controls: Controls, file: Path) -> Scene:
    from explorer import service

    return service.compute(exhibit.slug, _visitors(file), controls)


def _rows(scene: Scene, file: Path) -> Iterator[dict[str, Any]]:
    """One row per layer: the picture, its prediction, every measure."""
    from explorer.diagnostics import folder_row

    label, probability = scene.prediction[0] if scene.prediction else ("", float("nan"))
    about = {"picture": file.name, "prediction": label, "probability": round(probability, 4)}
    return (
        {**about, "layer": layer.name, "place": layer.label, **folder_row(scene.measures.get(layer.name, ()))} for layer in scene.layers
    )


def _write_table(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as CSV; columns in the order in which they first appear, the reason of a refusal last."""
    from explorer.exhibit import BadRequest

    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "refused"]
    try:
        with out.open("w", newline="", encoding="utf-8") as table:
            writer = csv.DictWriter(table, [*columns, "refused"], restval="")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise BadRequest(f"cannot write to {out}: {error.strerror or error}") from None


TELLING = ("homophily_adjusted", "edges_different")  # what most deserves a look, of patch graphs and of hyperedges


def _usual_measure(rows: Sequence[dict[str, Any]]) -> str:
    """The measure by which a table is sorted when nobody says: a telling one of the exhibit's first layer, else its first that can be bad."""
    from explorer.diagnostics.measure import vocabulary

    known = vocabulary()
    found = [key for key in (rows[0] if rows else ()) if key in known]
    usual = [key for key in TELLING if key in found] or [key for key in found if "bad" in known[key]]
    return usual[0] if usual else ""


def _worst_first(key: str) -> Callable[[float | None], tuple[bool, float]]:
    """Sort key of one measure: the bad end of its scale first, what has no value last."""
    from explorer.diagnostics.measure import vocabulary
    from explorer.exhibit import BadRequest

    known = vocabulary()
    if key not in known:
        raise BadRequest(f"there is no measure named {key[:40]!r}; there are {', '.join(known)}")
    watch, bad = known[key].get("watch"), known[key].get("bad")
    sign = 1 if watch is not None and bad is not None and bad < watch else -1
    return lambda value: (value is None or math.isnan(value), sign * (value or 0.0))


# ------------------------------------------------------------------------------------------------------------- output


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on stderr, shown to people only."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar


def _print_usage(many: ManyPictures) -> None:
    """How the hyperedges of each layer are used over all pictures of a folder; nothing where there are none."""
    for name, measures in many.measures().items():
        if measures:
            table = Table(
                "over all pictures", "value", "", title=f"{many.labels[name]} ({name})", title_justify="left", box=None, pad_edge=False
            )
            for m in measures:
                table.add_row(m.name, f"{m.value:.4g}", m.hint)
            _print(table)


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table)


if __name__ == "__main__":
    app()
