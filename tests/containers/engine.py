"""Containers for tests, in the manner of Testcontainers: started on a private network, waited for, and always removed,
also when the test is killed: a reaper of its own process group sees its life line end.

Settings: LOCKKEEPER_ENGINE (docker or podman; found), LOCKKEEPER_BASE_IMAGE (of all images; made with debootstrap when it
is not set, so that no image registry is needed).
"""
import json
import os
import pathlib
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
CONTAINERS_CONF = """# Works without systemd, and where crun does not.
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# Containers find each other by name only with it.
NETWORK = """[network]
network_backend = "netavark"
"""


class NoEngine(Exception):
    """There is no engine that works here; says why."""


class Engine:
    """An engine, and what was started with it; a context manager that removes all of it."""

    def __init__(self, work):
        self.work = pathlib.Path(work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.environment = dict(os.environ)
        self.name = self._find()
        self.tag = f"lockkeeper-test-{os.getpid()}"
        self.containers = []
        self.reaper = None

    def _find(self):
        wanted = os.environ.get("LOCKKEEPER_ENGINE")
        reasons = []
        for name in [wanted] if wanted else ["docker", "podman"]:
            if not shutil.which(name):
                reasons.append(f"no {name}")
                continue
            if name == "podman" and shutil.which("runc"):
                conf = self.work / "containers.conf"
                conf.write_text(CONTAINERS_CONF + (NETWORK if pathlib.Path("/usr/lib/podman/aardvark-dns").exists() else ""))
                self.environment.setdefault("CONTAINERS_CONF", str(conf))
            ran = subprocess.run([name, "info"], capture_output=True, text=True, env=self.environment)
            if ran.returncode == 0:
                return name
            reasons.append(f"{name} info: {ran.stderr.strip()[-200:]}")
        raise NoEngine("; ".join(reasons))

    def call(self, *words, check=True, timeout=900):
        ran = subprocess.run([self.name, *map(str, words)], capture_output=True, text=True, env=self.environment, timeout=timeout)
        if check and ran.returncode != 0:
            raise RuntimeError(f"{self.name} {' '.join(map(str, words))}\n{ran.stdout[-2000:]}{ran.stderr[-3000:]}")
        return ran.stdout.strip()

    def has_image(self, image):
        return subprocess.run([self.name, "image", "inspect", image], capture_output=True, env=self.environment).returncode == 0

    def base_image(self):
        if os.environ.get("LOCKKEEPER_BASE_IMAGE"):
            return os.environ["LOCKKEEPER_BASE_IMAGE"]
        release = next(line.split("=")[1].strip() for line in open("/etc/os-release") if line.startswith("VERSION_CODENAME="))
        image = f"localhost/lockkeeper-base:{release}"
        if not self.has_image(image):
            root = self.work / "base"
            shutil.rmtree(root, ignore_errors=True)
            words = ["debootstrap", "--variant=minbase", release, str(root)]
            if os.environ.get("LOCKKEEPER_MIRROR"):
                words.append(os.environ["LOCKKEEPER_MIRROR"])
            made = subprocess.run(words, capture_output=True, text=True)
            if made.returncode != 0:
                raise NoEngine(f"no base image: debootstrap: {(made.stdout + made.stderr)[-300:]}")
            tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
            subprocess.run([self.name, "import", "-", image], stdin=tar.stdout, check=True, capture_output=True, env=self.environment)
            tar.wait()
            shutil.rmtree(root, ignore_errors=True)
        return image

    def build(self, image, dockerfile, context):
        base = self.base_image()
        # Packages come over the machine's own network.
        words = ["build", "--network", "host", "--build-arg", f"BASE={base}", "-f", dockerfile, "-t", image, context]
        if self.name == "podman":
            words[1:1] = ["--format", "docker"]
        self.call(*words, timeout=1800)
        return image

    def __enter__(self):
        # Its stdin ends with us, however we end.
        script = (f"cat >/dev/null; for c in $({self.name} ps -aq --filter label={self.tag}); do {self.name} rm -f -v $c; done; "
                  f"{self.name} network rm {self.tag}")
        self.reaper = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True, env=self.environment)
        for number in range(50, 90):
            self.subnet = f"10.89.{number}"
            try:
                self.call("network", "create", "--subnet", f"{self.subnet}.0/24", self.tag)
                return self
            except RuntimeError as error:
                last = error
        raise NoEngine(f"no private network: {last}")

    def __exit__(self, *_):
        self.reaper.stdin.close()
        self.reaper.wait(120)

    def start(self, name, image, *command, address, environment=None, options=()):
        """Starts a container at the last byte `address` of the private network; gives its address."""
        ip = f"{self.subnet}.{address}"
        words = ["run", "-d", "--name", f"{self.tag}-{name}", "--label", self.tag, "--network", self.tag, "--ip", ip]
        for key, value in (environment or {}).items():
            words += ["-e", f"{key}={value}"]
        self.call(*words, *options, image, *command)
        self.containers.append(name)
        return ip

    def run(self, image, *command, environment=None):
        """Runs a container to its end; gives what it printed."""
        words = ["run", "--rm", "--label", self.tag, "--network", self.tag]
        for key, value in (environment or {}).items():
            words += ["-e", f"{key}={value}"]
        return self.call(*words, image, *command)

    def of(self, name, verb, *more):
        """docker VERB … CONTAINER"""
        return self.call(verb, *more, f"{self.tag}-{name}")

    def disconnect(self, name):
        self.call("network", "disconnect", "-f", self.tag, f"{self.tag}-{name}")

    def connect(self, name, address):
        self.call("network", "connect", "--ip", f"{self.subnet}.{address}", self.tag, f"{self.tag}-{name}")

    def is_healthy(self, name):
        if self.name == "podman":  # without systemd nobody runs the checks
            ran = subprocess.run([self.name, "healthcheck", "run", f"{self.tag}-{name}"], capture_output=True, env=self.environment)
            return ran.returncode == 0
        state = json.loads(self.of(name, "inspect"))[0]["State"]
        return state["Health"]["Status"] == "healthy"

    def logs(self, name):
        ran = subprocess.run([self.name, "logs", "--tail", "20", f"{self.tag}-{name}"], capture_output=True, text=True, env=self.environment)
        return ran.stdout + ran.stderr


def until(so, what, seconds=90):
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            if so():
                return
        except Exception as error:  # not there yet
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not in {seconds} s: {what} ({last})")
