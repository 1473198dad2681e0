"""Put the two Binder badges into the README: ``make binder``, or ``make binder REPO=OWNER/NAME``.

A badge leads to one copy of the repository, and this file cannot know which: it asks git where the
checkout came from.
"""

import argparse
import re
import subprocess
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- binder badges: make binder -->", "<!-- end of binder badges -->"
DOOR = "notebooks/start.ipynb"
#: What postBuild writes: the same notebook with its picture in it.
SHOWN = "runs/start.ipynb"
#: Label -> path that Binder opens.
OPENS = {"the front door": f"voila/render/{DOOR}", "Lab": f"lab/tree/{SHOWN}"}


def github_name(address: str) -> str:
    """Return ``OWNER/NAME`` of a GitHub address, or of such a name itself.

    Raises
    ------
    ValueError
        For an address elsewhere.
    """
    found = re.fullmatch(
        r"(?:https://github\.com/|git@github\.com:)?([\w.-]+/[\w.-]+?)(?:\.git)?/?", address.strip()
    )
    if not found:
        raise ValueError(
            f"{address.strip() or 'no address'}: allowed is a GitHub address, or OWNER/NAME"
        )
    return found[1]


def badges(name: str) -> str:
    """Return the two badges in Markdown, a line each."""
    return "\n".join(
        f"[![{label}](https://mybinder.org/badge_logo.svg)]"
        f"(https://mybinder.org/v2/gh/{name}/HEAD?urlpath={path.replace('/', '%2F')})"
        f" {label}"
        for label, path in OPENS.items()
    )


def with_badges(readme: str, name: str) -> str:
    """Return the README with the badges between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{badges(name)}\n{END}{after}"


def main() -> None:
    """Write the README, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--repo", default="", help="OWNER/NAME (default: where git says this checkout came from)"
    )
    asked = parser.parse_args().repo
    origin = ["git", "-C", str(README.parent), "remote", "get-url", "origin"]
    address = asked or subprocess.run(origin, capture_output=True, text=True).stdout
    try:
        name = github_name(address)
    except ValueError as error:
        print(f"no badges: {error}; say which with: make binder REPO=OWNER/NAME")
        return
    README.write_text(with_badges(README.read_text(), name))
    print(f"badges of {name} in {README.name}")


if __name__ == "__main__":
    main()
