// Opens one of three doors at a time. Without a script every panel is open.
export function front_door(place) {
  const doors = [...place.querySelectorAll(".door")];
  const panels = [...place.querySelectorAll(".door-panel")];
  const open = (at) => {
    doors.forEach((door, each) => door.setAttribute("aria-expanded", String(each === at)));
    panels.forEach((panel, each) => (panel.hidden = each !== at));
  };
  doors.forEach((door, at) =>
    door.addEventListener("click", () => {
      const shut = door.getAttribute("aria-expanded") === "true";
      open(shut ? -1 : at);
      if (shut) return;
      const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (!still) panels[at].querySelector(".story [aria-label='play']")?.click();
      // Who goes on with Tab goes on in what was opened.
      panels[at].tabIndex = -1;
      panels[at].focus({ preventScroll: true });
      panels[at].scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
    }),
  );
  // JupyterLab would take keys for its own.
  place.dataset.lmSuppressShortcuts = "true";
  place.classList.add("door-live");
  open(-1);
}
