"""docs/adding-a-persona.md: its commands work as they stand, in their order."""

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "adding-a-persona.md"


def test_the_commands_of_the_guide_add_a_persona(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    python = Path(sys.executable).parent
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'personas = ["Lua", "Elro", "Riri", "Nana", "Sora"]' in done.stdout
    assert "sora.ko@1 - Sora scores 1.00 and leads" in done.stdout
    assert "당신은 ION 멘토링의 차분한 경청자 멘토 소라입니다." in done.stdout
