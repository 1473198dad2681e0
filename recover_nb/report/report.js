// Draws every chart of the report from the specifications in the page, as wide as its place. Nothing
// is loaded.
(function () {
  "use strict";
  var specs = JSON.parse(document.getElementById("specs").textContent);
  document.querySelectorAll(".chart").forEach(function (place) {
    window.recoverCharts.push([place, specs[Number(place.dataset.spec)]]);
  });
})();
