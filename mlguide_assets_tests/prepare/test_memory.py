"""How much memory there is, as the machine, control groups of both versions, and limits of the process say."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.memory import available_memory, memory_for_engine, require_memory

GIGABYTE = 1_000_000_000


def machine(root: Path, groups: str, **files: str) -> Path:
    """A machine with 8 GB free, whose process is in these groups."""
    contents = {
        "proc/meminfo": "MemTotal: 99000000 kB\nMemAvailable: 8000000 kB\n",
        "proc/self/cgroup": groups,
        **files,
    }
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_without_limits_it_is_what_the_machine_has(tmp_path: Path) -> None:
    assert available_memory(machine(tmp_path, "0::/\n")) == 8_000_000 * 1024
    assert available_memory(tmp_path / "a system that does not say") is None


def test_a_group_of_version_2_limits_what_is_below_it(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/pods"
    limits = {
        f"{group}/memory.max": "2000000000\n",
        f"{group}/memory.current": "900000000\n",
        f"{group}/memory.stat": "anon 1\ninactive_file 400000000\n",
        f"{group}/mine/memory.max": "max\n",
    }
    assert available_memory(machine(tmp_path, "0::/pods/mine\n", **limits)) == 1.5 * GIGABYTE


@pytest.mark.parametrize("place", ["sys/fs/cgroup/memory/docker/abc", "sys/fs/cgroup/memory"])
def test_so_does_a_group_of_version_1_also_where_a_container_sees_it_as_the_mount(tmp_path: Path, place: str) -> None:
    limits = {
        f"{place}/memory.limit_in_bytes": "2000000000\n",
        f"{place}/memory.usage_in_bytes": "1000000000\n",
        f"{place}/memory.stat": "total_inactive_file 250000000\n",
    }
    groups = "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/\n"
    assert available_memory(machine(tmp_path, groups, **limits)) == 1.25 * GIGABYTE


def test_a_limit_of_the_process_counts_less_what_it_has_taken() -> None:
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000,) * 2);"
        "from mlguide_assets.prepare.memory import available_memory, memory_for_engine;"
        "print(available_memory(), memory_for_engine())"
    )
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=True)
    available, engine = map(int, done.stdout.split())
    assert GIGABYTE < available < 2 * GIGABYTE
    assert engine == int(available * 0.4)


def test_the_engine_has_enough_to_work_and_leaves_room_for_others() -> None:
    assert 200_000_000 <= memory_for_engine() <= 3 * GIGABYTE


def test_what_does_not_fit_is_refused_with_what_to_do() -> None:
    require_memory(1, what="Training on 3 sends")
    with pytest.raises(InputError, match=r"Training on 3 sends needs about 1000000.0 GB .* --sends; .*untouched\.$"):
        require_memory(10**15, what="Training on 3 sends")
