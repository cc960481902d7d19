"""A scheduler whose state is checked after each event, also after one that it refuses."""

from bertscape_service.scheduling import Event, Instruction, Scheduler


class ValidatedScheduler(Scheduler):
    """The real one; `handle` raises `InconsistentState` if an event leaves a contradiction."""

    def handle(self, event: Event) -> list[Instruction]:
        try:
            return super().handle(event)
        finally:
            self.validate_state()
