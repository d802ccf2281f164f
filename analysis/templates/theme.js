// Light or dark: what the system prefers, until the button says otherwise.
(() => {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = (dark) => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
    document.dispatchEvent(new Event("theme"));
  };
  button.addEventListener("click", () => show(button.getAttribute("aria-pressed") !== "true"));
  system.addEventListener("change", (event) => show(event.matches));
  show(system.matches);
})();
