"""What axe-core finds wrong with a page, for readers who see, hear or steer it in another way."""

from axe_source import axe_source

#: Graver first.
IMPACTS = ("critical", "serious", "moderate", "minor")
#: The rules of WCAG 2.2, levels A and AA.
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
#: Advice that no level of WCAG asks for; told apart.
ADVICE = ("best-practice",)
#: Of the page around a view: JupyterLab's, or a cell's own place in a notebook. A rule on a whole
#: page says nothing about one view.
OF_THE_PAGE = ("region", "page-has-heading-one", "landmark-one-main", "bypass")

FIND = """async ([within, tags, without]) => {
    const rules = Object.fromEntries(without.map((name) => [name, { enabled: false }]));
    const runOnly = { type: "tag", values: tags };
    const resultTypes = ["violations"];
    const found = await axe.run(within || document, { runOnly, rules, resultTypes });
    const where = (nodes) => nodes.slice(0, 3).map((node) => node.target.flat().join(" "));
    return found.violations.map(({ id, impact, help, nodes }) =>
        [impact, id, nodes.length, help, where(nodes)]);
}"""


def violations(page, include=None, *, tags=WCAG, without=()):
    """Return what axe-core finds on a page as it is now, the gravest first.

    Parameters
    ----------
    page : playwright page
    include : str, optional
        Look only within what this CSS selector finds.
    tags : sequence of str
        Which rules: `WCAG`, or `ADVICE`.
    without : sequence of str
        Rules left out, such as `OF_THE_PAGE`.

    Returns
    -------
    list of (impact, rule, number of elements, help, first selectors)
    """
    if not page.evaluate("() => Boolean(window.axe?.run)"):
        page.evaluate(axe_source())
    found = page.evaluate(FIND, [include, list(tags), list(without)])
    return sorted(map(tuple, found), key=lambda each: (IMPACTS.index(each[0]), each[1]))
