"""How the words of other programs are put into a message."""

from bertscape.values import brief


def test_a_long_message_is_cut_between_two_words() -> None:
    assert brief("the disk\n is full", 16) == "the disk is full"
    assert brief("the disk is full", 14) == "the disk is…"
    assert brief("thediskisfull", 5) == "thed…"
