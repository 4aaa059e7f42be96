"""The automations of rsvlm: what the server does when a run dies or a score drops.

The automation that archives checkpoints is in prefect.yaml, with its deployment.
"""

from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import ResourceSpecification
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from tasks.errors import ConfigError

# automations are found by name: a new name would leave the old automation on servers
OURS = "rsvlm: "
DEAD, RESUME, DROPPED = (
    f"{OURS}a run that is heard of no more has crashed",
    f"{OURS}a crashed run goes on",
    f"{OURS}a score has dropped",
)
RUNS = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
# runs of our deployments; subflow runs have no tags
OUR_RUNS = ResourceSpecification({"prefect.resource.id": "prefect.tag.rsvlm", "prefect.resource.role": "tag"})
FLOWS = [
    *("experiment", "quick", "prepare-data", "fetch-data", "train-lora", "archive-checkpoint", "score-checkpoint"),
    *("merge-lora", "predict-subsets", "evaluate-model", "reevaluate", "run-sweep", "sweep-point"),
]
OUR_FLOWS = ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": FLOWS})
# Ten heartbeats: a shorter server outage does not mark healthy runs as crashed. A run marked too early could be
# restarted while it is still working.
SILENCE = timedelta(minutes=5)
MOST_RESUMED = 3


def automations(client: SyncPrefectClient, resume_crashed: bool, notify: str | None) -> list[AutomationCore]:
    """All automations; `notify` is the notification block for dropped scores, as TYPE/NAME.

    Raises ConfigError if the block does not exist.
    """
    found = [dead_run(), crashed_run(resume_crashed)]
    return [*found, dropped_score(_block_id(client, notify))] if notify else found


def dead_run() -> AutomationCore:
    """Mark a run as crashed if it has sent no heartbeat and no other event for SILENCE."""
    return AutomationCore(
        name=DEAD,
        description="Its process, worker or machine has died. Suspended, paused and finished runs send no heartbeats.",
        trigger=EventTrigger(
            match=RUNS,
            match_related=OUR_FLOWS,
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.heartbeat"},
            # any event, since a run that suspends, pauses or ends sends no more heartbeats
            expect={"prefect.flow-run.*"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="No heartbeat for 5 minutes.")],
    )


def crashed_run(enabled: bool) -> AutomationCore:
    """Restart a crashed run of a deployment, at most MOST_RESUMED times; it resumes from its last checkpoint."""
    return AutomationCore(
        name=RESUME,
        description=f"At most {MOST_RESUMED} times per run. Enabled with `rsvlm deploy --resume-crashed`.",
        enabled=enabled,
        trigger=EventTrigger(
            match=ResourceSpecification(
                {
                    "prefect.resource.id": "prefect.flow-run.*",
                    "prefect.run-count": [str(count) for count in range(MOST_RESUMED + 1)],
                }
            ),
            match_related=OUR_RUNS,
            for_each={"prefect.resource.id"},
            expect={"prefect.flow-run.Crashed"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name="Resuming", message="Restarted.")],
    )


def dropped_score(block: UUID) -> AutomationCore:
    """Send a notification when a score alarms in a re-evaluation."""
    return AutomationCore(
        name=DROPPED,
        description="Reports a model whose score is lower than at an earlier evaluation.",
        trigger=EventTrigger(expect={"rsvlm.score.dropped"}, posture=Posture.Reactive, threshold=1),
        actions=[
            SendNotification(
                block_document_id=block,
                subject="rsvlm: a score has dropped",
                body="{{ event.resource.id }}\n{{ event.payload | tojson }}",
            )
        ],
    )


def _block_id(client: SyncPrefectClient, block: str) -> UUID:
    slug, _, name = block.partition("/")
    try:
        return client.read_block_document_by_name(name, slug).id
    except ObjectNotFound:
        raise ConfigError(
            f"There is no Prefect block {block}: create a notification block, e.g. slack-webhook/rsvlm, "
            "and give it as TYPE/NAME."
        ) from None


def save(client: SyncPrefectClient, wanted: AutomationCore) -> str:
    """Create an automation, or update the one with its name; returns a line that reports the change."""
    found = client.read_automations_by_name(wanted.name)
    if found:
        client.update_automation(found[0].id, wanted)
        return f"updated the automation {wanted.name!r}"
    client.create_automation(wanted)
    return f"created the automation {wanted.name!r}"
