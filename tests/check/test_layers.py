"""Every #include "folder/…" of src/ is one that the table of src/README.md allows."""
import pathlib
import re

import pytest

SRC = pathlib.Path(__file__).resolve().parents[2] / "src"
ROW = re.compile(r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def table():
    """folder → what its row lets it include: folders, or single headers of one."""
    rows = {}
    for folder, allowed in ROW.findall((SRC / "README.md").read_text()):
        rows[folder] = list(rows) if allowed.strip() == "all" else re.findall(r"`([^`]+)`", allowed)
    return rows


def reach(rows, folder):
    """All that a folder may include: base, what its row names, and what those may."""
    found, todo = {folder, "base"}, list(rows[folder])
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += rows.get(name.split("/")[0], []) if "/" not in name else []
    return found


def test_the_table_is_in_order():
    rows = table()
    assert len(rows) >= 10, "the table of src/README.md is not understood"
    for number, (folder, allowed) in enumerate(rows.items()):
        for name in allowed:
            assert name.split("/")[0] in list(rows)[:number], "%s/ may include %s, which does not stand above it" % (folder, name)


def test_every_folder_has_a_row():
    folders = {path.parent.name for path in SRC.glob("*/*.[ch]")}
    assert folders <= set(table())


@pytest.mark.parametrize("folder", table())
def test_includes(folder):
    allowed, wrong = reach(table(), folder), []
    for path in sorted((SRC / folder).glob("*.[ch]")):
        for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if "/" not in name:
                wrong.append("%s includes \"%s\"; write \"%s/%s\"" % (path.relative_to(SRC), name, folder, name))
            elif name.split("/")[0] not in allowed and name not in allowed:
                wrong.append("%s includes %s" % (path.relative_to(SRC), name))
            elif not (SRC / name).exists():
                wrong.append("%s includes %s, which is not there" % (path.relative_to(SRC), name))
    assert not wrong, "\n".join(wrong)
