// Before anything is painted: the theme that was chosen here, and that there are scripts at all.
(() => {
  document.documentElement.classList.add("js");
  try {
    const chosen = localStorage.getItem("journey-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Without storage, the system's theme counts.
  }
})();
