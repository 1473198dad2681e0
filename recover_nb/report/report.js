// Draws every chart of the report from the specifications in the page. Nothing is loaded.
(function () {
  "use strict";
  var specs = JSON.parse(document.getElementById("specs").textContent);
  var options = {
    mode: "vega-lite",
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
  };
  document.querySelectorAll(".chart").forEach(function (place) {
    window.vegaEmbed(place, specs[Number(place.dataset.spec)], options).catch(function (error) {
      place.textContent = "This chart could not be drawn: " + error.message;
      console.error(error);
    });
  });
})();
