"""Uses of the system that must not be hindered by the isolation; ``results`` tells of each the error, or ``done``."""

import asyncio, faulthandler, mmap, multiprocessing, os, signal, socket, sqlite3, subprocess, sys, tempfile, threading
import multiprocessing.shared_memory, multiprocessing.connection, shutil, time

def devices():
    for name, mode in (("null", "r+b"), ("zero", "rb"), ("urandom", "rb")):
        with open("/dev/" + name, mode, buffering=0) as file:
            file.read(1)
    with open("/dev/null", "w") as file:
        file.write("x")

def terminal():
    main, other = os.openpty()
    os.write(main, b"x\n")
    assert os.read(other, 2) == b"x\n"
    assert os.isatty(other) and os.ttyname(other)
    os.close(main)
    os.close(other)
    import pty
    pid, main = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", "test -t 0 && echo terminal > /dev/tty"])
    text = b""
    try:
        while b"terminal" not in text:
            text += os.read(main, 100)
    finally:
        os.waitpid(pid, 0)
        os.close(main)

def database():
    with sqlite3.connect("data.db") as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table t (a)")
        connection.execute("insert into t values (1)")
    connection.close()

def network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            peer, _ = server.accept()
            client.sendall(b"x")
            assert peer.recv(1) == b"x"
            peer.close()

def local_sockets():
    for name in (os.path.join(tempfile.gettempdir(), "s"), "\0hypha-test-%d" % os.getpid()):
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(name)
            server.listen()
            client.connect(name)

def mapping():
    with open("mapped", "w+b") as file:
        file.truncate(4096)
        with mmap.mmap(file.fileno(), 4096) as memory:
            memory[0] = 1
    mmap.mmap(-1, 4096).close()

def moving():
    with open("a", "w") as file:
        file.write("x")
    target = os.path.join(os.environ["HOME"], "b")
    shutil.move("a", target)
    os.symlink(target, "link")
    assert open("link").read() == "x"
    os.mkfifo("pipe")
    os.chmod(target, 0o600)
    os.utime(target)

def programs():
    assert subprocess.check_output("echo a | cat", shell=True) == b"a\n"
    assert subprocess.check_output([sys.executable, "-c", "import json; print(json.dumps(1))"]) == b"1\n"

def signals():
    child = subprocess.Popen(["sleep", "100"])
    child.terminate()
    assert child.wait() == -signal.SIGTERM
    os.kill(os.getpid(), 0)

def sharing():
    shared = multiprocessing.shared_memory.SharedMemory(create=True, size=10)
    shared.close()
    shared.unlink()
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(abs, [-1]) == [1]
    context = multiprocessing.get_context("fork")
    lock, queue = context.Lock(), context.Queue()
    process = context.Process(target=queue.put, args=(1,))
    process.start()
    assert queue.get() == 1
    process.join()
    with context.Manager() as manager:
        manager.dict()["a"] = 1

def threads():
    found = []
    def work():
        with tempfile.TemporaryFile(dir=".") as file:
            found.append(file.write(b"x"))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [1]

def crash_log():
    with open("crash.log", "w") as file:
        faulthandler.dump_traceback(file)

def process_facts():
    open("/proc/self/status").read(), open("/proc/cpuinfo").read(), os.listdir("/proc/self/fd")
    os.cpu_count(), os.getloadavg(), os.sched_getaffinity(0)

results = {}
for use in (devices, terminal, database, network, local_sockets, mapping, moving, programs, signals, sharing,
            threads, crash_log, process_facts):
    try:
        use()
        results[use.__name__] = "done"
    except BaseException as error:
        results[use.__name__] = repr(error)
