"""Which Debian mirror this machine uses, and how it reaches it: read from the machine's own apt settings."""

from __future__ import annotations

import re
from collections import Counter

_RELEASE = re.compile(r"^'(?P<base>\S+?)/?/dists/(?P<suite>[^/\s]+)/(?:In)?Release'", re.MULTILINE)

_SUITES = (
    "buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
    "oldoldstable", "oldstable", "stable", "testing", "unstable",
)  # fmt: skip
_COMPANIONS = ("-updates", "-backports", "-proposed-updates")


def mirrors(uris: str) -> list[str]:
    """Return the base URIs of what may be Debian mirrors, likeliest first.

    `uris` is what `apt-get update --print-uris` prints: a line for each Release file, whichever way the sources are
    written down (one-line or deb822) and whether or not their lists were ever fetched, which `indextargets` wants.
    A base that carries several of Debian's suites is a mirror; one that has a single suite may be somebody's own
    repository, and apt's check of the signature tells. Security mirrors lack the main suite.
    """
    points: Counter[str] = Counter()
    for line in _RELEASE.finditer(uris):
        base, suite = line["base"], line["suite"]
        if "security" in base.rsplit("/", 1)[-1] or base.startswith("cdrom:"):
            continue
        if suite in _SUITES:
            points[base] += 1
        elif suite.endswith(_COMPANIONS) and suite.split("-", 1)[0] in _SUITES:
            points[base] += 2
    return [base for base, _ in points.most_common()]


def transport_settings(dump: str) -> str:
    """Return those lines of `apt-config dump` that say how a mirror is reached: proxies, certificates, timeouts.

    Nothing else of the machine's apt settings is taken over: its hooks would run on the machine's own folders, and its
    pins and targets are about its own packages.
    """
    kept = re.compile(r'^Acquire::(?:https?|ftp|tor|Retries|ForceIPv[46]|Proxy)\b[^"]*".*";$')
    return "".join(f"{line}\n" for line in dump.splitlines() if kept.match(line))
