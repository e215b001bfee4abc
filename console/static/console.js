// What makes pages pleasant; all of them work without it but for the pictures, whose tables are there.

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function watchTheme() {
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.addEventListener("click", () => {
      const next = isDark() ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      try {
        localStorage.setItem("journey-theme", next);
      } catch {
        // It counts for this page only.
      }
      document.dispatchEvent(new Event("journey-theme"));
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("journey-theme")));
}

function submitFilters() {
  for (const form of document.querySelectorAll("form[data-filters]")) {
    // An address without what was not chosen is shorter.
    form.addEventListener("submit", () => {
      for (const control of form.elements) if (control.name && control.value === "") control.disabled = true;
    });
    for (const select of form.querySelectorAll("select")) select.addEventListener("change", () => form.requestSubmit());
    for (const day of form.querySelectorAll("input[type=date]")) {
      // Typing a day changes it with every digit: wait until it is left, or Enter.
      day.addEventListener("blur", () => {
        if (day.value !== day.defaultValue) form.requestSubmit();
      });
    }
  }
  // Coming back by the browser's button, controls are as they were sent.
  addEventListener("pageshow", () => {
    for (const control of document.querySelectorAll("form[data-filters] :disabled")) control.disabled = false;
  });
}

function copySql() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const code = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }
}

function searchByKey() {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    event.preventDefault();
    document.getElementById("search")?.focus();
  });
}

function showWhereWeAre() {
  const nav = document.querySelector(".side nav");
  const here = nav?.querySelector("[aria-current]");
  if (here && nav.scrollWidth > nav.clientWidth) nav.scrollLeft = here.offsetLeft - nav.clientWidth / 2;
}

watchTheme();
submitFilters();
copySql();
searchByKey();
showWhereWeAre();
if (document.querySelector("[data-chart]")) import("./charts.js").then((charts) => charts.drawAll());
