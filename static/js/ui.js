// Small behaviours that pages ask for by data attributes: copy, dialogs, menus, examples, times, toasts.
(() => {
  const TOAST_MS = 6000;
  const TIMES_EVERY_MS = 20000;
  const SPANS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

  async function copy(button) {
    const source = document.querySelector(button.dataset.copy);
    const word = button.querySelector("[data-copy-word]");
    if (!source) return;
    try {
      await navigator.clipboard.writeText(source.textContent);
      if (word) word.textContent = "Copied";
    } catch {
      // Without https the browser keeps the clipboard shut; the text is selected, so that one key copies it.
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      if (word) word.textContent = "Press Ctrl C";
    }
    if (word) setTimeout(() => (word.textContent = "Copy"), 2500);
  }

  function fill(button) {
    const input = document.querySelector(button.dataset.fill);
    if (!input) return;
    input.value = button.dataset.value;
    input.focus();
  }

  // A dialog for many things acts on the one whose button opened it.
  function open(button) {
    const dialog = document.querySelector(button.dataset.open);
    if (button.dataset.of) {
      dialog.querySelector("[data-file]").value = button.dataset.of;
      for (const place of dialog.querySelectorAll("[data-file-text]")) place.textContent = button.dataset.text;
      const to = dialog.querySelector("[name=to]");
      if (to) to.value = button.dataset.text;
    }
    dialog?.showModal();
  }

  const actions = {
    "[data-copy]": copy,
    "[data-fill]": fill,
    "[data-open]": open,
    "[data-close]": (button) => button.closest("dialog")?.close(),
    "[data-dismiss]": (button) => button.closest("[data-toast]")?.remove(),
  };

  document.addEventListener("click", (event) => {
    for (const [selector, act] of Object.entries(actions)) {
      const button = event.target.closest?.(selector);
      if (button) act(button);
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    if (event.target instanceof HTMLDialogElement) event.target.close();
  });

  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  // A form that is sent twice would do its work twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.removeAttribute("aria-busy");
    }
  });

  function relative(moment) {
    const distance = (Date.now() - moment) / 1000;
    if (Math.abs(distance) < 5) return "just now";
    const [span, unit] = SPANS.find(([seconds]) => Math.abs(distance) >= seconds);
    const count = Math.floor(Math.abs(distance) / span);
    const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
    return distance > 0 ? `${words} ago` : `in ${words}`;
  }

  setInterval(() => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const words = relative(Date.parse(time.dateTime));
      if (time.textContent !== words) time.textContent = words;
    }
  }, TIMES_EVERY_MS);

  // Good news goes by itself; bad news waits to be read.
  new MutationObserver((changes) => {
    for (const toast of changes.flatMap((change) => [...change.addedNodes])) {
      if (toast.matches?.("[data-toast].ok")) setTimeout(() => toast.remove(), TOAST_MS);
    }
  }).observe(document.getElementById("toasts"), { childList: true });

  // The session ended: asking for the page again leads to the way in, and back here.
  document.addEventListener("htmx:sse:error", (event) => {
    if (event.detail.status === 401) location.reload();
  });

  // Where there are more tabs than fit, the present one is among those that show.
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // What needs mending first is where one types first.
  document.querySelector("form [aria-invalid=true]")?.focus();

  // A page about a server that was deleted says so, and stays readable.
  document.addEventListener("gone", () => {
    const notice = document.createElement("div");
    notice.className = "notice warn";
    notice.dataset.toast = "";
    notice.append("This server is gone. ");
    const link = document.createElement("a");
    link.href = "/servers";
    link.textContent = "To the servers";
    notice.append(link);
    document.getElementById("toasts").append(notice);
  });

  document.addEventListener("htmx:error", () => {
    const toasts = document.getElementById("toasts");
    if (toasts.querySelector("[data-offline]")) return;
    const notice = document.createElement("div");
    notice.className = "notice bad";
    notice.dataset.toast = "";
    notice.dataset.offline = "";
    notice.textContent = "The hub did not answer. What you typed is still here; try again in a moment.";
    toasts.append(notice);
    setTimeout(() => notice.remove(), TOAST_MS);
  });
})();
