"""The automations of rsvlm: what the server does by itself when a run dies or a score falls.

That of archiving stands with its deployment, in prefect.yaml.
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

OURS = "rsvlm: "
DEAD, RESUME, DROPPED = (
    f"{OURS}a run that is heard of no more has crashed",
    f"{OURS}a crashed run goes on",
    f"{OURS}a score has dropped",
)
RUNS = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
# runs of our deployments; the flows that such a run calls have runs of their own, without its tags
OUR_RUNS = ResourceSpecification({"prefect.resource.id": "prefect.tag.rsvlm", "prefect.resource.role": "tag"})
FLOWS = [
    *("experiment", "prepare-data", "fetch-data", "train-lora", "archive-checkpoint", "score-checkpoint", "merge-lora"),
    *("predict-subsets", "evaluate-model", "reevaluate", "run-sweep", "sweep-point"),
]
OUR_FLOWS = ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": FLOWS})
# Ten heartbeats. A server that was away for less finds its healthy runs alive; called dead too soon, a run would be
# started again beside itself.
SILENCE = timedelta(minutes=5)
MOST_RESUMED = 3


def automations(client: SyncPrefectClient, resume_crashed: bool, notify: str | None) -> list[AutomationCore]:
    """All automations; `notify` is the notification block that tells of dropped scores, TYPE/NAME.

    Raises ConfigError when there is no such block.
    """
    found = [dead_run(), crashed_run(resume_crashed)]
    return [*found, dropped_score(_block_id(client, notify))] if notify else found


def dead_run() -> AutomationCore:
    """Crashed is what a run is that has sent nothing for SILENCE: no heartbeat and no other state."""
    return AutomationCore(
        name=DEAD,
        description="Its process, worker or machine has died. Suspended, paused and ended runs send no heartbeats.",
        trigger=EventTrigger(
            match=RUNS,
            match_related=OUR_FLOWS,
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.heartbeat"},
            # not only the heartbeat: a run that suspends, waits or ends is heard of once more
            expect={"prefect.flow-run.*"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="Nothing was heard of it for 5 minutes.")],
    )


def crashed_run(enabled: bool) -> AutomationCore:
    """A crashed run of a deployment is started again, MOST_RESUMED times; it goes on from its last checkpoint."""
    return AutomationCore(
        name=RESUME,
        description=f"At most {MOST_RESUMED} times a run. Off unless asked for: `rsvlm deploy --resume-crashed`.",
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
        actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name="Resuming", message="Started again.")],
    )


def dropped_score(block: UUID) -> AutomationCore:
    """A notification when a model scores worse than before."""
    return AutomationCore(
        name=DROPPED,
        description="Tells of a model that answers worse than at its last evaluation.",
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
            f"There is no Prefect block {block}: make a notification block, e.g. slack-webhook/rsvlm, "
            "and give it as TYPE/NAME."
        ) from None


def save(client: SyncPrefectClient, wanted: AutomationCore) -> str:
    """Make an automation, or bring the one of its name up to date; says what was done."""
    there = client.read_automations_by_name(wanted.name)
    if there:
        client.update_automation(there[0].id, wanted)
        return f"updated the automation {wanted.name!r}"
    client.create_automation(wanted)
    return f"made the automation {wanted.name!r}"
