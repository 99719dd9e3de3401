// Scores over time: one small chart an element, whose data-trend holds [[seconds, …], [percent, …]].
(() => {
  const places = [...document.querySelectorAll("[data-trend]")];
  if (!places.length || typeof uPlot === "undefined") return;

  const HEIGHT_PX = 140;
  let charts = [];

  // A canvas knows no custom properties: an element is asked what the colour is now.
  function colour(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function options(place) {
    const [ink, line] = [colour("--ink-2"), colour("--line")];
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    return {
      width: place.clientWidth,
      height: HEIGHT_PX,
      scales: { y: { range: [0, 105] } },
      axes: [
        { ...axis, font, values: (_plot, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleString("sv").slice(5, 16)), space: 90 },
        { ...axis, font, size: 48, values: (_plot, ticks) => ticks.map((tick) => `${tick} %`) },
      ],
      series: [
        { label: "Run", value: (_plot, value) => (value == null ? "–" : new Date(value * 1000).toLocaleString("sv")) },
        { label: "Score", stroke: colour("--accent"), width: 1.5, points: { show: true, size: 5 }, value: (_plot, value) => (value == null ? "–" : `${value} %`) },
      ],
    };
  }

  function draw() {
    for (const chart of charts) chart.destroy();
    charts = places.map((place) => new uPlot(options(place), JSON.parse(place.dataset.trend), place));
  }

  addEventListener("resize", () => charts.forEach((chart, at) => chart.setSize({ width: places[at].clientWidth, height: HEIGHT_PX })));
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
