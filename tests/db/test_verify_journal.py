#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/verify_journal.py agrees with flagd about every stored database, and sees what was changed in it."""
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOL = HERE.parent.parent / "tools/verify_journal.py"
sys.path.insert(0, str(TOOL.parent))
sys.dont_write_bytecode = True
import verify_journal  # noqa: E402


class VerifyJournal(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name) / "halyard.db"

    def run_tool(self):
        return subprocess.run([sys.executable, TOOL, self.path], capture_output=True, text=True, check=False)

    def check_told(self, text):
        result = self.run_tool()
        self.assertIn(text, result.stderr)
        self.assertNotEqual(result.returncode, 0)

    def change(self, *statements):
        shutil.copy(HERE / "v1.db", self.path)
        database = sqlite3.connect(self.path)
        database.execute("DROP TRIGGER journal_keep_update")
        database.execute("DROP TRIGGER journal_keep_delete")
        database.execute("DROP TRIGGER revision_keep_delete")
        for statement, *parameters in statements:
            database.execute(statement, parameters)
        database.commit()
        database.close()

    def test_every_database_holds(self):
        for stored in sorted(HERE.glob("v*.db")):
            with self.subTest(stored.name):
                shutil.copy(stored, self.path)
                result = self.run_tool()
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertIn("journal entries, the last one has hash ", result.stdout)
                self.assertIn("environment prod is at revision ", result.stdout)

    def test_a_changed_row(self):
        self.change(("UPDATE flag SET doc = replace(doc, 'false', 'true ') WHERE key = 'flag-0001'",),
                    ("UPDATE flag SET version = version + 1 WHERE key = 'flag-0001'",))
        self.check_told("The row 'flag-0001' of flag does not fit its digest")

    def test_a_changed_entry_with_a_new_digest(self):
        shutil.copy(HERE / "v1.db", self.path)
        database = sqlite3.connect(self.path)
        row = list(database.execute("SELECT * FROM journal WHERE seq = 3").fetchone())
        database.close()
        row[12] = row[12].replace("flag", "flaw")
        digest = verify_journal.row_digest("journal", row[:-1])
        self.change(("UPDATE journal SET bytes = ?, digest = ? WHERE seq = 3", row[12], digest))
        self.check_told("Journal entry 3 does not follow from the one before")

    def test_a_missing_entry(self):
        self.change(("DELETE FROM journal WHERE seq = 2",))
        self.check_told("Journal entry 2 is missing")

    def test_a_missing_revision(self):
        self.change(("DELETE FROM revision WHERE environment = 'dev' AND revision = 1",))
        self.check_told("Revision 1 of dev is missing")

    def test_what_is_no_database(self):
        self.path.write_text("a letter")
        self.check_told("file is not a database")
        shutil.copy(HERE / "v1.db", self.path)
        self.path.with_name("halyard.db-wal").write_text("changes")
        self.check_told("stop flagd first")


if __name__ == "__main__":
    unittest.main()
