"""Settings that are recorded only where they are used, and answers with and without them."""

import pytest

from tasks.errors import UserError
from tasks.files import read_json
from tasks.inference.predict import predict


def test_a_folder_of_transformed_images_is_refused_without_the_transform(request_for, records):
    first = predict(request_for(records, out="turned", config={"transform": "rot90"}))
    assert read_json(first.path / "STARTED.json")["inputs"]["inference.transform"] == "rot90"
    for transform in (None, "rot180"):
        with pytest.raises(UserError, match=r"another inference\.transform: give another --out"):
            predict(request_for(records, out="turned", config={"transform": transform}))
    assert predict(request_for(records, out="turned", config={"transform": "rot90"})) == first


def test_without_a_transform_none_is_recorded(request_for, records):
    # folders of earlier versions can be continued
    assert "inference.transform" not in read_json(predict(request_for(records)).path / "STARTED.json")["inputs"]


def test_a_folder_of_sampled_answers_is_refused_for_greedy_ones(request_for, records):
    predict(request_for(records, out="sampled", config={"temperature": 0.5}))
    with pytest.raises(UserError, match=r"another inference\.temp"):
        predict(request_for(records, out="sampled", config={"temperature": 0.7}))
    with pytest.raises(UserError, match=r"another inference\."):
        predict(request_for(records, out="sampled"))
