"""SQS, CloudWatch and S3 on a local socket (ministack); it saves its state when asked to stop."""

import os
import signal
import sys
from importlib.util import find_spec

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import ports
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.local.process import Launch


class Sqs:
    """The recipe of the embedded AWS services."""

    name = "sqs"

    def __init__(self, folder: Folder, *, throwaway: bool = False) -> None:
        self.log = folder.log(self.name)
        self._data = folder.stack / self.name
        self._throwaway = throwaway

    def launch(self, port: int) -> Launch:
        """Bind it to the loopback (its default is every interface) and keep it off Docker."""
        if find_spec("ministack") is None:
            raise ServiceError(
                "SQS is needed and ministack is not installed: "
                "`pip install huntaze-pipeline[local]`, or set SQS_RATE_LIMITER_QUEUE"
            )
        return Launch(
            [sys.executable, "-P", "-W", "ignore", "-m", "ministack"],
            self.log,
            env=self._environment(port),
            cwd=self._data,
            stop=(signal.SIGTERM,),
        )

    def _environment(self, port: int) -> dict[str, str]:
        temporary = self._data / "tmp"
        temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        persist = "0" if self._throwaway else "1"
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "BIND_HOST": ports.LOOPBACK,
            "GATEWAY_PORT": str(port),
            "SERVICES": "sqs,cloudwatch,s3",
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": persist,
            "STATE_DIR": str(self._data / "state"),
            "S3_PERSIST": persist,
            "S3_DATA_DIR": str(self._data / "s3"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{temporary}/none",
            "TMPDIR": str(temporary),
            "HOME": str(self._data),
            "PYTHONUNBUFFERED": "1",
        }

    def ready(self, port: int, pid: int) -> bool:
        """Ask for its health."""
        request = b"GET /_ministack/health HTTP/1.0\r\nHost: localhost\r\n\r\n"
        return b" 200" in ports.exchange(port, request)[:15]

    def version(self) -> str:
        """Return ``ministack 1.x``."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return f"ministack {version('ministack')}"
        except PackageNotFoundError:
            return "ministack"
