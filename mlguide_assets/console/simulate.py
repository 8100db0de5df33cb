"""`mlguide simulate`: a world as Parquet files, for use anywhere."""

from collections.abc import Callable
from pathlib import Path

from rich.progress import Progress

from mlguide_assets.console.out import check_parent
from mlguide_assets.console.terminal import console
from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import AnySimulator, PaymentSimulatorSource
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.simulator.generate import write
from mlguide_assets.prepare.simulator.payments.generate import write as write_payments
from mlguide_assets.prepare.sources.simulated import payment_world_of, world_of


def simulate_to(out: Path, name_or_file: str, sends: int | None, seed: int | None) -> None:
    """Write the world of a problem, at another size or with another seed.

    Raises:
        InputError: the problem reads no simulated world, or the folder cannot be written.
    """
    check_parent(out)
    problem = load_problem(name_or_file)
    if not isinstance(problem.source, AnySimulator):
        raise InputError(f"{problem.name} has tables of its own and no simulated world: name another with --problem.")
    problem = with_overrides(problem, sends=sends)
    if seed is not None:
        problem = problem.model_copy(update={"source": problem.source.model_copy(update={"seed": seed})})
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(f"simulating the world of {problem.name}", total=1.0)
            counts = _write(problem, out, lambda done: progress.update(task, completed=done))
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror or error}): choose another folder with --out."
        ) from error
    for name, rows in counts.items():
        console.print(f"{rows:>12,} rows  {out / f'{name}.parquet'}")


def _write(problem: Problem, out: Path, progress: Callable[[float], None]) -> dict[str, int]:
    if isinstance(problem.source, PaymentSimulatorSource):
        return write_payments(payment_world_of(problem), out)
    return write(world_of(problem), out, progress)
