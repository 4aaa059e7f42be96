"""What a model card says of a LLaVA 1.5: its layout, how to load it, and its prompt."""

from tasks.choices import Layout

LAYOUTS: dict[Layout, str] = {"transformers": "transformers", "llava": "the original LLaVA's"}
LOADING: dict[Layout, str] = {
    "transformers": """```python
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("path/of/this/directory")
processor = AutoProcessor.from_pretrained("path/of/this/directory", backend="pil")
```
transformers 4.57, transformers 5 and vLLM can load it. `backend="pil"` gives the pixels of the training; without it, if
torchvision is installed, values of transformers 5 differ by up to one step of 8 bits.
""",
    "llava": """```
python -m llava.serve.cli --model-path path/of/this/directory --image-file IMAGE
```
The original code interprets the directory's name: it must contain `llava` and `v1`, and not `lora`. The vision tower is
read from the path `mm_vision_tower` in `config.json`: change it there when the tower is moved.
""",
}
PROMPT = "\nThe prompt template is v1 of LLaVA 1.5.\n"
