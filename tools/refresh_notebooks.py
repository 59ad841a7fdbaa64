"""Execute the template notebooks the way a user runs them, and write them back in normal form.

    python tools/refresh_notebooks.py

Equal code gives equal bytes, so `git diff` shows only what really changed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from scalekit.cli import copy_templates
from scalekit.report.notebooks import bake, execute, normal_form, write_notebook

TEMPLATES = Path(__file__).parents[1] / "notebooks"


def main() -> None:
    """Run all of them in one fresh folder, in order."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCALEKIT_KEYS"] = f"{folder}/keys"
        work = Path(folder) / "project"
        copy_templates(work)
        for book in sorted(work.glob("*.ipynb")):
            # In place too: later ones look at what the earlier ones show.
            write_notebook(bake(normal_form(execute(book))), book)
            shutil.copyfile(book, TEMPLATES / book.name)
            print(book.name, (TEMPLATES / book.name).stat().st_size)


if __name__ == "__main__":
    main()
