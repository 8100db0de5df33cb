"""The logger of the command line: progress instead of Dagster's own lines."""

import logging

import dagster as dg


@dg.definitions
def loggers() -> dg.Definitions:
    return dg.Definitions(loggers={"progress": progress})


@dg.logger(description="One line per asset, for people at a terminal.")
def progress(_: dg.InitLoggerContext) -> logging.Logger:
    from mlguide_assets.console.progress import ProgressHandler

    logger = logging.Logger("mlguide.progress", logging.DEBUG)
    logger.addHandler(ProgressHandler())
    return logger
