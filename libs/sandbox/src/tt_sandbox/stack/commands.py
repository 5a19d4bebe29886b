"""The commands behind `make up|down|reset|logs|status|demo-key`. Each returns an exit code and prints one clear line
when it can't do its work. Never stops a process that no pid file of the data folder names.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import psutil

from tt_sandbox.stack.deposit_settings import given_deposits
from tt_sandbox.stack.folders import DataFolder
from tt_sandbox.stack.guide import next_steps
from tt_sandbox.stack.ports import is_free
from tt_sandbox.stack.process import POLL_S, StartError, read_pid_file, write_pid_file
from tt_sandbox.stack.settings import PROJECT_DIR, StackSettings
from tt_sandbox.stack.stack import Stack
from tt_sandbox.stack.supervisor import AlreadyRunning, FolderLock, Supervisor, stop_leftovers

DOWN_TIMEOUT_S = 240.0
SUPERVISOR = "supervisor"
PORT_USERS = {
    "edge": "the edge",
    "console": "the console API",
    "billing": "billing",
    "deposits": "deposits",
    "sandbox": "the sandbox provider",
    "chain": "the sandbox chain",
    "nats": "NATS",
    "postgres": "PostgreSQL",
}


def up(settings: StackSettings, *, reload: bool = False, detached: bool = False) -> int:
    """Runs the stack in the foreground until a signal; with `settings.detach` starts a supervisor that does and returns
    when it is ready. `detached` says that this process is that supervisor.
    """
    folder = DataFolder(settings.data_dir.resolve())
    try:
        lock = FolderLock(folder)
    except AlreadyRunning:
        print("The stack already runs on this data folder (make status shows it, make down stops it).")
        return 0
    try:
        stop_leftovers(folder, _say)
        problem = _port_problem(settings)
        if problem is not None:
            return _fail(problem)
        if detached or not settings.detach:
            return _run(settings, folder, reload=reload, detached=detached)
    finally:
        lock.release()
    return _detach(folder, reload=reload)


def down(settings: StackSettings) -> int:
    """Stops the supervisor and everything under it; also what a killed supervisor left behind."""
    folder = DataFolder(settings.data_dir.resolve())
    supervisor = read_pid_file(folder.pid(SUPERVISOR))
    if supervisor is not None:
        print("Stopping ...")
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor.terminate()
            try:
                supervisor.wait(DOWN_TIMEOUT_S)
            except psutil.TimeoutExpired:
                return _fail(f"the supervisor (pid {supervisor.pid}) did not stop in {DOWN_TIMEOUT_S:.0f} s")
    if folder.run.is_dir():
        try:
            lock = FolderLock(folder)
        except AlreadyRunning:
            return _fail("the stack is starting or stopping at this moment; try again")
        stop_leftovers(folder, _say)
        lock.release()
    print("Stopped." if supervisor is not None else "Nothing runs.")
    return 0


def reset(settings: StackSettings) -> int:
    """Stops everything and deletes the data; asks first on a terminal unless `yes`."""
    folder = DataFolder(settings.data_dir.resolve())
    if not folder.root.exists():
        print("There is no data.")
        return 0
    if not settings.yes and sys.stdin.isatty():
        answer = input(f"Delete all accounts, keys and ledgers in {folder.root}? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            print("Nothing deleted.")
            return 1
    exit_code = down(settings)
    if exit_code == 0:
        folder.delete()
        print("Data deleted.")
    return exit_code


def status(settings: StackSettings) -> int:
    """A table of the processes; exit code 1 unless all run."""
    folder = DataFolder(settings.data_dir.resolve())
    supervisor = read_pid_file(folder.pid(SUPERVISOR))
    if supervisor is None:
        print("The stack does not run (make up starts it).")
        return 1
    ports: dict[str, int] = json.loads(_ports_file(folder).read_text())
    print(f"{'NAME':<12}{'STATE':<10}{'PID':>8}{'PORT':>8}  UPTIME")
    all_run = True
    for name, port in {SUPERVISOR: 0, **ports}.items():
        process = read_pid_file(folder.pid(name))
        all_run = all_run and process is not None
        if process is None:
            print(f"{name:<12}{'down':<10}{'-':>8}{port or '-':>8}  -")
            continue
        state = "paused" if process.status() == psutil.STATUS_STOPPED else "running"
        uptime = _duration(time.time() - process.create_time())
        print(f"{name:<12}{state:<10}{process.pid:>8}{port or '-':>8}  {uptime}")
    return 0 if all_run else 1


def demo_key(settings: StackSettings) -> int:
    """Prints the demo key alone."""
    path = settings.data_dir / "demo-key"
    if not path.exists():
        return _fail("there is no demo key yet: make up creates it")
    print(path.read_text().strip())
    return 0


def _run(settings: StackSettings, folder: DataFolder, *, reload: bool, detached: bool) -> int:
    """The supervisor's whole life. The caller holds the lock."""
    write_pid_file(folder.pid(SUPERVISOR), os.getpid())
    stack: Stack | None = None
    problem: str | None = None
    try:
        with _signals_interrupt():
            env = {"deposits": given_deposits(os.environ)}
            stack = Stack(folder.root, ports=settings.ports, env=env, say=_say)
            ports = {"postgres": stack.postgres.port, "nats": stack.nats.port}
            ports |= {service.name: service.port for service in stack.services}
            _ports_file(folder).write_text(json.dumps(ports))
            stack.start()
            print(next_steps(stack, stack.demo_key(), detached=detached), flush=True)
            _ready_file(folder).touch()
            Supervisor(stack, _say, reload=reload).run()
    except KeyboardInterrupt:
        _say("stopping")
    except (StartError, OSError) as error:
        problem = str(error).splitlines()[0]
    finally:
        _ready_file(folder).unlink(missing_ok=True)
        if stack is not None:
            stack.stop()
        folder.pid(SUPERVISOR).unlink(missing_ok=True)
    _say("stopped")
    return 0 if problem is None else _fail(problem)


def _detach(folder: DataFolder, *, reload: bool) -> int:
    """Starts a supervisor of its own session and shows what it says until it is ready or gives up."""
    log_path = folder.log(SUPERVISOR)
    _ready_file(folder).unlink(missing_ok=True)
    argv = [sys.executable, "-m", "tt_sandbox.stack", "up", "--detached", *(["--reload"] if reload else [])]
    with log_path.open("wb") as log:
        log_path.chmod(0o600)  # it holds the demo key
        supervisor = subprocess.Popen(
            argv, cwd=PROJECT_DIR, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    with log_path.open("r") as log:
        while True:
            done = _ready_file(folder).exists() or supervisor.poll() is not None
            print(log.read(), end="", flush=True)
            if done:
                break
            time.sleep(POLL_S)
    # The supervisor goes on by itself; Popen must not wait for it or complain about it.
    exit_code = supervisor.returncode
    supervisor.returncode = 0
    return 0 if exit_code is None else exit_code or 1


@contextlib.contextmanager
def _signals_interrupt() -> Generator[None]:
    """The first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt; later ones don't disturb the stop that follows."""
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for stop in stops:
            signal.signal(stop, signal.SIG_IGN)
        raise KeyboardInterrupt

    for stop in stops:
        signal.signal(stop, interrupt)
    yield


def _port_problem(settings: StackSettings) -> str | None:
    """One line about the first port that can't be used, or None."""
    taken: dict[int, str] = {}
    for name, who in PORT_USERS.items():
        port, variable = int(getattr(settings.ports, name)), f"{name.upper()}_PORT"
        if port in taken:
            return f"{variable} and {taken[port]} are both {port}; set one of them to another port"
        taken[port] = variable
        if not is_free(port):
            return f"port {port} for {who} is taken by {_listener(port)}; stop that, or choose another with {variable}="
    return None


def _listener(port: int) -> str:
    """Who listens on a port, as far as the system tells us."""
    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return "another process"
    return "another process"


def _ports_file(folder: DataFolder) -> Path:
    return folder.run / "ports.json"


def _ready_file(folder: DataFolder) -> Path:
    return folder.run / "ready"


def _duration(seconds: float) -> str:
    minutes, seconds_left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds_left:02}"


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def _fail(line: str) -> int:
    print(line, file=sys.stderr, flush=True)
    return 1
