// The palette: Ctrl-K or "/" opens it, the server finds, arrows choose, Enter goes.
(() => {
  const dialog = document.getElementById("palette");
  const input = dialog.querySelector("input");
  const list = document.getElementById("palette-list");

  const options = () => [...list.querySelectorAll("[role=option]")];
  const chosen = () => list.querySelector("[aria-selected=true]");

  function choose(option) {
    chosen()?.setAttribute("aria-selected", "false");
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) input.setAttribute("aria-activedescendant", option.id);
    else input.removeAttribute("aria-activedescendant");
  }

  function move(step) {
    const all = options();
    if (!all.length) return;
    choose(all[(all.indexOf(chosen()) + step + all.length) % all.length]);
  }

  function go(option) {
    if (option) location.assign(option.dataset.href);
  }

  function open() {
    if (dialog.open) return;
    input.value = "";
    dialog.showModal();
    input.focus();
    htmx.trigger(input, "palette-open");
  }

  const isTyping = (target) => target.closest?.("input, textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    const shortcut = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey);
    const slash = event.key === "/" && !isTyping(event.target) && !document.querySelector("dialog[open]");
    if (!shortcut && !slash) return;
    event.preventDefault();
    open();
  });

  input.addEventListener("keydown", (event) => {
    const keys = { ArrowDown: () => move(1), ArrowUp: () => move(-1), Enter: () => go(chosen() ?? options()[0]) };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });

  list.addEventListener("click", (event) => go(event.target.closest("[role=option]")));
  document.addEventListener("click", (event) => event.target.closest?.("[data-palette]") && open());
  document.addEventListener("htmx:after:swap", () => dialog.open && !chosen() && choose(options()[0]));
})();
