"""The door is called in this process: composing takes a tenth of starting Python."""

import pytest


@pytest.fixture(autouse=True)
def _logging(logging_left_as_found: None) -> None:
    """Some tests call the door without the fixture that types for them."""
