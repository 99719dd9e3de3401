// The log view. Lines come as events named "log" of the page's one stream: {reset, lines: [{n, at, stream, text}]}.
(() => {
  const MAX_LINES = 5000;
  const NEAR_END_PX = 40;

  const bar = document.querySelector("[data-log-bar]");
  const log = bar && document.querySelector(bar.dataset.logBar);
  if (!log) return;

  const find = bar.querySelector("[data-log-find]");
  const count = bar.querySelector("[data-log-count]");
  const pause = bar.querySelector("[data-log-pause]");
  let paused = false;
  let isOld = false;
  let waiting = [];
  let last = 0;

  const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX;
  const wanted = () => find.value.trim().toLowerCase();

  function element(line) {
    const row = document.createElement("div");
    row.className = line.stream ? `line ${line.stream}` : "line";
    if (line.at) {
      const at = document.createElement("span");
      at.className = "at";
      at.textContent = `${line.at} `;
      row.append(at);
    }
    row.append(line.text);
    row.hidden = Boolean(wanted()) && !line.text.toLowerCase().includes(wanted());
    return row;
  }

  function add(lines) {
    const follow = isAtEnd();
    const fragment = document.createDocumentFragment();
    for (const line of lines) {
      if (line.n && line.n <= last) continue;
      if (line.n) last = line.n;
      fragment.append(element(line));
    }
    log.append(fragment);
    while (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
    if (follow) log.scrollTop = log.scrollHeight;
    tell();
  }

  function tell() {
    const rows = [...log.children];
    const shown = rows.filter((row) => !row.hidden).length;
    if (paused) count.textContent = `Paused, ${waiting.length} new`;
    else if (wanted()) count.textContent = `${shown} of ${rows.length} lines`;
    else count.textContent = rows.length === 1 ? "1 line" : `${rows.length} lines`;
  }

  // A new log begins. Who has paused goes on reading the old one until they go on.
  function begin() {
    isOld = paused;
    if (paused) {
      waiting = [];
      return;
    }
    log.replaceChildren();
    last = 0;
  }

  document.addEventListener("log", (event) => {
    const { reset, lines } = JSON.parse(event.detail.data);
    if (reset) begin();
    if (paused) waiting.push(...lines);
    else add(lines);
    if (paused) tell();
  });

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.querySelector("span").textContent = paused ? "Go on" : "Pause";
    if (!paused && isOld) begin();
    if (!paused) add(waiting.splice(0));
    tell();
  });

  find.addEventListener("input", () => {
    const text = wanted();
    for (const row of log.children) row.hidden = Boolean(text) && !row.textContent.toLowerCase().includes(text);
    tell();
  });
})();
