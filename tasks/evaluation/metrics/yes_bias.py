"""Whether a model says yes too often: yes-rate, balanced accuracy, F1 and MCC of questions answered by yes or no."""

from collections.abc import Sequence

from typing_extensions import TypedDict

from tasks.evaluation.metrics.answer_types import YES_NO, Pair

YES, NO, NEITHER = "yes", "no", "neither"


class Agreement(TypedDict):
    """Agreement of answers and reference answers; None if it is undefined."""

    balanced_accuracy: float | None
    f1: float | None
    mcc: float | None


class YesBias(Agreement):
    """Scores of questions whose reference answer is yes or no; rates are shares of these questions.

    `neither` counts answers other than yes or no, which are wrong.
    """

    questions: int
    neither: int
    true_yes_rate: float
    yes_rate: float


def yes_bias(pairs: Sequence[Pair]) -> YesBias | None:
    """The yes-bias of normalised (answer, reference) pairs; None if no reference answer is yes or no.

    `balanced_accuracy` is the mean recall of yes and of no, and needs both among the references. `f1` is that of yes.
    `mcc` is Matthews' correlation coefficient; other answers are a third class (Gorodkin 2004). It is undefined for a
    model that always gives the same answer.
    """
    known = [(answer if answer in YES_NO else NEITHER, truth) for answer, truth in pairs if truth in YES_NO]
    if not known:
        return None
    answers, truths = ([pair[side] for pair in known] for side in (0, 1))
    return {
        "questions": len(known),
        "neither": answers.count(NEITHER),
        "true_yes_rate": truths.count(YES) / len(known),
        "yes_rate": answers.count(YES) / len(known),
        **_agreement(answers, truths),
    }


def _agreement(answers: list[str], truths: list[str]) -> Agreement:
    # two seconds and 130 MB: only where there are such questions
    from sklearn.metrics import f1_score, matthews_corrcoef, recall_score

    both = len(set(truths)) > 1
    return {
        "balanced_accuracy": float(recall_score(truths, answers, labels=[NO, YES], average="macro")) if both else None,
        "f1": float(f1_score(truths, answers, labels=[YES], average="micro")) if YES in {*truths, *answers} else None,
        "mcc": float(matthews_corrcoef(truths, answers)) if both and len(set(answers)) > 1 else None,
    }
