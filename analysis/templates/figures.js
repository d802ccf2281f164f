"use strict";
// Figures are drawn when they come near, in the page's own colours, and again when those change.
(() => {
  const style = getComputedStyle(document.documentElement);
  const resolve = (value) => {
    if (typeof value === "string") {
      return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) return value.map(resolve);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner)]));
    }
    return value;
  };
  const config = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
  const drawn = new Set();
  const draw = (plot) => {
    const source = document.querySelector(`script[data-for="${plot.dataset.figure}"]`);
    const { data, layout } = resolve(JSON.parse(source.textContent));
    drawn.add(plot);
    return Plotly.react(plot, data, layout, config).then(() => { plot.dataset.drawn = "true"; });
  };
  const plots = [...document.querySelectorAll(".plot")];
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
    }
  }, { rootMargin: "600px" });
  plots.forEach((plot) => near.observe(plot));
  document.addEventListener("theme", () => drawn.forEach(draw));
  addEventListener("beforeprint", () => plots.forEach((plot) => drawn.has(plot) || draw(plot)));
})();
(() => {
  const button = document.getElementById("copy");
  if (!button) return;
  button.addEventListener("click", async () => {
    const code = document.getElementById("command");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  });
})();
