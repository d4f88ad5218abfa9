// Sets light or dark before anything is drawn. A file of its own, since the
// page's policy allows no script inside of it.
(function () {
  var wanted = null;
  try {
    wanted = localStorage.getItem("berth.theme");
  } catch {
    // No storage: the system's own.
  }
  if (wanted !== "light" && wanted !== "dark") {
    wanted = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }
  document.documentElement.setAttribute("data-mantine-color-scheme", wanted);
})();
