from docs.generate_settings import DOCUMENT, document


def test_the_table_of_settings_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_every_setting_says_what_it_means() -> None:
    rows = [line for line in document().splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")]
