// Runs before the first paint, so that a theme that was chosen does not flash.
try {
  const chosen = localStorage.getItem("prunner-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is switched off: the theme is that of the system.
}
