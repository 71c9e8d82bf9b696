"""Rulesets of every version of Landlock, and what lies beside hidden paths."""

import os
import tempfile
import unittest

from hypha_kernel import capabilities, isolation, landlock


def in_child(action):
    """The result of a function, as text, in a process of its own; the name of the error when it fails."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = str(action())
        except BaseException as error:
            text = type(error).__name__
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read().decode()
    os.waitpid(pid, 0)
    return text


def read(path, mode="r"):
    with open(path, mode) as file:
        return file.read() if "r" in mode else None


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def make(self, *names):
        path = self.path(*names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write("text")
        return path


@unittest.skipUnless(landlock.ABI, "NOT TESTED: " + landlock.REASON)
class RulesetTest(Case):
    def restricted(self, abi, action, *allowed):
        def run():
            ruleset = landlock.Ruleset(landlock.handled(abi), landlock.scopes(abi), abi)
            for path, rights in allowed:
                ruleset.allow(path, rights)
            ruleset.restrict()
            ruleset.close()
            return action()

        return in_child(run)

    def test_every_version_refuses_what_is_not_allowed(self):
        inside, outside = self.make("in", "file"), self.make("out", "file")
        rights = landlock.READ_FILE | landlock.READ_DIR
        for abi in range(1, landlock.ABI + 1):
            allowed = (self.path("in"), rights)
            self.assertEqual(self.restricted(abi, lambda: read(inside), allowed), "text")
            for attempt in (
                lambda: read(outside),
                lambda: os.listdir(self.path("out")),
                lambda: read(inside, "a"),
                lambda: os.remove(inside),
                lambda: os.mkdir(self.path("in", "new")),
                lambda: os.symlink("x", self.path("in", "link")),
            ):
                self.assertEqual(self.restricted(abi, attempt, allowed), "PermissionError", abi)

    def test_moving_between_directories_needs_the_second_version(self):
        for abi in range(1, landlock.ABI + 1):
            path = self.make("a", "file")
            os.makedirs(self.path("b"), exist_ok=True)
            result = self.restricted(
                abi, lambda: os.rename(path, self.path("b", "file")), (self.folder, landlock.handled(abi))
            )
            self.assertEqual(result, "OSError" if abi == 1 else "None")

    def test_truncating_is_refused_from_the_third_version_on(self):
        path = self.make("file")
        for abi in range(1, landlock.ABI + 1):
            result = self.restricted(abi, lambda: os.truncate(path, 4), (self.folder, landlock.READ_FILE))
            self.assertEqual(result, "None" if abi < 3 else "PermissionError")

    def test_processes_outside_cannot_be_signalled_from_the_sixth_version_on(self):
        parent = os.getpid()
        for abi in range(1, landlock.ABI + 1):
            result = self.restricted(abi, lambda: os.kill(parent, 0))
            self.assertEqual(result, "None" if abi < 6 else "PermissionError")

    def test_a_file_can_be_allowed_and_a_missing_path_or_a_link_changes_nothing(self):
        path, other = self.make("file"), self.make("other")
        os.symlink(other, self.path("link"))
        rights = landlock.handled(landlock.ABI)
        allowed = [(one, rights) for one in (path, self.path("missing"), self.path("link"))]
        self.assertEqual(self.restricted(landlock.ABI, lambda: read(path, "a"), *allowed), "None")
        for name in ("other", "link"):
            result = self.restricted(landlock.ABI, lambda: read(self.path(name)), *allowed)
            self.assertEqual(result, "PermissionError")


class BesideTest(Case):
    def test_everything_is_there_but_what_is_hidden_and_what_leads_to_it(self):
        hidden = [os.path.dirname(self.make("a", "b", "hidden", "file")), self.make("a", "secret")]
        kept = [self.make("a", "b", "kept"), self.make("a", "kept"), self.make("kept")]
        # A name that begins like a hidden one is another one.
        kept.append(os.path.dirname(self.make("a", "b", "hidden2", "file")))
        os.symlink(hidden[0], self.path("a", "link"))
        found, folders = isolation.beside(hidden)
        self.assertEqual(sorted(one for one in found if one.startswith(self.folder)), sorted(kept))
        for path in [self.folder, self.path("a"), self.path("a", "b"), "/"]:
            self.assertIn(path, folders)
            self.assertNotIn(path, found)

    def test_of_closed_directories_nothing_is_taken(self):
        hidden = os.path.dirname(self.make("a", "b", "hidden", "file"))
        self.make("a", "kept")
        found, folders = isolation.beside([hidden], [self.path("a")])
        self.assertEqual([one for one in found if one.startswith(self.path("a"))], [])
        self.assertNotIn(self.path("a"), folders)

    def test_without_hidden_paths_everything_is_there(self):
        self.assertEqual(isolation.beside([]), (["/"], []))


@unittest.skipUnless(landlock.ABI, "NOT TESTED: " + landlock.REASON)
class PlanTest(Case):
    def policy(self, **more):
        policy = {"sessions": self.path("sessions"), "hidden": [], "writable": [], "required": True}
        policy.update(more)
        return policy

    def enter(self, policy, action):
        def run():
            one = isolation.Isolation()
            one.prepare(policy)
            one.enter(policy)
            return action()

        return in_child(run)

    def test_sessions_may_lie_in_a_directory_that_is_hidden_for_the_rest(self):
        own = self.make("cache", "sessions", "own", "file")
        other = self.make("cache", "sessions", "other", "file")
        secret = self.make("cache", "secret")
        policy = self.policy(
            sessions=self.path("cache", "sessions"), hidden=[self.path("cache")], writable=[os.path.dirname(own)]
        )
        self.assertEqual(self.enter(policy, lambda: read(own, "r+")), "text")
        for path in (other, secret):
            self.assertEqual(self.enter(policy, lambda: read(path)), "PermissionError")

    def test_what_is_hidden_may_lie_in_the_directory_of_the_sessions(self):
        own = self.make("data", "own", "file")
        secret = self.make("data", "cache", "secret")
        policy = self.policy(
            sessions=self.path("data"), hidden=[self.path("data", "cache")], writable=[os.path.dirname(own)]
        )
        self.assertEqual(self.enter(policy, lambda: read(own, "r+")), "text")
        self.assertEqual(self.enter(policy, lambda: read(secret)), "PermissionError")

    def test_a_session_without_a_policy_keeps_its_rights_and_no_ruleset(self):
        outside = self.make("outside")

        def run():
            one = isolation.Isolation()
            one.prepare(self.policy())
            facts = one.enter(None)
            read(outside, "a")
            return facts["restricted"], facts["reason"]

        self.assertEqual(in_child(run), "(False, None)")

    def test_without_a_plan_nothing_is_restricted_and_it_is_said(self):
        self.assertEqual(in_child(lambda: isolation.Isolation().enter(self.policy())["restricted"]), "False")

    def test_the_plan_is_made_again_when_there_are_other_files(self):
        self.make("x", "hidden")
        policy = self.policy(hidden=[self.path("x", "hidden")])
        one = isolation.Isolation()
        self.addCleanup(one._discard)
        one.prepare(policy)
        # Other programs make files beside it, in the directory of temporary ones; not always.
        for _ in range(100):
            first = one._plan
            one.prepare(policy)
            if one._plan is first:
                break
        self.assertIs(one._plan, first)
        new = self.make("x", "new")
        os.utime(self.path("x"), (1, 1))
        one.prepare(policy)
        self.assertIn(new, one._plan.shown)


class CapabilitiesTest(unittest.TestCase):
    @staticmethod
    def effective():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))

    @unittest.skipUnless(os.path.exists("/proc/self/status"), "Linux only")
    def test_what_is_dangerous_is_given_up_and_nothing_is_won(self):
        before = self.effective()

        def run():
            capabilities.give_up()
            capabilities.give_up()
            return self.effective()

        after = int(in_child(run))
        self.assertEqual(after & ~before, 0)
        for number in (2, 12, 16, 17, 19, 21, 24, 27, 31, 38, 39, 40):
            self.assertEqual(after >> number & 1, 0, number)


if __name__ == "__main__":
    unittest.main()
