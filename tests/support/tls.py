"""Certificates for one test: an authority, and a server's for 127.0.0.1 and localhost."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM: the authority's certificate, and the server's with its key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path) -> Certificates:
    """Make them with the ``openssl`` program; RuntimeError where there is none."""
    program = shutil.which("openssl")
    if program is None:
        raise RuntimeError("openssl is not installed here")
    made = Certificates(directory / "ca.crt", directory / "server.crt", directory / "server.key")
    authority_key, request = directory / "ca.key", directory / "server.csr"
    extensions = directory / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")

    def openssl(*arguments: str | Path) -> None:
        subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, timeout=60)

    openssl(
        *(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=ion test",
        ),
        *("-keyout", authority_key, "-out", made.authority),
    )
    openssl(
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"),
        *("-keyout", made.key, "-out", request),
    )
    openssl(
        *(
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            made.authority,
            "-CAkey",
            authority_key,
            "-CAcreateserial",
        ),
        *("-days", "2", "-extfile", extensions, "-out", made.certificate),
    )
    return made
