"""What preparing costs: features in memory, by partition, on Spark; training and batch scores at scale."""

import json
import math
import shutil
from pathlib import Path

from mlguide_assets_tests.benchmarks.rows import GIGABYTE, Row, printed_by, within


def generator(folder: Path) -> list[Row]:
    code = (
        "import json, resource, sys, time; from pathlib import Path; from datetime import date\n"
        "from mlguide_assets.prepare.simulator.generate import write\n"
        "from mlguide_assets.prepare.simulator.world import World\n"
        "t = time.perf_counter(); n = write(World(sends=1_000_000), Path(sys.argv[1]))['user_emails']\n"
        "print(json.dumps([time.perf_counter() - t, n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))"
    )
    seconds, sends, kilobytes = json.loads(printed_by(["-c", code, str(folder / "world")]))
    figure = f"{sends:,} sends in {seconds:.1f} s ({sends / seconds:,.0f} per s), {kilobytes * 1024 / GIGABYTE:.1f} GB"
    return [("simulate and write 1 M sends", figure, "≤ 10 s", within(seconds <= 10))]


def features(folder: Path, sends: int, with_pandas: bool) -> list[Row]:
    """Ours, hand-written SQL and pandas on the same core table, twice each in turn; the better of two counts."""
    place = folder / f"features-{sends}"
    place.mkdir()
    printed_by(["-m", "mlguide_assets_tests.benchmarks.features", "prepare", str(place), str(sends)])
    ways = ["ours", "sql"] + (["pandas"] if with_pandas else [])
    best: dict[str, tuple[float, float]] = {}
    for way in ways * (2 if sends <= 1_000_000 else 1):
        output = printed_by(["-m", "mlguide_assets_tests.benchmarks.features", way, str(place), str(sends)])
        best[way] = min(best.get(way, (float("inf"), 0.0)), tuple(json.loads(output)))
    seconds, gigabytes = best["ours"]
    name = f"features of {sends:,} sends"
    budget = sends == 10_000_000
    rows = [
        (
            name,
            f"{seconds:.1f} s, {gigabytes:.1f} GB",
            "≤ 30 s, ≤ 4 GB" if budget else "",
            within(seconds <= 30 and gigabytes <= 4) if budget else "",
        )
    ]
    for way in ways[1:]:
        ratio = best[way][0] / seconds
        asked, fine = ("≥ 0.8", ratio >= 0.8) if way == "sql" else ("", True)
        rows.append(
            (
                f"  rate against {way}",
                f"{ratio:.2f} × ({best[way][0]:.1f} s, {best[way][1]:.1f} GB)",
                asked,
                within(fine) if asked else "",
            )
        )
    return rows


def scale(folder: Path, sizes: list[int]) -> list[Row]:
    """Features, training in external memory and batch scores by size, and how time and memory grow with it."""
    rows: list[Row] = []
    done: dict[int, tuple[float, float]] = {}
    for sends in sizes:
        place, users = folder / f"scale-{sends}", sends // 10
        place.mkdir()
        features = ["-m", "mlguide_assets_tests.benchmarks.features"]
        printed_by([*features, "prepare", str(place), str(sends)])
        done[sends] = seconds, gigabytes = tuple(json.loads(printed_by([*features, "ours", str(place), str(sends)])))
        is_asked = sends == 100_000_000

        def row(what: str, seconds: float, gigabytes: float, most: tuple[int, int], is_asked: bool = is_asked) -> Row:
            asked = f"≤ {most[0] // 60} min, ≤ {most[1]} GB" if is_asked else ""
            fine = within(seconds <= most[0] and gigabytes <= most[1]) if is_asked else ""
            return what, f"{seconds:.0f} s, {gigabytes:.1f} GB", asked, fine

        rows.append(row(f"features of {sends:,} sends", seconds, gigabytes, (360, 6)))
        for way in ("train", "batch"):
            module = ["-m", "mlguide_assets_tests.benchmarks.scale", way, str(place), str(sends), str(users)]
            got = json.loads(printed_by(module))
            what = (
                f"  training on {got['rows']:,} in external memory, {got['rounds']} rounds"
                if way == "train"
                else f"  {got['rows']:,} batch scores, 20 candidates each"
            )
            rows.append(row(what, got["seconds"], got["gigabytes"], (900, 8) if way == "train" else (600, 4)))
        shutil.rmtree(place)
    return rows + _growth(done)


def _growth(done: dict[int, tuple[float, float]]) -> list[Row]:
    """The exponents with which time and memory of the features grow from the smallest size to the largest."""
    if len(done) < 2:
        return []
    (few, first), (many, last) = min(done.items()), max(done.items())
    time_exponent, memory_exponent = (math.log(b / a) / math.log(many / few) for a, b in zip(first, last, strict=True))
    fine = time_exponent <= 1.15 and memory_exponent <= 0.3
    grown = f"time {time_exponent:.2f}, memory {memory_exponent:.2f}"
    return [(f"growth exponents of the features, {few:,} to {many:,}", grown, "≤ 1.15, ≤ 0.3", within(fine))]


def spark(folder: Path) -> list[Row]:
    """Spark on two cores of this machine, which is not what it is for, against DuckDB; twice each in turn.

    Both write what a run writes: sorted partitions of a lake.
    """
    sends, place, best = 1_000_000, folder / "spark", dict[str, float]()
    place.mkdir()
    module = ["-m", "mlguide_assets_tests.benchmarks.features"]
    printed_by([*module, "prepare", str(place), str(sends)])
    for way in ("duckdb", "spark", "duckdb", "spark", "spark_again"):
        output = printed_by([*module, way, str(place), str(sends)], MLGUIDE_SPARK="local[2]")
        best[way] = min(best.get(way, float("inf")), json.loads(output.splitlines()[-1])[0])
    ratio, figure = best["spark"] / best["duckdb"], f"({best['spark']:.1f} s, DuckDB {best['duckdb']:.1f} s)"
    again = f"{best['spark_again'] / best['duckdb']:.1f} × ({best['spark_again']:.1f} s)"
    return [
        (f"features of {sends:,} sends, Spark local[2]", f"{ratio:.1f} × {figure}", "≤ 6 ×", within(ratio <= 6)),
        ("… once more in the same process, whose Java has compiled its code by then", again, "", ""),
    ]


def skewed(folder: Path, sizes: list[int]) -> list[Row]:
    """Features by both engines, of sends spread over all users, and where every second one is one user's."""
    rows: list[Row] = []
    module, environment = ["-m", "mlguide_assets_tests.benchmarks.features"], {"MLGUIDE_SPARK": "local[2]"}
    for sends in sizes:
        place = folder / f"skewed-{sends}"
        place.mkdir()
        got = dict[tuple[str, str], tuple[float, float]]()
        for spread in ("prepare", "skew"):
            printed_by([*module, spread, str(place), str(sends)])
            for way in ("duckdb", "spark"):
                output = printed_by([*module, way, str(place), str(sends)], **environment)
                got[spread, way] = tuple(json.loads(output.splitlines()[-1]))
        for way, engine in (("duckdb", "DuckDB"), ("spark", "Spark local[2]")):
            (seconds, gigabytes), (skewed, more) = got["prepare", way], got["skew", way]
            shown = (
                f"{skewed:.0f} s, {more:.1f} GB; spread {seconds:.0f} s, {gigabytes:.1f} GB: {skewed / seconds:.1f} ×"
            )
            rows.append((f"features of {sends:,} sends, half of them one user's, {engine}", shown, "", ""))
        shutil.rmtree(place)
    return rows


def engines(folder: Path) -> list[Row]:
    """Problems on both engines to their verdicts; what both say alike is shown once."""
    rows: list[Row] = []
    for name in ("planeswalker", "fraud", "f1_dnf"):
        got = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.engines", name, str(folder / name)]))
        if "absent" in got:
            rows.append((f"{name} on both engines", f"left out: {got['absent']}", "", ""))
            continue
        quick, slow = got["seconds"]
        rows.append((f"{name} on DuckDB and on Spark", f"{quick:.0f} s, {slow:.0f} s", "", ""))
        for line in got["lines"]:
            said = line["duckdb"] if line["duckdb"] == line["spark"] else f"{line['duckdb']}; {line['spark']}"
            rows.append((f"  {line['what']}", said, "the same", within(line["agree"])))
    return rows


def one_more_day(folder: Path, sends: int) -> list[Row]:
    """A lake that follows a source by one day, against one that is made of the later state from scratch."""
    place = folder / f"one-more-day-{sends}"
    place.mkdir()
    module = ["-m", "mlguide_assets_tests.benchmarks.one_more_day"]
    for world, days in (("before", 3), ("after", 2)):
        printed_by([*module, "world", str(place / world), str(sends), str(days)])
    built = [("before", "followed"), ("after", "followed"), ("after", "new")]
    _, day, full = (json.loads(printed_by([*module, "build", *(str(place / name) for name in each)])) for each in built)
    if day["content"] != full["content"]:
        raise SystemExit("One more day and a full build differ in content.")
    shutil.rmtree(place)
    ratio, processor = day["seconds"] / full["seconds"], day["processor"] / full["processor"]
    (rebuilt, partitions), budget = day["rebuilt"], sends == 10_000_000
    return [
        (
            f"ingest, join and features of {sends:,} sends from scratch",
            f"{full['seconds']:.1f} s, {full['gigabytes']:.1f} GB",
            "≤ 4 GB" if budget else "",
            within(full["gigabytes"] <= 4) if budget else "",
        ),
        (
            f"  one more day, {rebuilt} of {partitions} partitions rebuilt, equal content",
            f"{day['seconds']:.1f} s, {ratio:.0%} ({processor:.0%} of the processor's time)",
            "≤ 15 %" if budget else "",
            within(ratio <= 0.15) if budget else "",
        ),
    ]
