"""The launcher over its pipes, as the worker has it."""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

LAUNCHER = os.environ["LAUNCHER"]
READY, STDOUT, STDERR, EXIT = range(4)


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited too long")


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Launcher:
    """A launcher, and what it has told of each program."""

    def __init__(self):
        env = {"PATH": os.environ["PATH"], "ODD": "\udcff"}
        self.process = subprocess.Popen(
            [sys.executable, "-IS", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
        )
        self.output = {}
        self.exits = {}
        self.ended = {}
        number, kind, data = self.frame()
        assert (number, kind) == (0, READY)
        self.env = json.loads(data.decode())

    def send(self, **request):
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def start(self, number, *argv, **more):
        self.send(op="start", id=number, argv=argv, env=dict(more.pop("env", {}), PATH="/usr/bin:/bin"), **more)

    def shell(self, number, script, **more):
        self.start(number, "sh", "-c", script, **more)

    def frame(self):
        header = self.process.stdout.read(9)
        if len(header) < 9:
            return None
        number, kind, length = struct.unpack(">IBI", header)
        return number, kind, self.process.stdout.read(length)

    def step(self):
        frame = self.frame()
        if frame is None:
            raise AssertionError("the launcher has gone")
        number, kind, data = frame
        if kind == EXIT:
            self.exits[number] = json.loads(data.decode())
        elif data:
            self.output[number, kind] = self.output.get((number, kind), b"") + data
        else:
            self.ended[number] = self.ended.get(number, 0) + 1

    def until(self, condition):
        while not condition():
            self.step()

    def result(self, number):
        """Exit code and both outputs, when all three have come to their end."""
        self.until(lambda: number in self.exits and self.ended.get(number) == 2)
        return self.exits[number], self.output.get((number, STDOUT), b""), self.output.get((number, STDERR), b"")

    def line(self, number):
        self.until(lambda: b"\n" in self.output.get((number, STDOUT), b""))
        return self.output[number, STDOUT].decode().split("\n")[0]

    def close(self):
        if self.process.stdout.closed:
            return
        self.process.stdin.close()
        while self.frame() is not None:
            pass
        self.process.stdout.close()
        self.process.wait()


class LauncherTest(unittest.TestCase):
    def setUp(self):
        self.launcher = Launcher()
        self.addCleanup(self.launcher.close)

    def test_whoever_started_it_is_left_at_once_and_told_all_variables(self):
        self.assertEqual(self.launcher.process.wait(), 0)
        self.assertEqual(self.launcher.env["ODD"], "\udcff")
        self.launcher.shell(1, "echo on")
        self.assertEqual(self.launcher.result(1), ([0, None], b"on\n", b""))

    def test_arguments_variables_directory_streams_and_exit_code_are_the_programs_own(self):
        odd = " a'b\"$(id)\\\t\nc\u00e9\udcff"
        self.launcher.start(
            7, "sh", "-c", 'printf %s "$1$V"; pwd >&2; cat; exit 5', "sh", odd, env={"V": "\udcfe"}, cwd="/usr"
        )
        self.assertEqual(self.launcher.result(7), ([5, None], os.fsencode(odd) + b"\xfe", b"/usr\n"))

    def test_a_program_that_does_not_exist_ends_with_127_and_a_reason(self):
        self.launcher.start(1, "no-such-program")
        ended, out, err = self.launcher.result(1)
        self.assertEqual((ended, out), ([127, None], b""))
        self.assertIn(b"no-such-program", err)
        self.launcher.start(2, "true", cwd="/no/such/directory")
        self.assertEqual(self.launcher.result(2)[0], [127, None])

    def test_each_program_leads_a_session_of_its_own(self):
        self.launcher.shell(1, "echo $$; exec sleep 60")
        pid = int(self.launcher.line(1))
        self.assertEqual((os.getsid(pid), os.getpgid(pid)), (pid, pid))
        self.launcher.send(op="kill", id=1, signal="SIGKILL")

    def test_a_signal_ends_a_program_and_is_named(self):
        self.launcher.shell(1, "echo $$; exec sleep 60")
        self.launcher.line(1)
        self.launcher.send(op="kill", id=1, signal="SIGTERM")
        self.assertEqual(self.launcher.result(1)[0], [143, "SIGTERM"])
        # It is known no more, and that is no error.
        for request in ({"op": "kill", "signal": "SIGKILL"}, {"op": "end"}, {"op": "close", "kind": 1}):
            self.launcher.send(id=1, **request)
        self.launcher.shell(2, "echo on")
        self.assertEqual(self.launcher.result(2)[1], b"on\n")

    def test_signals_have_their_usual_effect_in_programs(self):
        script = "import signal as s; print([str(s.getsignal(n)) for n in (s.SIGPIPE, s.SIGCHLD, s.SIGTERM)])"
        self.launcher.start(1, sys.executable, "-IS", "-c", script)
        usual = subprocess.run([sys.executable, "-IS", "-c", script], stdout=subprocess.PIPE).stdout
        self.assertEqual(self.launcher.result(1)[1], usual)

    def test_much_output_of_many_programs_is_complete(self):
        for number in range(1, 9):
            self.launcher.shell(number, "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit %d" % number)
        for number in range(1, 9):
            ended, out, err = self.launcher.result(number)
            self.assertEqual((ended, len(out), len(err)), ([number, None], 3000000, 3000000))

    def test_input_for_one_that_does_not_read_holds_nobody_up_and_comes_whole(self):
        with tempfile.TemporaryDirectory() as directory:
            self.hold_up(os.path.join(directory, "go"))

    def hold_up(self, file):
        script = 'read first; until [ -e "$F" ]; do sleep 0.01; done; wc -c'
        self.launcher.shell(1, script, stdin=True, env={"F": file})
        self.launcher.send(op="input", id=1, data="first\n")
        for _ in range(20):
            self.launcher.send(op="input", id=1, data="x" * 50000)
        self.launcher.send(op="end", id=1)
        self.launcher.shell(2, "echo on")
        self.assertEqual(self.launcher.result(2)[1], b"on\n")
        open(file, "w").close()
        self.assertEqual(self.launcher.result(1)[1].strip(), b"1000000")

    def test_input_for_one_that_has_closed_its_own_is_dropped(self):
        self.launcher.shell(1, "exec 0<&-; echo up; exec sleep 60", stdin=True)
        self.launcher.line(1)
        self.launcher.send(op="input", id=1, data="x" * 100000)
        self.launcher.shell(2, "echo on")
        self.assertEqual(self.launcher.result(2)[1], b"on\n")
        self.launcher.send(op="kill", id=1, signal="SIGKILL")
        self.assertEqual(self.launcher.result(1)[0], [137, "SIGKILL"])

    def test_a_stream_that_is_not_read_any_more_is_closed(self):
        self.launcher.shell(1, "trap '' PIPE; echo up; read go; echo late || exit 9", stdin=True)
        self.launcher.line(1)
        self.launcher.send(op="close", id=1, kind=STDOUT)
        self.launcher.send(op="input", id=1, data="go\n")
        self.launcher.until(lambda: 1 in self.launcher.exits)
        self.assertEqual(self.launcher.exits[1], [9, None])

    def test_nothing_is_kept_of_programs_that_have_ended(self):
        self.launcher.shell(1, "echo $PPID")
        launcher = int(self.launcher.result(1)[1])
        descriptors = "/proc/%d/fd" % launcher
        before = len(os.listdir(descriptors))
        for number in range(2, 12):
            self.launcher.shell(number, "cat", stdin=True)
            self.launcher.send(op="end", id=number)
        for number in range(2, 12):
            self.launcher.result(number)
        self.launcher.shell(12, "true", stdin=True)
        self.launcher.result(12)
        self.assertEqual(len(os.listdir(descriptors)), before)
        with open("/proc/%d/task/%d/children" % (launcher, launcher)) as file:
            self.assertEqual(file.read(), "")

    def test_its_end_is_the_end_of_every_standard_input(self):
        self.launcher.shell(1, "echo $$; cat >/dev/null; sleep 0.1; exit", stdin=True)
        pid = int(self.launcher.line(1))
        self.launcher.close()
        self.assertFalse(is_alive(pid))

    def test_its_sudden_death_is_the_end_of_every_standard_input(self):
        self.launcher.shell(1, "echo $$ $PPID; exec cat", stdin=True)
        pid, launcher = map(int, self.launcher.line(1).split())
        os.kill(launcher, signal.SIGKILL)
        wait_for(lambda: not is_alive(pid))


if __name__ == "__main__":
    unittest.main()
