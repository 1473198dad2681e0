// Draws every chart of the report from the specifications in the page, as wide as its place, and
// opens the folds on paper. Nothing is loaded.
(function () {
  "use strict";
  var specs = JSON.parse(document.getElementById("specs").textContent);
  document.querySelectorAll(".chart").forEach(function (place) {
    window.recoverCharts.push([place, specs[Number(place.dataset.spec)]]);
  });
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.from(document.querySelectorAll("details:not([open])"));
    opened.forEach(function (fold) { fold.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (fold) { fold.open = false; });
  });
})();
