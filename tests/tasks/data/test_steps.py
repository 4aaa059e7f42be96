from tasks.data.preparing import raw_data
from tasks.data.steps import draw_lessons_folder, draw_sample_folder, prepare_sets
from tasks.orchestration.caching import content_key, is_intact
from tasks.settings import DataConfig, SampleConfig

SAMPLE = SampleConfig(scenes=20, image_size=48)


def test_steps_return_references_to_complete_folders(tmp_path):
    sample = draw_sample_folder.fn(SAMPLE, tmp_path / "data")
    lessons = draw_lessons_folder.fn(20, 48, 28, tmp_path / "lessons")
    config = DataConfig(train=0.5, test=0.5)
    sets = prepare_sets.fn(raw_data(sample.path, config), config, tmp_path / "sets")
    assert all(is_intact(ref) for ref in (sample, lessons, sets))
    assert sets.images == tmp_path / "data" / "imagenes"


def test_changed_image_changes_the_cache_key(tmp_path):
    draw_sample_folder.fn(SAMPLE, tmp_path / "data")
    config = DataConfig()
    keys = []
    for _ in range(2):
        keys.append(content_key(prepare_sets, {"data": raw_data(tmp_path / "data", config), "config": config}))
        image = next((tmp_path / "data" / "imagenes").rglob("*.jpg"))
        image.write_bytes(image.read_bytes() + b"\0")
    assert keys[0] != keys[1]
