// Files of a server: sent one after the other with their progress, by choice or by dropping.
(() => {
  const form = document.querySelector("form[data-upload]");

  if (!form) return;
  const list = form.querySelector("[data-uploads]");
  const input = form.querySelector("input[type=file]");
  // Larger files are asked for first: one that is refused while it comes may lose its answer with the line.
  const ASKED_FIRST = 8 * 1024 * 1024;
  const waiting = [];
  let isBusy = false;

  function size(count) {
    const units = ["B", "KiB", "MiB", "GiB"];
    let unit = 0;
    while (count >= 1024 && unit < 3) [count, unit] = [count / 1024, unit + 1];
    return `${Number(count.toPrecision(4))} ${units[unit]}`;
  }

  function button(word, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "quiet small";
    made.textContent = word;
    made.addEventListener("click", act);
    return made;
  }

  function add(file, overwrite = false, line = document.createElement("li")) {
    const item = { file, overwrite, line };
    list.append(line);
    told(item, `${size(file.size)}, waits`, [button("Cancel", () => cancel(item))]);
    waiting.push(item);
    next();
  }

  function cancel(item) {
    if (item.request) item.request.abort();
    else waiting.splice(waiting.indexOf(item), 1);
    item.line.remove();
  }

  function replacing(item) {
    return button("Overwrite", () => add(item.file, true, item.line));
  }

  // Tells why a file need not be sent; nothing: it may.
  async function refusal(item, address) {
    const room = Number(form.dataset.room || Infinity);
    if (item.file.size > room) return [`There is room for ${size(room)} more.`];
    if (item.overwrite || item.file.size < ASKED_FIRST) return [];
    const found = await fetch(address, { method: "HEAD" }).catch(() => ({}));
    return found.ok ? ["There is a file of this name already.", replacing(item)] : [];
  }

  async function next() {
    const item = isBusy ? undefined : waiting.shift();
    if (!item) return;
    isBusy = true;
    const address = form.dataset.upload + encodeURIComponent(item.file.name);
    const [words, ...buttons] = await refusal(item, address);
    if (words) {
      isBusy = false;
      told(item, words, [...buttons, button("Dismiss", () => item.line.remove())]);
      next();
    } else if (item.line.isConnected) send(item, address);
    else {
      isBusy = false;
      next();
    }
  }

  function send(item, address) {
    const bar = document.createElement("progress");
    const request = (item.request = new XMLHttpRequest());
    item.words.after(" ", bar);
    bar.max = item.file.size || 1;
    request.open("PUT", address + (item.overwrite ? "?overwrite=true" : ""));
    request.setRequestHeader("X-CSRF-Token", form.dataset.token);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => {
      bar.value = event.loaded;
      const share = Math.floor((100 * event.loaded) / (item.file.size || 1));
      item.words.textContent = `${share} % of ${size(item.file.size)}`;
    });
    request.addEventListener("loadend", () => {
      bar.remove();
      isBusy = false;
      if (request.status || !item.line.isConnected) ended(item, request);
      else told(item, "The hub did not answer.", [button("Again", () => add(item.file, item.overwrite, item.line))]);
      next();
    });
    request.send(item.file);
  }

  function ended(item, request) {
    if (!item.line.isConnected) return;
    let answer = {};
    try {
      answer = JSON.parse(request.responseText);
    } catch {
      answer.detail = `The hub answered ${request.status}.`;
    }
    if (request.status === 201) {
      told(item, `${size(answer.size_bytes)}, sha256:${answer.sha256}`, [button("Dismiss", () => item.line.remove())]);
      refresh();
      return;
    }
    const more = answer.code === "file_exists" ? [replacing(item)] : [];
    const wrong = (answer.errors || []).map((error) => error.message).join("; ");
    const words = [answer.detail, wrong, answer.code === "file_exists" ? "" : answer.hint].filter(Boolean).join(" ");
    told(item, words, [...more, button("Dismiss", () => item.line.remove())]);
  }

  function told(item, words, buttons) {
    const name = document.createElement("strong");
    const text = document.createElement("small");
    name.textContent = item.file.name;
    text.textContent = words;
    item.words = text;
    item.line.replaceChildren(name, " ", text, " ", ...buttons);
  }

  async function refresh() {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const fresh = page.getElementById("file-list");
    if (!fresh) return;
    document.getElementById("file-list").replaceWith(fresh);
    window.htmx?.process?.(fresh);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    for (const file of input.files) add(file);
    form.reset();
  });
  for (const kind of ["dragenter", "dragover"]) {
    form.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) form.addEventListener(kind, () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    for (const file of event.dataTransfer.files) add(file);
  });
  addEventListener("beforeunload", (event) => {
    if (isBusy) event.preventDefault();
  });
})();
