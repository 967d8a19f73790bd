// Draws every chart from the JSON beside it. Colours in the JSON are the style sheet's variables, looked up here, so that
// a chart follows light and dark.
(() => {
  "use strict";

  const config = { displayModeBar: false, responsive: true, displaylogo: false, scrollZoom: false };

  function coloured(value, style) {
    if (typeof value === "string") {
      const match = /^var\((--[\w-]+)\)$/.exec(value);
      return match ? style.getPropertyValue(match[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => coloured(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
    }
    return value;
  }

  function draw(drawing) {
    const source = drawing.parentElement.querySelector("script[type='application/json']").textContent;
    const figure = coloured(JSON.parse(source), getComputedStyle(document.documentElement));
    return Plotly.react(drawing, figure.data, figure.layout, config);
  }

  function drawAll() {
    document.querySelectorAll(".drawing").forEach(draw);
  }

  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
