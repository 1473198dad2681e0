// Opens a term of the glossary over the page, by pointer and by keyboard, wherever the word stands.
export function terms(place, told) {
  const known = Boolean(window.recoverTerms);
  window.recoverTerms = told;
  if (known) return;
  const LINK = /glossary\.(?:md|html)(?:\?[^#]*)?(?:#(.*))?$/;
  let card, from;

  // The term of a word; "" for a link to the whole glossary, null for what is no term.
  const termOf = (element) => {
    const found = element.closest?.("[data-term], a[href*='glossary.']");
    if (!found || found.dataset.through) return [found, null];
    const name = found.dataset.term ?? LINK.exec(found.getAttribute("href"))?.[1] ?? "";
    // Only Voila cannot show the page itself.
    if (!name) return [found, LINK.test(found.getAttribute("href") || "") && document.querySelector("[data-voila]") ? "" : null];
    return [found, window.recoverTerms[decodeURIComponent(name)] ? decodeURIComponent(name) : null];
  };
  const make = (name, words, look = "") => Object.assign(document.createElement(name), { textContent: words, className: look });
  const close = () => {
    if (!card) return;
    card.remove();
    card = undefined;
    from?.focus({ preventScroll: true });
  };
  const listed = () => {
    const list = document.createElement("p");
    Object.entries(window.recoverTerms).forEach(([anchor, [name]], at) => {
      const link = make("a", name);
      Object.assign(link.dataset, { term: anchor });
      link.tabIndex = 0;
      link.setAttribute("role", "button");
      list.append(at ? ", " : "", link);
    });
    return list;
  };
  // The page behind a link, where something other than this script can open it.
  const page = (link) => {
    const href = link.getAttribute("href");
    if (!href || document.querySelector("[data-voila]")) return "";
    const open = make("a", "the whole glossary", "term-page");
    open.href = href;
    open.dataset.through = "true";
    open.addEventListener("click", (event) => {
      event.preventDefault();
      close();
      link.dataset.through = "true";
      link.click();
      delete link.dataset.through;
    });
    return open;
  };
  const open = (link, name) => {
    const inside = card?.contains(link);
    const [title, entry] = name ? window.recoverTerms[name] : ["glossary", ""];
    if (!inside) {
      close();
      from = link;
    }
    const box = from.getBoundingClientRect();
    card?.remove();
    card = make("div", "", "recover-nb-page recover-nb-term");
    card.setAttribute("role", "dialog");
    card.setAttribute("aria-label", title);
    card.tabIndex = -1;
    card.dataset.lmSuppressShortcuts = "true";
    const shut = make("button", "\u00d7");
    shut.type = "button";
    shut.setAttribute("aria-label", "close");
    shut.addEventListener("click", close);
    const text = document.createElement("div");
    if (name) text.innerHTML = entry;
    else text.append(listed());
    card.append(make("h2", title), text, page(from), shut);
    document.body.append(card);
    const { offsetWidth: wide, offsetHeight: tall } = card;
    const below = box.bottom + 8 + tall <= innerHeight || box.top < tall + 16;
    card.style.left = `${Math.max(12, Math.min(box.left, innerWidth - wide - 12))}px`;
    card.style.top = `${below ? Math.max(8, Math.min(box.bottom + 8, innerHeight - tall - 8)) : box.top - tall - 8}px`;
    card.focus({ preventScroll: true });
  };
  const act = (event) => {
    const [link, name] = termOf(event.target);
    if (name === null) return false;
    event.preventDefault();
    event.stopImmediatePropagation();
    open(link, name);
    return true;
  };
  document.addEventListener("click", (event) => {
    if (!act(event) && card && !card.contains(event.target)) close();
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && card) {
      event.stopImmediatePropagation();
      close();
    } else if ((event.key === "Enter" || event.key === " ") && event.target.closest?.("[data-term]")) act(event);
  }, true);
  addEventListener("scroll", (event) => {
    if (card && !card.contains(event.target)) close();
  }, true);
}
