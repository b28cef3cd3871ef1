from __future__ import annotations

from scripts.debian import sources


def test_a_base_image_gets_its_fixes_from_the_mirror_that_it_came_from() -> None:
    listed = sources("deb http://mirror.example/debian bookworm main\n")

    assert listed.splitlines() == [
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm-updates main",
        "deb http://mirror.example/debian-security bookworm-security main",
    ]
