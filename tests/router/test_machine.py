"""What the machine offers, read off files like the kernel's."""

from pathlib import Path

import pytest

from strongroom import SettingsError
from strongroom.router.machine import Offer, offered, reserve_of

GIB = 2**30


def machine(root: Path, groups: str = "", **files: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(
        f"MemTotal: {16 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {8 * GIB // 1024} kB\n"
    )
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group(folder: str, limit: str, used: int, cached: int = 0) -> dict[str, str]:
    return {
        f"{folder}memory.max": limit,
        f"{folder}memory.current": f"{used}\n",
        f"{folder}memory.stat": f"anon 1\ninactive_file {cached}\n",
    }


def test_without_groups_it_is_the_kernel_s_word(tmp_path: Path) -> None:
    assert offered(machine(tmp_path)) == Offer(16 * GIB, 8 * GIB)


def test_a_group_bounds_it_and_files_in_it_can_be_forgotten(tmp_path: Path) -> None:
    files = group("a/", f"{4 * GIB}\n", 3 * GIB, cached=GIB)
    assert offered(machine(tmp_path, "0::/a\n", **files)) == Offer(4 * GIB, 2 * GIB)


def test_the_tightest_group_on_the_way_up_counts(tmp_path: Path) -> None:
    files = group("a/b/", "max\n", GIB) | group("a/", f"{6 * GIB}\n", 5 * GIB)
    assert offered(machine(tmp_path, "0::/a/b\n", **files)) == Offer(6 * GIB, GIB)


def test_in_a_container_the_group_is_at_the_root(tmp_path: Path) -> None:
    files = group("", f"{2 * GIB}\n", 3 * GIB)
    assert offered(machine(tmp_path, "0::/only/the/host/sees/it\n", **files)) == Offer(2 * GIB, 0)


def test_the_first_version_of_groups(tmp_path: Path) -> None:
    files = {
        "memory/a/memory.limit_in_bytes": f"{3 * GIB}\n",
        "memory/a/memory.usage_in_bytes": f"{2 * GIB}\n",
        "memory/a/memory.stat": f"total_inactive_file {GIB}\nhierarchical_memory_limit 9 9\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "1\n",
        "memory/memory.stat": "\n",
    }
    assert offered(machine(tmp_path, "9:pids:/\n4:cpu,memory:/a\n", **files)) == Offer(3 * GIB, 2 * GIB)


def test_a_machine_that_does_not_say_asks_for_total_memory(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        offered(tmp_path)
    assert caught.value.code == "settings.machine"
    assert "total_memory" in caught.value.next_step


def test_this_machine_says() -> None:
    offer = offered()
    assert 0 < offer.available <= offer.total


def test_the_reserve_is_a_sixteenth_within_bounds() -> None:
    assert reserve_of(4 * GIB) == GIB // 4
    assert reserve_of(GIB // 2) == 64 * 2**20
    assert reserve_of(1024 * GIB) == GIB
