// Charts of what a server does. The series come as columns from the API; on the metrics page, new samples as events named
// "sample" of its stream. The small ones of the overview have no controls, and are asked for anew every minute.
(() => {
  const root = document.querySelector("[data-charts]");
  if (!root || typeof uPlot === "undefined") return;

  const HEIGHT_PX = Number(root.dataset.height);
  const [SECONDS_AGAIN, LIVE_UP_TO_S, DAY_S] = [60, 6 * 3600, 24 * 3600];
  const POWERS = Array.from({ length: 44 }, (_item, at) => 2 ** at);
  const range = Number(root.dataset.range);
  const empty = document.querySelector("[data-charts-empty]");
  const chosen = document.querySelector("[data-chart-range]");
  const boxes = [...document.querySelectorAll("[data-chart-marks] input")];
  const COLOURS = ["--accent", "--bad", "--warn"];
  const MARKS = { deploy: "--ok", build: "--accent", restart: "--warn", crash: "--bad", error: "--bad" };
  const NAMES = {
    calls: "Calls", errors: "Errors", p50_ms: "p50", p90_ms: "p90", p99_ms: "p99", cpu_percent: "Processor",
    memory_bytes: "Memory", received_bytes_per_s: "Received", sent_bytes_per_s: "Sent",
  };
  let [charts, shown] = [[], null];

  // A canvas knows no custom properties and no light-dark(): an element is asked what the colour is now.
  function colour(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    root.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function amount(value, unit) {
    if (value == null) return "–";
    if (!unit) return value.toLocaleString("en");
    if (unit === "ms" && value >= 1000) return amount(value / 1000, "s");
    if (!unit.startsWith("bytes")) return `${Number(value.toPrecision(3))} ${unit}`;
    let [at, steps] = [0, ["B", "KiB", "MiB", "GiB"]];
    while (value >= 1024 && at < steps.length - 1) { value /= 1024; at += 1; }
    return `${Number(value.toPrecision(3))} ${steps[at]}${unit.slice(5)}`;
  }

  // 14:05, and the day where the window has several.
  function moment(seconds) {
    const text = new Date(seconds * 1000).toLocaleString("sv");
    return range > DAY_S ? text.slice(5, 10) : text.slice(11, 16);
  }

  function drawMarks(plot) {
    const hidden = boxes.filter((item) => !item.checked).map((item) => item.value);
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const mark of shown.marks) {
      if (hidden.includes(mark.kind)) continue;
      const x = Math.round(plot.valToPos(Date.parse(mark.at) / 1000, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = colour(MARKS[mark.kind]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  // Values without a neighbour: no line would show them.
  function alone(plot, series) {
    const values = plot.data[series];
    return values.flatMap((value, at) => (value != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));
  }

  function options(place, columns, unit) {
    const [ink, line] = [colour("--ink-2"), colour("--line")];
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const bytes = unit.startsWith("bytes");
    return {
      width: place.clientWidth,
      height: HEIGHT_PX,
      cursor: { sync: { key: "metrics" }, drag: { x: true, y: false } },
      scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, font, ...(chosen ? {} : { size: 30 }), values: (_plot, ticks) => ticks.map(moment) },
        { ...axis, font, size: 64, space: HEIGHT_PX / 6, ...(bytes ? { incrs: POWERS } : {}), values: (_plot, ticks) => ticks.map((tick) => amount(tick, unit)) },
      ],
      series: [
        { label: "Time", value: (_plot, value) => (value == null ? "–" : new Date(value * 1000).toLocaleString("sv")) },
        ...columns.map((name, at) => ({
          label: NAMES[name],
          stroke: colour(COLOURS[at]),
          width: 1.5,
          spanGaps: false,
          points: { show: true, size: 4, filter: alone },
          value: (_plot, value, _series, at) => amount(at == null && !chosen ? resting(name, unit) : value, unit),
        })),
      ],
      hooks: { draw: [drawMarks] },
    };
  }

  // What the legend of a small chart says while nothing is pointed at: the sum of counts, else what is newest.
  function resting(name, unit) {
    const values = shown[name].filter((value) => value != null);
    return unit ? values.at(-1) : values.reduce((sum, value) => sum + value, 0);
  }

  function draw() {
    for (const chart of charts) chart.destroy();
    const known = shown.memory_bytes.some((value) => value != null) || shown.calls.some((value) => value > 0);
    empty.hidden = known;
    root.hidden = !known;
    charts = (known ? [...root.querySelectorAll("[data-chart]")] : []).map((place) => {
      const columns = place.dataset.chart.split(" ");
      return new uPlot(options(place, columns, place.dataset.unit), [shown.at, ...columns.map((name) => shown[name])], place);
    });
  }

  async function load() {
    const from = new Date(Date.now() - range * 1000).toISOString();
    const answer = await fetch(`${root.dataset.charts}?since=${encodeURIComponent(from)}`);
    if (!answer.ok) return;
    shown = await answer.json();
    draw();
  }

  function now(sample) {
    for (const [name, text] of [["cpu", amount(sample.cpu_percent, "%")], ["memory", amount(sample.memory_bytes, "bytes")]]) {
      const place = document.querySelector(`[data-now="${name}"]`);
      if (place) place.textContent = text;
    }
  }

  let due = 0;
  document.addEventListener("sample", (event) => {
    now(JSON.parse(event.detail.data));
    if (range > LIVE_UP_TO_S || document.hidden || Date.now() < due) return;
    due = Date.now() + (range > 3600 ? SECONDS_AGAIN * 1000 : 0);
    load();
  });
  if (chosen) chosen.addEventListener("change", () => chosen.form.requestSubmit());
  else setInterval(() => document.hidden || load(), SECONDS_AGAIN * 1000);
  for (const box of boxes) box.addEventListener("change", () => charts.forEach((chart) => chart.redraw()));
  new ResizeObserver(() => {
    for (const chart of charts) chart.setSize({ width: chart.root.parentElement.clientWidth, height: HEIGHT_PX });
  }).observe(root);
  new MutationObserver(() => shown && draw()).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shown && draw());
  load();
})();
