"""What is this model, and can the study be repeated? `write` fills in the texts, `checklist` answers its questions."""

from .write import write_cards, write_checklist

__all__ = ["write_cards", "write_checklist"]
