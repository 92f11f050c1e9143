"""The pages: a gallery, one route per wing, and in it any exhibit by its own address (`/image-graphs?exhibit=vig`)."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse
from gradio.route_utils import FnIndexInferError
from PIL import Image
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from explorer import examples, runtime, service
from explorer.canvas import UPLOADING, Mailbox, Stage, answer, lost, style
from explorer.exhibit import BadRequest, Exhibit, Wing
from explorer.exhibits import catalogue, of_wing
from explorer.gallery import Gallery, header
from explorer.intake import IntakeError, read_image
from explorer.wire import Wire, script_address

ASSETS = Path(__file__).parent.parent / "assets"
MAX_UPLOAD = "8mb"
STUMBLES = (FnIndexInferError, KeyError, TypeError, ValueError, AttributeError, RecursionError)
log = logging.getLogger("hyperscope")

UNREADABLE = "This call cannot be read: a part is missing, or a file is named that was not uploaded. The page “Use via API” shows what each call takes."
TOO_LONG = "Something went wrong on our side; your picture and settings are kept. Please try once more, or choose another example."


class Pages(gr.Blocks):
    """The site. What Gradio itself cannot read is refused in words too, instead of an empty error and a traceback."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *rest: Any, **named: Any) -> Any:
        try:
            if _names_address(inputs):
                raise gr.Error("Pictures are not fetched from addresses: please upload yours.", print_exception=False)
            return await super().preprocess_data(block_fn, inputs, *rest, **named)
        except gr.Error:
            raise
        except Exception as error:
            log.warning("a call could not be read: %s", type(error).__name__)
            raise gr.Error(UNREADABLE, print_exception=False) from None


class NoErrands:
    """Refuses paths that hold an address: for `file=https://…` Gradio would fetch it, for anybody."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        errand = scope["type"] == "http" and "://" in scope["path"]
        await (JSONResponse({"detail": "Not Found"}, 404) if errand else self.app)(scope, receive, send)


def _names_address(value: Any) -> bool:
    """True when a file is to be fetched from an address, which Gradio would do for anybody."""
    if isinstance(value, Mapping):
        return "://" in str(value.get("path")) or any(map(_names_address, value.values()))
    return isinstance(value, list) and any(map(_names_address, value))


async def _unreadable(request: Request, error: Exception) -> JSONResponse:
    """The answer to an address or a body that Gradio's own routes stumble over."""
    log.warning("a request could not be read: %s", type(error).__name__)
    return JSONResponse({"detail": UNREADABLE}, 404 if isinstance(error, (FnIndexInferError, KeyError)) else 400)


def build() -> gr.Blocks:
    """All pages. Call `launch` on the result, or mount it."""
    Image.MAX_IMAGE_PIXELS = 25_000_000
    with Pages(title="Hyperscope", analytics_enabled=False, delete_cache=(600, 1800)) as demo:
        header(None)
        Gallery()
        for exhibit in catalogue()[0].values():
            _endpoint(exhibit)
    for wing in Wing:
        if of_wing(wing):
            _wing_page(demo, wing)
    return demo


def launch(demo: gr.Blocks, **settings: Any) -> Any:
    """Start the server with the limits that a public page needs."""
    demo.queue(default_concurrency_limit=4, max_size=32, api_open=False)  # nobody passes the queue by
    return demo.launch(
        theme=theme(),
        css=style() + (ASSETS / "site.css").read_text(encoding="utf-8"),
        show_error=False,
        max_file_size=MAX_UPLOAD,
        enable_monitoring=False,
        allowed_paths=[],
        state_session_capacity=200,
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        favicon_path=str(ASSETS / "icon.svg"),
        app_kwargs={"exception_handlers": dict.fromkeys(STUMBLES, _unreadable), "middleware": [Middleware(NoErrands), Middleware(Wire)]},
        **settings,
    )


def theme() -> gr.themes.Base:
    """Quiet greys, one blue, the fonts of the visitor's system (nothing is downloaded)."""
    system = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    return gr.themes.Base(
        primary_hue=gr.themes.colors.blue, neutral_hue=gr.themes.colors.slate, font=system, font_mono=["ui-monospace", "Menlo", "monospace"]
    )


# ----------------------------------------------------------------------------------------------------------- the pages


class PictureDoor(gr.Image):
    """Upload, paste or webcam. The file goes unopened to the intake, so that every refusal is a sentence of ours."""

    def preprocess(self, payload: Any) -> str | None:
        """The path of the upload (Gradio has made sure that it lies in its own cache), or None."""
        return None if payload is None or payload.path is None else str(payload.path)

    def get_block_name(self) -> str:
        return "image"


def _wing_page(demo: gr.Blocks, wing: Wing) -> None:
    with demo.route(wing.title, f"/{wing.slug}", show_in_navbar=False):
        header(wing)
        scripts = f'<script src="./{script_address(wing.slug)}"></script>'
        stage = Stage(elem_id="hs-stage", head=scripts, server_functions=[service.look_up])
        mailbox, ticker = Mailbox(), Mailbox()  # letters of a stream must not push others out of the box
        intake = PictureDoor(
            sources=["upload", "webcam", "clipboard"],
            label="Your picture",
            placeholder="Drop, paste or shoot your own",
            elem_id="hs-intake",
            height=120,
            show_label=False,
            buttons=[],
        )
        # Gradio's own progress runs a clock at every frame on each output, hidden or not, after a load for ever: it gets nothing to run on.
        quiet: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
        demo.load(_opener(wing), None, [stage], queue=False, **quiet)
        model: dict[str, Any] = {**quiet, "concurrency_id": runtime.MODEL_QUEUE, "concurrency_limit": runtime.MODEL_WORKERS}
        # The stage itself holds questions back: Gradio's "always_last" would send the data of the first one again.
        ran = stage.run(_asked_run, None, [stage, mailbox], trigger_mode="multiple", **model)
        ran.failure(None, None, None, js=lost("run"), queue=False, api_visibility="private")
        for name, ask in (
            ("cut", service.cut),
            ("layout", service.lay_out),
            ("attribution", service.attribution),
            ("bundle", service.bundle),
            ("experiment", service.experiment),
            ("ask", service.ask),
        ):
            asked = getattr(stage, name)(_asker(name, ask), None, [mailbox], trigger_mode="multiple", **model)
            asked.failure(None, None, None, js=lost(name), queue=False, api_visibility="private")
        live = stage.live(_streamed, None, [ticker], trigger_mode="multiple", **quiet, **STREAMS)
        live.failure(None, None, None, js=lost("stream"), queue=False, api_visibility="private")
        stage.halt(_halted, None, None, trigger_mode="multiple", queue=False, **quiet)
        intake.input(None, [intake], None, js=UPLOADING, queue=False, **quiet)
        loaded = intake.input(_uploader(wing), [intake, stage], [stage, mailbox, intake], trigger_mode="always_last", **model)
        loaded.failure(None, None, None, js=lost("upload"), queue=False, api_visibility="private")


def _opener(wing: Wing) -> Callable[[gr.Request], str]:
    def open_page(request: gr.Request) -> str:
        asked = dict(request.query_params)
        shown = of_wing(wing)
        slug = asked.get("exhibit", shown[0].slug)
        notices = [] if slug in {e.slug for e in shown} else [f"There is no exhibit named {slug[:40]!r} here."]
        slug = slug if not notices else shown[0].slug
        try:
            with runtime.STEPS.kept(opening(asked.get("exhibit", ""), asked.get("s", ""))):
                return service.opened(slug, asked.get("s"), notices)
        except BadRequest as error:
            raise gr.Error(_capital(str(error)), print_exception=False) from None

    return open_page


def opening(exhibit: str, link: str) -> str:
    """The name under which a page that opens asks how far its run is; the page makes it from its own address (mount.js)."""
    return f"open {exhibit[:40]} {link[-60:]}"


def _asked_run(event: gr.EventData) -> tuple[Any, Any]:
    """The page asks for a run: an example or the picture of an earlier run, with controls."""
    data = _data(event)

    def work() -> str:
        exhibit = service.exhibit(data.get("exhibit"))
        controls = exhibit.controls.parse(data.get("controls"))
        look = data.get("look") if isinstance(data.get("look"), Mapping) else None
        with runtime.STEPS.kept(data.get("token")):
            return service.run(exhibit.slug, service.asked_source(data), controls, look, request=_number(data))

    text, refusal = _guarded(work)
    return (gr.skip() if text is None else text), (
        gr.skip() if refusal is None else answer("refusal", request=_number(data), message=refusal)
    )


STREAMS: dict[str, Any] = {"concurrency_id": runtime.STREAM_QUEUE, "concurrency_limit": runtime.STREAM_WORKERS}


def _streamed(event: gr.EventData) -> Iterator[str]:
    """Every answer of a stream as a letter to the stage. Gradio closes the generator when the visitor leaves."""
    data = _data(event)
    run, request, token = data.get("run"), _number(data), data.get("token")
    letters = service.stream(data, lambda: runtime.BELLS.rung(token))
    try:
        while True:
            found, refusal = _guarded(lambda: next(letters, None))
            if refusal is not None:
                yield answer("refusal", request=request, of="stream", message=refusal)
            if found is None:
                return
            yield answer("stream", run=run if isinstance(run, str) and run.isascii() else None, request=request, **found)
    finally:
        letters.close()


def _halted(event: gr.EventData) -> None:
    """The visitor wants a stream to end."""
    runtime.BELLS.ring(_data(event).get("token"))


def _asker(kind: str, ask: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[gr.EventData], str]:
    def asked(event: gr.EventData) -> str:
        data = _data(event)
        found, refusal = _guarded(lambda: ask(data))
        if found is None:
            return answer("refusal", request=_number(data), of=kind, message=refusal)
        run = data.get("run")
        return answer(kind, run=run if isinstance(run, str) and run.isascii() else None, request=_number(data), **found)

    asked.__name__ = f"asked_{kind}"
    return asked


def _uploader(wing: Wing) -> Callable[[str | None, str | None], tuple[Any, Any, Any]]:
    def uploaded(path: str | None, payload: str | None) -> tuple[Any, Any, Any]:
        """A picture was dropped: through the intake, then shown in the present exhibit with its present controls."""
        if path is None:
            return gr.skip(), gr.skip(), gr.skip()
        slug, settings, run = _present(payload, of_wing(wing)[0].slug)

        def work() -> str:
            photo = read_image(path)
            if not service.exhibit(slug).pictures:
                raise BadRequest("this exhibit takes no picture")
            source = service.visitors(examples.shown_square(photo), photo.notes)
            with runtime.STEPS.kept(f"upload {run}"):
                return service.run(slug, source, service.exhibit(slug).controls.parse(settings))

        text, refusal = _guarded(work)
        if text is None:
            return gr.skip(), answer("refusal", request=None, message=refusal), None
        return text, gr.skip(), None

    return uploaded


def _present(payload: str | None, default: str) -> tuple[str, Mapping[str, Any], Any]:
    """Which exhibit, controls and run the page shows now, as its own payload says."""
    try:
        found = json.loads(payload or "")
        return service.exhibit(found["exhibit"]["slug"]).slug, dict(found["controls"]["values"]), found.get("run")
    except (ValueError, TypeError, KeyError, RecursionError):
        return default, {}, None


def _guarded(work: Callable[[], Any]) -> tuple[Any, str | None]:
    """(result, None) or (None, a sentence for the visitor). Nothing else ever reaches the page."""
    try:
        return work(), None
    except (BadRequest, IntakeError) as error:
        return None, _capital(str(error))
    except Exception:
        log.exception("a run failed")
        return None, TOO_LONG


def _data(event: gr.EventData) -> Mapping[str, Any]:
    found = getattr(event, "_data", None)
    return found if isinstance(found, Mapping) else {}


def _number(data: Mapping[str, Any]) -> int | None:
    """The number of the question, which the answer carries back."""
    request = data.get("request")
    return request if type(request) is int and abs(request) < 2**53 else None


def _capital(sentence: str) -> str:
    sentence = sentence[:1].upper() + sentence[1:]
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."


# ------------------------------------------------------------------------------------------------------------- the API


def _endpoint(exhibit: Exhibit) -> None:
    """A named endpoint `/<slug>` whose parameters are the exhibit's controls, and the picture where it takes one."""

    def call(image: str | None, **controls: Any) -> dict[str, Any]:
        found, refusal = _guarded(lambda: service.answer_api(exhibit.slug, image, controls))
        if found is None:
            raise gr.Error(refusal or TOO_LONG, print_exception=False)
        return found

    widgets = exhibit.controls.model_fields
    kinds = {name: _api_type(field.annotation) for name, field in widgets.items()}
    parameters = []
    if exhibit.pictures:
        parameters.append(inspect.Parameter("image", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str, default=exhibit.example))
    parameters += [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kinds[name], default=field.default)
        for name, field in widgets.items()
    ]

    def endpoint(*values: Any) -> dict[str, Any]:
        given = dict(zip([p.name for p in parameters], values, strict=False))
        return call(given.pop("image", None), **given)

    endpoint.__name__ = exhibit.slug
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation=dict)  # type: ignore[attr-defined]
    endpoint.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": dict}
    lines = [f"    {name}: {field.description}" for name, field in widgets.items()]
    if exhibit.pictures:
        lines = [
            f"    image: name of a shipped example ({', '.join(examples.examples())}), "
            "or the bytes of a PNG, JPEG, WebP, BMP or GIF picture in base64 (a data URI is fine), at most 8 MB.",
            *lines,
        ]
    endpoint.__doc__ = f"{exhibit.title}: {exhibit.idea}\n\nArgs:\n" + "\n".join(lines)
    gr.api(
        endpoint,
        api_name=exhibit.slug,
        api_description=endpoint.__doc__,
        concurrency_id=runtime.MODEL_QUEUE,
        concurrency_limit=runtime.MODEL_WORKERS,
    )


def _api_type(kind: Any) -> type:
    """Words travel as text; the exhibit's own controls check which words."""
    return kind if kind in (int, float, bool) else str
