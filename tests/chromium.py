"""A Chromium for tests, which may talk to this machine and to nobody else."""

import os
import re
import shutil
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
HERE = "127.0.0.1"
ARGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}",
]

#: anywidget gives up on a widget after two seconds, which a page on a busy machine can need for its
#: scripts alone.
PATIENCE = """{
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    AbortSignal.timeout = (milliseconds) => timeout(Math.max(milliseconds, 120_000));
}"""


def absent(reason):
    """Skip, or fail where a browser must be there."""
    required = os.environ.get("CI") or os.environ.get("RECOVER_NB_REQUIRE_BROWSER")
    (pytest.fail if required else pytest.skip)(reason)


def executable():
    """Path of a Chromium."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        absent(f"no Chromium on the path (looked for {', '.join(BROWSERS)})")
    return found


@contextmanager
def chromium():
    """Start a browser, and stop it."""
    path = executable()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS, timeout=120_000)
        try:
            yield browser
        finally:
            browser.close()


def closed_context(browser, **options):
    """Return a browser context that reaches no other host, and a list of what it asked of them."""
    context, asked = browser.new_context(**options), []

    def note(url):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != HERE:
            asked.append(url)

    context.add_init_script(PATIENCE)
    context.on("request", lambda request: note(request.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: note(socket.url)))
    context.route(
        re.compile(rf"^(https?|wss?)://(?!{re.escape(HERE)}[:/])"), lambda route: route.abort()
    )
    return context, asked
