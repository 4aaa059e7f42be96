"""What Gradio keeps of each session: its talk, but not all that was ever sent."""

from typing import Any

from gradio.state_holder import SessionState, StateHolder

# far more than wait in the queue; the one that was longest unused is forgotten
MAX_SESSIONS = 512


class LeanState(SessionState):
    """A session that keeps no copy of what its fields last held, which only links to a filled-in page would need."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class LeanStates(StateHolder):
    """Sessions by their names."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LeanState(self.blocks)
        return super().__getitem__(session_id)
