// Behind textual-serve's own script: keys go to the dashboard at once, also when one comes back to its window.
addEventListener("load", () => {
  const focus = () => document.querySelector(".xterm-helper-textarea")?.focus();
  focus();
  addEventListener("focus", focus);
});
