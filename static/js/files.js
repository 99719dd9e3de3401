// Files of a server: sent one after the other with their progress, by choice or by dropping; the dialogs' file.
(() => {
  const form = document.querySelector("form[data-upload]");

  // A dialog acts on the row whose button opened it.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-open][data-of]");
    if (!button) return;
    const dialog = document.querySelector(button.dataset.open);
    dialog.querySelector("[data-file]").value = button.dataset.of;
    for (const place of dialog.querySelectorAll("[data-file-text]")) place.textContent = button.dataset.text;
    const to = dialog.querySelector("[name=to]");
    if (to) to.value = button.dataset.text;
  });

  if (!form) return;
  const list = form.querySelector("[data-uploads]");
  const input = form.querySelector("input[type=file]");
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
    line.replaceChildren();
    const name = document.createElement("strong");
    const words = document.createElement("small");
    name.textContent = file.name;
    words.textContent = `${size(file.size)}, waits`;
    const item = { file, overwrite, line, words };
    line.append(name, " ", words, " ", button("Cancel", () => cancel(item)));
    list.append(line);
    waiting.push(item);
    next();
  }

  function cancel(item) {
    if (item.request) item.request.abort();
    else waiting.splice(waiting.indexOf(item), 1);
    item.line.remove();
  }

  function next() {
    const item = isBusy ? undefined : waiting.shift();
    if (!item) return;
    isBusy = true;
    const bar = document.createElement("progress");
    const request = (item.request = new XMLHttpRequest());
    item.words.after(" ", bar);
    bar.max = item.file.size || 1;
    request.open("PUT", form.dataset.upload + encodeURIComponent(item.file.name) + (item.overwrite ? "?overwrite=true" : ""));
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
    const more = answer.code === "file_exists" ? [button("Overwrite", () => add(item.file, true, item.line))] : [];
    const wrong = (answer.errors || []).map((error) => error.message).join("; ");
    const words = [answer.detail, wrong, answer.code === "file_exists" ? "" : answer.hint].filter(Boolean).join(" ");
    told(item, words, [...more, button("Dismiss", () => item.line.remove())]);
  }

  function told(item, words, buttons) {
    const name = document.createElement("strong");
    const text = document.createElement("small");
    name.textContent = item.file.name;
    text.textContent = words;
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
