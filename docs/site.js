// What a theme leaves out for those who use a keyboard or listen: places that scroll take the focus,
// and the two columns beside a page have names.
(() => {
  "use strict";
  const reach = () => {
    const places = document.querySelectorAll(".highlight pre, .output, .table-wrapper, .cell_output pre, div.math");
    for (const place of places) {
      if (place.scrollWidth > place.clientWidth || place.scrollHeight > place.clientHeight) place.tabIndex = 0;
      else place.removeAttribute("tabindex");
    }
  };
  const ready = () => {
    document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "Pages");
    document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
    reach();
    new ResizeObserver(reach).observe(document.body);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
