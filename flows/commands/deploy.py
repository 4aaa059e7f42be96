"""`rsvlm deploy`: register everything a Prefect server needs to run the flows."""

import argparse
from typing import get_args

from flows.commands.experiment import add_workspace
from tasks.choices import PoolType


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `deploy`."""
    parser = subparsers.add_parser(
        "deploy",
        help="create or update work pools, limits, automations and deployments on a Prefect server",
        description=run_deploy.__doc__,
    )
    parser.add_argument("--work-pool", metavar="NAME", help="one work pool for all deployments (default: gpu and cpu)")
    parser.add_argument(
        "--type",
        choices=get_args(PoolType),
        default="process",
        help="type of new pools (default: process)",
    )
    parser.add_argument(
        "--gpu-slots",
        type=_at_least_one,
        metavar="N",
        help="concurrent runs on the GPUs (default: 1 for a new pool, else unchanged)",
    )
    add_workspace(parser, "folder of all runs, as the workers see it")
    parser.add_argument("--reevaluate", metavar="RUN", help="enable the nightly re-evaluation of this run's models")
    parser.add_argument("--results", metavar="S3_URI", help="store Prefect's results in this bucket")
    parser.add_argument("--endpoint-url", metavar="URL", help="S3-compatible server of --results (default: AWS)")
    parser.add_argument("--region", metavar="NAME", help="region of --results (default: AWS configuration)")
    parser.add_argument("--notify", metavar="TYPE/NAME", help="notification block that reports dropped scores")
    parser.add_argument("--resume-crashed", action="store_true", help="restart crashed runs, at most three times")
    parser.add_argument("--prune", action="store_true", help="remove deployments and automations of older versions")
    parser.set_defaults(run=run_deploy)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run_deploy(options: argparse.Namespace) -> None:
    """Create or update everything on the configured Prefect server and print one line per change; safe to repeat."""
    from flows.embedded import prepare_prefect
    from flows.server import require_server

    prepare_prefect()
    require_server("deploy again")
    from deployments.register import DeployOptions, deploy

    wanted = DeployOptions(
        workspace=options.workspace.absolute(),
        work_pool=options.work_pool,
        pool_type=options.type,
        gpu_slots=options.gpu_slots,
        resume_crashed=options.resume_crashed,
        notify=options.notify,
        reevaluate=options.reevaluate,
        results=options.results,
        endpoint_url=options.endpoint_url,
        region=options.region,
        prune=options.prune,
    )
    for line in deploy(wanted):
        print(line, flush=True)
