"""How the page feels, in numbers: every budget of the interaction, measured in Chromium and on the server.

python -m benchmarks.interaction [--quick] [--only SLUG …]

Browser figures are main-thread CPU milliseconds (CDP Performance, thread ticks), server figures CPU time of the process,
so that a busy machine does not change them much; what is wall time says so, and its miss on a machine with more work than
cores is called busy. Needs Playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Locator, Page, Route, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from rich.console import Console
from rich.table import Table

from benchmarks._made_up import payload
from explorer import service
from explorer.canvas import standalone
from explorer.exhibits import catalogue

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"]
PATIENCE = 120_000  # milliseconds
SIZES = {196: 14, 784: 28, 3136: 56}
HOVER = {196: 4.0, 784: 4.0, 3136: 8.0}
SLIDER = {196: 50.0, 784: 100.0, 3136: 100.0}

# From the first moment of a page: when the first picture stood there, what jumped; and how to wait without polling.
WATCH = """
window.seen = { first: null, shift: 0, loader: 0 };
window.until = (check) => new Promise((done) => {
  const look = () => check() && (watcher.disconnect(), requestAnimationFrame(() => requestAnimationFrame(done)));
  const watcher = new MutationObserver(look);
  watcher.observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
  look();
});
window.frames_of = async (count, act) => {
  for (let i = 0; i < count; i++) {
    act(i);
    await new Promise((done) => requestAnimationFrame(done));
  }
};
window.until(() => document.querySelector('.hs-readout')?.textContent).then(() => (window.seen.first = performance.now()));
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    window.seen.shift += entry.value;
    const names = (entry.sources || []).map((s) => String((s.node && s.node.className) || ''));
    if (names.every((name) => /translucent|eta-bar/.test(name))) window.seen.loader += entry.value;
  }
}).observe({ type: 'layout-shift', buffered: true });
"""


@dataclass(frozen=True)
class Row:
    """One figure against its target (at most; None: no target, for information)."""

    what: str
    figure: float
    unit: str
    target: float | None = None
    detail: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        if self.figure <= self.target:
            return "ok"
        return "busy" if "wall" in self.unit and os.getloadavg()[0] > (os.cpu_count() or 1) else "MISS"


def guarded(what: str, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows of one page. Where the page does not get that far, a row that says so, and the measurement goes on."""
    try:
        yield from rows
    except PlaywrightError as error:
        yield Row(f"{what}: could not be measured", float("inf"), "", 0, str(error).splitlines()[0])


# ------------------------------------------------------------------------------------------------------------- the server


class Server:
    """`python app.py`, or another command that is told its port, in a process of its own, and what it uses."""

    def __init__(self, *command: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = command or ("app.py",)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed in stop
        settings = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(self.port), "GRADIO_ANALYTICS_ENABLED": "False"}
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, *(part.format(port=self.port) for part in command)],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while self.process.poll() is None:
            try:
                with direct().open(f"{self.url}/", timeout=5):
                    break
            except OSError:
                time.sleep(0.05)
        else:
            self.log.seek(0)
            raise SystemExit(f"{' '.join(command)} ended\n{self.log.read()[-2000:]}")
        self.start_wall, self.start_cpu = time.perf_counter() - started, self.cpu()

    def cpu(self) -> float:
        """Seconds of CPU that the process has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Megabytes of memory (resident set) of the process now."""
        line = next(line for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def call(self, slug: str, image: str) -> float:
        """One run through the API; returns how long the answer took in seconds."""
        started = time.perf_counter()
        defaults = [widget["value"] for widget in catalogue()[0][slug].controls.widgets()]
        body = json.dumps({"data": [image, *defaults]}).encode()
        request = urllib.request.Request(f"{self.url}/gradio_api/call/{slug}", body, {"Content-Type": "application/json"})
        with direct().open(request, timeout=120) as answer:
            event = json.load(answer)["event_id"]
        with direct().open(f"{self.url}/gradio_api/call/{slug}/{event}", timeout=120) as stream:
            text = stream.read().decode()
        if "event: complete" not in text:
            raise RuntimeError(f"{slug} answered {text[:200]}")
        return time.perf_counter() - started

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()


def direct() -> urllib.request.OpenerDirector:
    """Opens addresses of this machine without a proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


# ------------------------------------------------------------------------------------------------------------ the browser


class Meter:
    """One page and the CPU of its main thread."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.page.add_init_script(WATCH)
        self.cdp: CDPSession = context.new_cdp_session(self.page)
        self.cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.cdp.send("Network.enable")
        self._bytes: dict[str, float] = {}
        self._unpacked: dict[str, float] = {}
        self.asked: list[str] = []
        self.cdp.on("Network.dataReceived", self._arriving)
        self.cdp.on("Network.loadingFinished", self._arrived)
        self.page.on("request", lambda r: self.asked.append(r.url) if r.url.startswith("http") and "heartbeat" not in r.url else None)

    def _arriving(self, event: dict[str, Any]) -> None:
        for count, size in ((self._bytes, event["encodedDataLength"]), (self._unpacked, event["dataLength"])):
            count[event["requestId"]] = count.get(event["requestId"], 0) + size

    def _arrived(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = event["encodedDataLength"]  # with headers, as it came over the wire

    def received(self) -> float:
        """Kilobytes that came over the wire since the last call; of a stream that broke off uncounted, what it unpacked to."""
        total = sum(size or self._unpacked.get(request, 0) for request, size in self._bytes.items()) / 1000
        self._bytes.clear()
        self._unpacked.clear()
        return total

    def cpu(self) -> float:
        """Milliseconds of CPU that the tasks of the main thread have taken."""
        return next(m["value"] for m in self.cdp.send("Performance.getMetrics")["metrics"] if m["name"] == "TaskDuration") * 1000

    def idle(self, milliseconds: float = 250) -> None:
        self.page.wait_for_timeout(milliseconds)

    def until(self, check: str) -> None:
        """Wait until a condition of the page holds and is drawn, without a poll that would itself cost time."""
        self.page.evaluate(f"() => window.until(() => {check})")

    def quiet(self) -> None:
        """Wait until no run is under way and nothing moves."""
        self.until("document.querySelector('.hs[aria-busy=false] .hs-readout')")
        self.idle(400)

    def per_frame(self, act: str, count: int) -> tuple[float, int]:
        """CPU milliseconds of one act per frame above those of a frame in which nothing happens; requests they made."""
        self.quiet()
        before = self.cpu()
        self.page.evaluate("(n) => window.frames_of(n, () => {})", count)
        self.idle(250)
        resting = self.cpu() - before
        self.asked.clear()
        before = self.cpu()
        self.page.evaluate(f"(n) => window.frames_of(n, {act})", count)
        self.idle(250)
        return max(0.0, self.cpu() - before - resting) / count, len(self.asked)

    def hover(self, selector: str, count: int) -> tuple[float, int]:
        """CPU per pointer move over a canvas, on a path that meets another patch each time."""
        self.page.locator(selector).first.scroll_into_view_if_needed()
        act = f"""(i) => {{
          const canvas = document.querySelector({json.dumps(selector)});
          const box = canvas.getBoundingClientRect();
          const at = (part) => 0.25 + 0.5 * ((i * part) % 1);
          const [clientX, clientY] = [box.left + box.width * at(0.381966), box.top + box.height * at(0.618034)];
          canvas.dispatchEvent(new PointerEvent('pointermove', {{ clientX, clientY, pointerType: 'mouse', bubbles: true }}));
        }}"""
        found = self.per_frame(act, count)
        self.page.evaluate(
            f"() => document.querySelector({json.dumps(selector)}).dispatchEvent(new PointerEvent('pointerleave', {{ pointerType: 'mouse' }}))"
        )
        return found

    def slide(self, label: str, count: int) -> tuple[float, int] | None:
        """CPU per step of a slider that the page answers itself; None where the exhibit has none of this label."""
        slider = self.page.get_by_label(label, exact=True)
        if not slider.count() or not slider.first.is_visible():
            return None
        act = """(i) => {
          const slider = document.querySelector('[data-slid]');
          slider.value = Number(slider.value) + Number(slider.step) * (i % 6 < 3 ? -1 : 1);
          slider.dispatchEvent(new Event('input', { bubbles: true }));
        }"""
        slider.first.evaluate("(e) => e.setAttribute('data-slid', '')")
        found = self.per_frame(act, count)
        slider.first.evaluate("(e) => e.removeAttribute('data-slid')")
        return found

    def layers(self, count: int) -> tuple[float, int]:
        """CPU per change of the layer, by the keys of the picture."""
        act = """(i) => document.querySelector('[data-region=canvas] [role=application]')
          .dispatchEvent(new KeyboardEvent('keydown', { key: i % 4 < 2 ? ']' : '[', bubbles: true }))"""
        return self.per_frame(act, count)

    def update(self, button: Locator, done: str) -> tuple[float, float]:
        """CPU from a click to the last frame of what it brings, above that of the page at rest for as long; and the latter."""
        before, started = self.cpu(), time.perf_counter()
        button.click()
        self.until(done)
        self.idle(400)
        used, lasted = self.cpu() - before, time.perf_counter() - started
        before = self.cpu()
        self.idle(1000 * lasted)
        resting = self.cpu() - before
        return max(0.0, used - resting), resting

    def tabs(self) -> list[str]:
        return [title or "" for title in self.page.get_by_role("tab").all_text_contents()]

    def open_tab(self, title: str) -> None:
        self.page.get_by_role("tab", name=title, exact=True).click()
        self.quiet()
        self.page.mouse.move(2, 2)


@contextmanager
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile with a window of 1400 × 900 pixels: nothing is in its cache."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


# --------------------------------------------------------------------------------------------------------------- the rows

PICTURE = "[data-region=canvas] [role=application]"
PANEL = "[data-region=panels] [role=tabpanel] canvas:not([aria-hidden])"


def payload_sizes(slugs: list[str]) -> Iterator[Row]:
    """What the stored first run of each exhibit weighs: the payload as the canvas reads it."""
    for slug in slugs:
        text = service.trace(slug)
        if text is not None:
            layers = len(json.loads(text)["layers"])
            yield Row(f"{slug}: payload of the first run ({layers} layers)", len(text.encode()) / 1000, "kB", 120, "as the canvas reads it")


def page_loads(browser: Browser, server: Server, slug: str, address: str) -> Iterator[Row]:
    """One cold visit of an exhibit whose server is warm."""
    with profile(browser) as context:
        meter = Meter(context)
        trace = Path(tempfile.mkdtemp()) / "trace.json"
        browser.start_tracing(page=meter.page, path=trace, categories=["toplevel", "disabled-by-default-devtools.timeline"])
        before = meter.cpu()
        meter.page.goto(server.url + address)
        meter.quiet()
        cpu, size = meter.cpu() - before, meter.received()
        browser.stop_tracing()
        seen = meter.page.evaluate("() => window.seen")
        longest = longest_task(json.loads(trace.read_bytes()))
        shutil.rmtree(trace.parent)
        yield Row(f"{slug}: first useful picture after navigation", seen["first"] / 1000, "s wall", 2.5)
        yield Row(f"{slug}: transfer of the page", size, "kB", 700)
        yield Row(f"{slug}: CPU to load the page", cpu, "ms", 900)
        yield Row(f"{slug}: longest task while loading", longest, "ms", 300)
        detail = f"{seen['loader']:.3f} of it by Gradio's own loading screen" if seen["loader"] else ""
        yield Row(f"{slug}: layout shift (CLS)", seen["shift"], "", 0.1, detail)


def longest_task(trace: dict[str, Any]) -> float:
    """CPU milliseconds of the longest task of the page's main thread."""
    events = trace["traceEvents"]
    mains = {(e["pid"], e["tid"]) for e in events if e.get("name") == "thread_name" and e["args"].get("name") == "CrRendererMain"}
    tasks = [
        e.get("tdur", e.get("dur", 0)) for e in events if e.get("ph") == "X" and "RunTask" in e["name"] and (e["pid"], e["tid"]) in mains
    ]
    return max(tasks, default=0) / 1000


def live(browser: Browser, server: Server, slug: str, address: str, count: int, quick: bool) -> Iterator[Row]:
    """Hover, sliders and answers of one exhibit on its own page."""
    with profile(browser) as context:
        meter = Meter(context)
        meter.page.goto(server.url + address)
        meter.quiet()
        patches = patches_of(meter.page)
        size = min((n for n in SIZES if n >= patches), default=3136)
        yield from gestures(meter, f"{slug}, {patches} patches", size, count, quick)
        yield from answers(meter, slug, count)


def gestures(meter: Meter, what: str, size: int, count: int, quick: bool) -> Iterator[Row]:
    """Hover over the picture and the linked views, the layer and the sliders."""
    asked = 0
    cost, n = meter.hover(PICTURE, count)
    asked += n
    yield Row(f"hover on the picture: {what}", cost, "ms", HOVER[size])
    titles = [t for t in meter.tabs() if t not in ("Graph layout", "Attribution", "Experiments")]  # these ask the server when they open
    with_view, on_view = [], []
    for title in [t for t in titles if t == "Matrix"] if quick else titles:
        meter.open_tab(title)
        cost, n = meter.hover(PICTURE, count // 2)
        asked += n
        with_view.append((cost, title))
        if meter.page.locator(PANEL).count():
            cost, _ = meter.hover(PANEL, count // 2)
            on_view.append((cost, title))
    for name, costs in (("hover on the picture, dearest view open", with_view), ("hover on the dearest linked view", on_view)):
        if costs:
            yield Row(f"{name}: {what}", max(costs)[0], "ms", HOVER[size], max(costs)[1])
    meter.open_tab(titles[0])
    cost, n = meter.layers(count)
    asked += n
    yield Row(f"another layer: {what}", cost, "ms", SLIDER[size])
    meter.page.get_by_role("group", name="Layers").get_by_role("button").first.click()
    for label in ("Neighbours k", "Strictness λ"):
        found = meter.slide(label, count)
        if found is None and what.startswith("made up"):  # the last made-up layer has the threshold
            meter.page.get_by_role("group", name="Layers").get_by_role("button").last.click()
            found = meter.slide(label, count)
        if found:
            asked += found[1]
            yield Row(f"slider {label}: {what}", found[0], "ms", SLIDER[size])
    yield from hyperedges(meter, what, size, count)
    yield Row(f"requests during all of this: {what}", asked, "", 0)


TILES = ".hs-strip .hs-tile"


def hyperedges(meter: Meter, what: str, size: int, count: int) -> Iterator[Row]:
    """Of soft hypergraphs: the map of a hyperedge on the picture, and the sliders that change who takes part; elsewhere nothing."""
    if not meter.page.locator(TILES).count():
        return
    act = f"""(i) => {{
      const tiles = document.querySelectorAll({json.dumps(TILES)});
      const pointer = (name) => new PointerEvent(name, {{ pointerType: 'mouse' }});
      tiles[(i + tiles.length - 1) % tiles.length].dispatchEvent(pointer('pointerleave'));
      tiles[i % tiles.length].dispatchEvent(pointer('pointerenter'));
    }}"""
    cost, asked = meter.per_frame(act, count)
    meter.page.evaluate(
        f"() => document.querySelectorAll({json.dumps(TILES)}).forEach((t) => t.dispatchEvent(new PointerEvent('pointerleave')))"
    )
    yield Row(f"hover on a hyperedge: {what}", cost, "ms", HOVER[size])
    for label in ("Temperature", "Hardness", "Chosen hyperedges k", "Offset of the prototypes"):
        found = meter.slide(label, count)
        if found:
            asked += found[1]
            yield Row(f"slider {label}: {what}", found[0], "ms", SLIDER[size])
    own = meter.page.get_by_role("button", name="as the model had it")
    if own.count() and own.first.is_visible():
        own.first.click()
    yield Row(f"requests during hyperedges: {what}", asked, "", 0)


def answers(meter: Meter, slug: str, count: int) -> Iterator[Row]:
    """What an answer of the server costs the page: a new payload, and a small one elsewhere."""
    page = meter.page
    costs, sizes, resting = [], [], []
    for index in (1, 2, 0) * max(1, count // 20):
        meter.quiet()
        meter.received()
        button = page.get_by_role("group", name="Example pictures").get_by_role("button").nth(index)
        done = f"document.querySelectorAll('[aria-label=\"Example pictures\"] button')[{index}].ariaPressed === 'true'"
        used, rest = meter.update(button, done)
        sizes.append(meter.received())
        costs.append(used)
        resting.append(rest)
    layers = page.get_by_role("group", name="Layers").get_by_role("button").count()
    detail = f"all from the click to the last frame, above {statistics.median(resting):.0f} ms of the page at rest"
    yield Row(f"{slug}: canvas update from Python ({layers} layers)", statistics.median(costs), "ms", 60, detail)
    yield Row(f"{slug}: canvas update on the wire", statistics.median(sizes), "kB", 120)
    cut = page.locator("[data-region=prediction]").get_by_role("button", name=re.compile("^(cut|remove|drop|scale)"))
    if not cut.count():
        return
    cut.first.click()
    meter.quiet()
    done = "/before and after/.test(document.querySelector('[data-region=prediction] h3').textContent)"
    used, rest = meter.update(page.get_by_role("button", name="Predict again"), done)
    yield Row(f"{slug}: event elsewhere (cut and predict again)", used, "ms", 60, f"above {rest:.0f} ms of the page at rest")


def bare_update(browser: Browser, slug: str) -> Iterator[Row]:
    """What Gradio alone takes to bring a payload to a page that draws nothing: the part of an update that is not ours."""
    server = Server("-m", "benchmarks._bare_page", "{port}", slug)
    try:
        with profile(browser) as context:
            meter = Meter(context)
            meter.page.goto(server.url)
            button = meter.page.get_by_role("button", name="run", exact=True)
            button.wait_for()
            found = []
            for i in range(5):
                found.append(meter.update(button, f"document.querySelector('p[data-count=\"{i + 1}\"]')"))
        costs, resting = zip(*found[1:], strict=True)  # the first one loads what Gradio loads late
        detail = f"Gradio's own part, for information; above {statistics.median(resting):.0f} ms of the page at rest"
        yield Row(f"{slug}: the same update of a page that draws nothing", statistics.median(costs), "ms", None, detail)
    finally:
        server.stop()


def progress(browser: Browser, server: Server, address: str) -> Iterator[Row]:
    """A run that takes long shows that it runs."""
    with profile(browser) as context:
        meter = Meter(context)
        page = meter.page
        page.goto(server.url + address)
        meter.quiet()
        held: list[Route] = []
        page.route("**/queue/join**", lambda route: held.append(route))
        page.evaluate(
            """() => {
              const bar = document.querySelector('.hs [role=progressbar]');
              const shown = () => { if (!bar.hidden) window.seen.progress = performance.now() - window.seen.click; };
              new MutationObserver(shown).observe(bar, { attributes: true });
              addEventListener('click', () => (window.seen.click = performance.now()), { capture: true, once: true });
            }"""
        )
        page.get_by_role("group", name="Example pictures").get_by_role("button").nth(1).click()
        meter.until("window.seen.progress")
        yield Row(
            "progress shown after", page.evaluate("() => window.seen.progress"), "ms wall", 400, "300 ms, and a frame on a busy machine"
        )
        for route in held:
            route.continue_()


def patches_of(page: Page) -> int:
    """Patches of the layer on show, as its title says ("Block 1 · 16 × 16")."""
    title = page.locator("[aria-label^=Layers] [aria-current=true]").first.get_attribute("title") or ""
    found = [part for part in title.replace(",", " ·").split(" · ") if " × " in part]
    rows, _, cols = (found[0] if found else "16 × 16").partition(" × ")
    return int(rows.split()[-1]) * int(cols.split()[0])


def made_up(browser: Browser, patches: int, count: int, quick: bool) -> Iterator[Row]:
    """The canvas alone at a given size, on a page without a server, and how dear a payload is for it."""
    layers = {196: 10, 784: 3, 3136: 1}[patches]  # and two of another kind
    text = json.dumps(payload(SIZES[patches], layers), ensure_ascii=False, separators=(",", ":"))
    what = f"made up, {patches:,} patches"
    with profile(browser) as context, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(
            standalone(text).replace("Hyperscope.mount(", "window.view = Hyperscope.mount(").replace("\n  .show(", "\nwindow.view.show("),
            encoding="utf-8",
        )
        meter = Meter(context)
        meter.page.goto(file.as_uri())
        meter.quiet()
        yield from gestures(meter, what, patches, count, quick)
        if patches == 196:
            show = "(text) => new Promise((done) => { window.view.show(text); requestAnimationFrame(() => requestAnimationFrame(done)); })"
            before = meter.cpu()
            for _ in range(5):
                meter.page.evaluate(show, text)
            cost = (meter.cpu() - before) / 5
            yield Row(f"canvas update, {what} × {layers + 2} layers", cost, "ms", 60, "without Gradio")
            bare = re.sub(r"data:image/[^\"]+", "", text).encode()
            detail = f"without the pictures, as it travels; {len(bare) / 1000:.0f} kB of text"
            yield Row(f"payload, {what} × {layers + 2} layers", len(gzip.compress(bare, 6)) / 1000, "kB", 120, detail)


def model_controls(slug: str, count: int) -> Iterator[Row]:
    """What the server does when a control of the model changes: run, diagnose, pack; CPU time on one thread."""
    import torch

    torch.set_num_threads(1)  # a second thread that waits for the first would count as work
    exhibit = service.exhibit(slug)
    changes = [{w["name"]: v} for w in exhibit.controls.widgets() if not w.get("advanced") for v in values_of(w)]
    source = service.example(exhibit.example)
    service.run(slug, source, exhibit.controls.parse({}))
    cpu, wall = [], []
    for i in range(count):
        controls = exhibit.controls.parse(changes[i % len(changes)])
        started, used = time.perf_counter(), time.process_time()
        service.run(slug, source, controls)
        wall.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (time.process_time() - used))
    detail = f"wall {statistics.median(wall):.0f} ms"
    yield Row(f"{slug}: model control, median", statistics.median(cpu), "ms", 200, detail)
    yield Row(f"{slug}: model control, p95", quantile(cpu, 0.95), "ms", 500, f"wall {quantile(wall, 0.95):.0f} ms")


def values_of(widget: dict[str, Any]) -> list[Any]:
    if widget["kind"] == "choice":
        return list(widget["options"])
    return [True, False] if widget["kind"] == "switch" else [widget["min"], widget["value"], widget["max"]]


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def ten_visitors(browser: Browser, server: Server, exhibits: dict[str, str], count: int) -> Iterator[Row]:
    """Ten ask for a run at once, while an eleventh points at patches."""
    slugs = list(exhibits)
    times: list[float] = []

    def visit(i: int) -> None:
        times.append(server.call(slugs[i % len(slugs)], ("bear", "cat", "apples")[i % 3]))

    with profile(browser) as context:
        meter = Meter(context)
        meter.page.goto(server.url + exhibits[slugs[0]])
        meter.quiet()
        before = server.cpu()
        visitors = [threading.Thread(target=visit, args=(i,)) for i in range(10)]
        for visitor in visitors:
            visitor.start()
        cost, _ = meter.hover(PICTURE, count)
        for visitor in visitors:
            visitor.join()
        cpu = server.cpu() - before
    failed = 10 - len(times)
    detail = f"{cpu:.1f} s CPU in all" + (f", {failed} failed" if failed else "")
    yield Row("10 visitors, one run each: the last answer", max(times) if not failed else float("inf"), "s wall", 5, detail)
    yield Row("hover of another visitor meanwhile", cost, "ms", 100)


# ------------------------------------------------------------------------------------------------------------------- main


def measure(quick: bool, only: list[str]) -> Iterator[Row]:
    exhibits = {slug: e.describe()["address"] for slug, e in catalogue()[0].items() if slug in (only or [slug])}
    count = 16 if quick else 40
    yield from payload_sizes(list(exhibits))
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    server = Server()
    try:
        yield Row("server: CPU from start to first page", server.start_cpu, "s", 10)
        yield Row("server: from start to first page", server.start_wall, "s wall", 10)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
            with profile(browser) as context:  # every exhibit once: models are loaded, as on a server that has been visited
                page = context.new_page()
                for address in exhibits.values():
                    page.goto(server.url + address)
                    page.wait_for_selector(".hs-readout")
                    page.wait_for_selector(".hs[aria-busy=false]")
            for slug in exhibits:
                server.call(slug, "bear")
            yield Row("server: memory, every exhibit opened and run once", server.memory(), "MB", 1200)
            for slug, address in exhibits.items():
                yield from guarded(slug, page_loads(browser, server, slug, address))
            for slug, address in exhibits.items():
                yield from guarded(slug, live(browser, server, slug, address, count, quick))
            for slug in exhibits:
                if service.trace(slug):
                    yield from guarded(slug, bare_update(browser, slug))
                    break
            yield from guarded("progress", progress(browser, server, next(iter(exhibits.values()))))
            for patches in SIZES:
                yield from guarded(f"made up, {patches} patches", made_up(browser, patches, count, quick))
            yield from guarded("10 visitors", ten_visitors(browser, server, exhibits, count))
            yield Row("server: memory at the end", server.memory(), "MB", 1200)
            browser.close()
    finally:
        server.stop()
    for slug in exhibits:
        yield from model_controls(slug, 8 if quick else 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, and only the matrix of the linked views")
    parser.add_argument("--only", nargs="+", default=[], metavar="SLUG", choices=list(catalogue()[0]), help="these exhibits instead of all")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    progress_to = Console(stderr=True)
    table = Table("what", "figure", "target", "ok", "", box=None, pad_edge=False)
    rows = []
    for row in measure(args.quick, args.only):
        rows.append(row)
        digits = 3 if row.unit == "" and row.figure % 1 else 1 if row.figure < 100 else 0
        figure, target = f"{row.figure:,.{digits}f} {row.unit}".strip(), "" if row.target is None else f"≤ {row.target:g}"
        table.add_row(row.what, figure, target, row.verdict, row.detail)
        if sys.stderr.isatty():
            progress_to.print(f"{row.what}: {figure}", style="dim")
    console = Console() if sys.stdout.isatty() else Console(width=170)
    console.print(table)
    aimed = [row for row in rows if row.target is not None]
    console.print(
        f"{sum(row.verdict == 'ok' for row in aimed)} of {len(aimed)} within target; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
