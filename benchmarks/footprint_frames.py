"""Frames a second of the footprint chart: `python -m benchmarks.footprint_frames [--bars N] [--levels N] [--seconds N]`.

The chart's own modules are opened in headless Chromium with made-up bars, then panned and zoomed by a script through its whole
range; told are frames a second as the browser paints them, and how long one frame took to draw.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "src" / "sovereign" / "app" / "dashboard" / "page"

SCRIPT = """
async ([bars, levels, seconds]) => {
  const { Footprint } = await import('/footprint.js');
  let seed = 1;
  const next = (most) => (seed = (seed * 16807) % 2147483647) % most;
  let middle = 20000, sum = 0;
  const made = Array.from({ length: bars }, (_, index) => {
    middle += next(11) - 5;
    const low = middle - Math.floor(levels / 2);
    const cells = Array.from({ length: levels }, (_, at) => [low + at, next(900), next(900), next(9) ? 0 : next(2) ? 1 : -1]);
    const delta = cells.reduce((total, one) => total + one[2] - one[1], 0);
    sum += delta;
    const pattern = { name: 'BUYING_EXHAUSTION', side: -1, ticks: low, strength: 1, confidence: 1, gate: 'PASSED' };
    return {
      index, is_open: false, open_ms: 1.7e12 + index * 3e5, close_ms: 1.7e12 + (index + 1) * 3e5, low,
      open: low + next(levels), close: low + next(levels), high: low + levels - 1, volume: 20000, trades: 900, delta,
      cumulative_delta: sum, poc: middle, value_area_low: middle - 8, value_area_high: middle + 8, vwap: middle, regime: null,
      cells, patterns: next(4) ? [] : [pattern],
    };
  });
  const chart = new Footprint({});
  document.getElementById('place').append(chart.element);
  chart.set(made, { tick_size: 0.25, precision: 2 }, 'America/New_York');
  const took = [];
  const paint = chart._paint.bind(chart);
  chart._paint = () => { const begin = performance.now(); paint(); took.push(performance.now() - begin); };
  await new Promise((resolve) => setTimeout(resolve, 400));
  const phase = async (act) => {
    took.length = 0;
    let frames = 0;
    const begin = performance.now();
    while (performance.now() - begin < seconds * 1000) {
      act(frames);
      await new Promise((resolve) => requestAnimationFrame(resolve));
      frames += 1;
    }
    const fps = frames / ((performance.now() - begin) / 1000);
    const sorted = [...took].sort((a, b) => a - b);
    return { fps, frames, draw_p50_ms: sorted[sorted.length >> 1], draw_p99_ms: sorted[Math.floor(sorted.length * 0.99)] };
  };
  const pan = await phase((at) => chart.pan(Math.floor(at / 60) % 2 ? 0.7 : -0.7, at % 7 ? 0 : 0.5));
  const zoom = await phase((at) => chart.zoom(Math.floor(at / 70) % 2 ? 1.045 : 1 / 1.045, 500));
  chart.fitAll();
  const whole = await phase((at) => chart.pan(Math.floor(at / 60) % 2 ? 1.5 : -1.5));
  return { pan, zoom, whole };
}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        if self.path == "/":
            body = (
                b'<!doctype html><html data-theme="dark"><link rel="stylesheet" href="/style.css"><div id="place"></div></html>'
            )
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        super().do_GET()


def measure(bars: int, levels: int, seconds: float) -> dict[str, Any]:
    """Draw and return the figures of each phase."""
    from playwright.sync_api import sync_playwright

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(PAGE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            found: dict[str, Any] = page.evaluate(SCRIPT, [bars, levels, seconds])
            browser.close()
    finally:
        server.shutdown()
    return {"bars": bars, "levels": levels, **found, "load_average": os.getloadavg()[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=500)
    parser.add_argument("--levels", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    print(json.dumps(measure(given.bars, given.levels, given.seconds), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
