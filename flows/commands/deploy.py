"""`rsvlm deploy`: everything that a Prefect server needs to run the flows."""

import argparse
from pathlib import Path
from typing import Any


def add_parsers(subparsers: Any) -> None:
    """Add `deploy`."""
    parser = subparsers.add_parser(
        "deploy",
        help="work pools, limits, automations and deployments on a Prefect server; may run twice",
        description=run_deploy.__doc__,
    )
    parser.add_argument("--work-pool", metavar="NAME", help="one pool for all (default: gpu and cpu)")
    parser.add_argument(
        "--type",
        choices=("process", "docker", "kubernetes"),
        default="process",
        help="of pools that are made (default: process)",
    )
    parser.add_argument(
        "--gpu-slots",
        type=_at_least_one,
        metavar="N",
        help="runs at a time on the GPUs (default: 1 when the pool is made, else as it is)",
    )
    parser.add_argument(
        "--workspace",
        type=Path,
        default=Path("workspace"),
        metavar="DIR",
        help="folder of all runs, as the workers see it (default: ./workspace)",
    )
    parser.add_argument("--reevaluate", metavar="RUN", help="turn the nightly re-evaluation on, of this run's models")
    parser.add_argument("--results", metavar="S3_URI", help="keep Prefect's results in this bucket, for all machines")
    parser.add_argument("--endpoint-url", metavar="URL", help="of the S3-compatible server of --results (default: AWS)")
    parser.add_argument("--region", metavar="NAME", help="of the bucket of --results (default: as AWS tools are set)")
    parser.add_argument("--notify", metavar="TYPE/NAME", help="notification block that tells of dropped scores")
    parser.add_argument("--resume-crashed", action="store_true", help="start crashed runs again, three times at most")
    parser.add_argument("--prune", action="store_true", help="remove deployments and automations of older versions")
    parser.set_defaults(run=run_deploy)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run_deploy(options: argparse.Namespace) -> None:
    """Deploy to the Prefect server that is configured, and print a line for each thing done; may run twice."""
    from flows.embedded import prepare_prefect
    from flows.server import require_server

    prepare_prefect()
    require_server("deploy again")
    from deployments.register import Wishes, deploy

    wishes = Wishes(
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
    for line in deploy(wishes):
        print(line, flush=True)
