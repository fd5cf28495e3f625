"""Writes the tables of the documents from the CSV files of configs/results.

python -m configs.results
"""

from pathlib import Path

from configs.results.tables import DOCUMENTS, ROOT, with_tables
from jaxvid.files import replacing


def main() -> None:
    """Runs the command."""
    for name in DOCUMENTS:
        document = ROOT / name
        text = document.read_text(encoding="utf-8")
        written = with_tables(text, document.parent)
        if written != text:
            with replacing(document) as unfinished:
                unfinished.write_text(written, encoding="utf-8")
        print(f"{name}: {'written' if written != text else 'as it was'}")
    print(f"CSV files: {Path(__file__).parent}")


if __name__ == "__main__":
    main()
