// Before anything is drawn: the theme that was chosen, if one was.
(function () {
  try {
    var t = localStorage.getItem("theme");
    if (t === "dark" || t === "light") document.documentElement.dataset.theme = t;
  } catch (e) { /* storage is off: the system's theme it is */ }
})();
