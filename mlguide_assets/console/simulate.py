"""`mlguide simulate`: a world as Parquet files, for use anywhere."""

from pathlib import Path

from rich.progress import Progress

from mlguide_assets.console.out import check_parent
from mlguide_assets.console.terminal import console
from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.simulator.generate import write
from mlguide_assets.prepare.sources.simulated import world_of


def simulate_to(out: Path, sends: int, seed: int) -> None:
    """Write the default problem's world, at another size and with another seed."""
    check_parent(out)
    problem = load_problem("planeswalker")
    source = SimulatorSource.model_validate({**problem.source.model_dump(), "sends": sends, "seed": seed})
    world = world_of(problem.model_copy(update={"source": source}))
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(f"simulating about {sends:,} sends", total=1.0)
            counts = write(world, out, lambda done: progress.update(task, completed=done))
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror or error}): choose another folder with --out."
        ) from error
    for name, rows in counts.items():
        console.print(f"{rows:>12,} rows  {out / f'{name}.parquet'}")
