"""The commands of this package, and a job in this process: no service, no Ray. The topmost room.

Importable without the extras that the commands need; what they need is imported when they run.
"""

__all__ = []
