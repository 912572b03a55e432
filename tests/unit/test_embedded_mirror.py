"""Finding the Debian mirror in what apt prints; each text is what a real machine's apt printed, hosts renamed."""

from __future__ import annotations

import pytest

from mlops.embedded.mirror import mirrors, transport_settings

BOOKWORM = """
'http://mirror.example/debian/dists/bookworm/InRelease' mirror.example_debian_dists_bookworm_InRelease 0 
'http://mirror.example/debian/dists/bookworm-updates/InRelease' mirror.example_debian_updates_InRelease 0 
'http://mirror.example/debian-security/dists/bookworm-security/InRelease' mirror.example_debian-security_InRelease 0 
'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' mirror.example_Packages 0 
"""

VENDOR = "'https://vendor.example/linux/debian/dists/bookworm/InRelease' vendor.example_linux_debian_InRelease 0 \n"


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        pytest.param(BOOKWORM, ["http://mirror.example/debian"], id="plain"),
        pytest.param(
            VENDOR + BOOKWORM, ["http://mirror.example/debian", "https://vendor.example/linux/debian"], id="vendor"
        ),
        pytest.param(
            "'http://mirror.example/pgdg/dists/bookworm-pgdg/InRelease' x 0 \n" + BOOKWORM,
            ["http://mirror.example/debian"],
            id="suite-of-somebody-else",
        ),
        pytest.param(
            "'mirror+file:/etc/apt/mirrors/debian.list/dists/trixie/InRelease' x 0 \n",
            ["mirror+file:/etc/apt/mirrors/debian.list"],
            id="list-of-mirrors",
        ),
        pytest.param(
            "'https://me:secret@mirror.example:8443/a/b/debian//dists/sid/Release' x 0 \n",
            ["https://me:secret@mirror.example:8443/a/b/debian"],
            id="password-port-and-slashes",
        ),
        pytest.param("'http://mirror.example/ubuntu/dists/noble/InRelease' x 0 \n", [], id="ubuntu"),
        pytest.param("'http://mirror.example/flat/InRelease' x 0 \n", [], id="flat"),
        pytest.param("'cdrom:[Debian 12]/dists/bookworm/Release' x 0 \n", [], id="cdrom"),
        pytest.param(
            "'http://security.example/debian-security/dists/stable/InRelease' x 0 \n", [], id="security-alone"
        ),
        pytest.param("E: Malformed line 1 in source list\n", [], id="broken-sources"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_mirrors(printed: str, expected: list[str]) -> None:
    assert mirrors(printed) == expected


def test_ways_takes_over_how_a_mirror_is_reached_and_nothing_that_acts() -> None:
    dump = """\
APT "";
APT::Update::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";
DPkg::Post-Invoke:: "touch /tmp/x";
Dir::State "var/lib/apt";
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://me:secret@proxy.example:3128/";
Acquire::https::CAInfo "/etc/ssl/own.pem";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::Retries "3";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "true";
Acquire::GzipIndexes "true";
"""
    assert transport_settings(dump).splitlines() == [
        'Acquire::http "";',
        'Acquire::http::Proxy "http://me:secret@proxy.example:3128/";',
        'Acquire::https::CAInfo "/etc/ssl/own.pem";',
        'Acquire::http::Proxy::mirror.example "DIRECT";',
        'Acquire::Retries "3";',
    ]
