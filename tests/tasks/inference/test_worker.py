import pytest

from tasks.errors import UserError
from tasks.inference.predict import predict
from tasks.processes import run_worker
from tasks.records import PredictionsRef


def test_the_worker_gives_the_result_of_a_direct_call(request_for, records):
    lines = []
    request = request_for(records)
    made = run_worker("tasks.inference.worker", {"request": request.model_dump(mode="json")}, lines.append)
    assert PredictionsRef.model_validate(made) == predict(request)
    assert lines[-1].startswith("7 of 7 questions answered")


def test_a_user_error_comes_back_as_one_message(request_for, records):
    del records[0]["image"]
    with pytest.raises(UserError, match="NWPU_airport_1"):
        run_worker(
            "tasks.inference.worker", {"request": request_for(records).model_dump(mode="json")}, lambda line: None
        )
