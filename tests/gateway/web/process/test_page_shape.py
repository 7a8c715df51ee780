"""The page in a real browser: widths and contrast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[[Any], Any]


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_width_scrolls_sideways(plant: Any, open_page: Open, width: int) -> None:
    plant.language = "zh"
    plant.name = "A plant with a very long name that somebody once wrote into its configuration"
    plant.fill_ledger(minutes=5)
    plant.write_uplink()
    plant.powers["main-1"] = 12_345_678.9
    plant.write_live()
    page = open_page(plant)
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.until(lambda: page.text("#tile-power") == "12,346")
        inner = page.driver.execute_script("return document.documentElement.clientWidth")
        assert inner == width
        assert page.driver.execute_script("return document.documentElement.scrollWidth") == width
        cut = page.driver.execute_script(
            "return [...document.querySelectorAll('.meters .number, .figure')]"
            ".filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')"
            ".map((e) => e.innerText)"
        )
        assert cut == []
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(
    plant: Any, chromium: Any, open_page: Open, scheme: str
) -> None:
    plant.fill_ledger(minutes=5)
    plant.write_uplink()
    plant.silent = {"oven": 95_000}
    plant.write_live()
    feature = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    try:
        page = open_page(plant)
        page.until(lambda: page.row("oven")[0].endswith("silent"))
        assert page.driver.execute_script(CONTRAST, scheme) == []
    finally:
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


# WCAG 2 relative luminance; 4.5 for text, 3 for figures that are greyed out on purpose.
CONTRAST = """
const lum = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c.slice(0, 3);
  }
  return arguments[0] === "dark" ? [0, 0, 0] : [255, 255, 255];
};
const poor = [];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getClientRects().length || e.closest(".visually-hidden, noscript")) continue;
  const [a, b] = [lum(parse(getComputedStyle(e).color).slice(0, 3)), lum(behind(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const floor = e.closest(".silent, .meters th small") ? 3 : 4.5;
  if (ratio < floor) poor.push(`${e.tagName}.${e.className} ${e.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
}
return poor;
"""
