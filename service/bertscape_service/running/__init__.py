"""The commands that start something: `serve` and `demo`. The topmost room.

Importable without the extras that the commands need; what they need is imported when they run.
"""

__all__ = []
