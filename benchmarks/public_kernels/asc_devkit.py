"""Examples of asc-devkit: built and run as each one's own README says, for every scenario it has.

An example is a folder with a CMakeLists.txt and a README whose first block of commands configures,
builds, makes data, runs and (most) compares. Those commands are run in a copy of the folder, with
the CMake language of ``cmake/`` in place of CANN's. Nothing of an example is known here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from findings import REFUSALS, elsewhere
from scenario import Outcome, Status, commit_of

HERE = Path(__file__).resolve().parent
GROUPS = (
    "00_introduction",
    "03_basic_api/00_data_movement",
    "03_basic_api/01_memory_vector_compute",
    "03_basic_api/03_matrix_compute",
    "03_basic_api/04_memory_management",
    "03_basic_api/05_sync_control",
    "03_basic_api/06_atomic",
    "03_basic_api/07_tpipe_tque",
    "03_basic_api/09_utils",
    "06_compatibility_guide",
)
SECONDS = 300


def recipe_of(example: Path) -> str:
    """The README's commands from the build folder to the comparison, comments removed."""
    lines = (example / "README_en.md").read_text().splitlines()
    lines = [re.sub(r"\s#.*", "", line).strip() for line in lines]
    starts = [at for at, line in enumerate(lines) if "cd build" in line]
    if not starts:
        return ""
    rest = lines[starts[0] :]
    return "\n".join(rest[: next(at for at, line in enumerate(rest) if line.startswith("```"))])


def scenarios_of(example: Path) -> list[str]:
    """Values of SCENARIO_NUM that the example accepts, [""] where it has none."""
    build = (example / "CMakeLists.txt").read_text()
    if "SCENARIO_NUM" not in build:
        return [""]
    statements = (
        r"VALID_SCENARIOS ([\d \"]+)\)",
        r"SCENARIO_NUM must be ([^\"]*?)(?:, got|\")",
        r"SCENARIO_NUM MATCHES \"(.*?)\"",
        r"SCENARIO_NUM.*Valid values are (.*)\"",
        r"SCENARIO_NUM \"?\d\"? CACHE STRING \"(.*)\"",
        r"SCENARIO_NUM`? \|(.*)\|",
    )
    text = build + (example / "README_en.md").read_text()
    stated = next(filter(None, (re.search(statement, text) for statement in statements)), None)
    if stated is None:
        return ["1"]
    spans = re.findall(r"(\d+) ?[-~] ?(\d+)", stated[1])
    if spans:
        return [str(number) for number in range(int(spans[0][0]), int(spans[0][1]) + 1)]
    single = r"\d" if "[" in stated[1] else r"(?<!\w)\d{1,2}(?!\w)"
    return sorted(set(re.findall(single, stated[1])), key=int)


def steps_of(recipe: str, arch: int, scenario: str) -> dict[str, str]:
    """The recipe's commands that differ: configure, data (before the program), verify (after)."""
    steps = {"configure": "", "data": "", "verify": ""}
    for command in re.split(r"[;\n]|&&", recipe):
        command = re.sub(r"dav-\d+", f"dav-{arch}", command.strip())
        command = re.sub(r"\$\{?SCENARIO_NUM\}?", scenario, command)
        command = re.sub(
            r"(?i)(-{1,2}scenario_?(?:num)?|--case)([ =])\d+", rf"\1\g<2>{scenario}", command
        )
        command = re.sub(r"SCENARIO_NUM=\d+", f"SCENARIO_NUM={scenario}", command)
        if command.startswith("cmake"):
            steps["configure"] = command
        elif command.startswith("python3"):
            steps["verify" if "verify" in command or "compare" in command else "data"] = command
    if "CMAKE_ASC_ARCHITECTURES" not in steps["configure"]:
        steps["configure"] += f" -DCMAKE_ASC_ARCHITECTURES=dav-{arch}"
    if scenario and "SCENARIO_NUM" not in steps["configure"]:
        steps["configure"] += f" -DSCENARIO_NUM={scenario}"
    steps["configure"] += f" -DCMAKE_MODULE_PATH={HERE / 'cmake'}"
    return steps


def supports(example: Path, arch: int) -> bool:
    """Whether the example says that it is for the architecture."""
    text = (example / "CMakeLists.txt").read_text() + (example / "README_en.md").read_text()
    return f"dav-{arch}" in text


def first_error(text: str, pattern: str) -> str:
    """The first line of a tool's output that matches, or its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [line for line in lines if re.search(pattern, line)]
    return re.sub(r"^/\S*/", "", (found or lines[-1:] or ["no output"])[0])[:400]


def shell(command: str, build: Path, arch: int) -> tuple[int, str]:
    """Status and output of a command in a build folder, also kept in its log.txt."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NT_PUBLIC_ARCH": str(arch),
        "NT_EMULATOR_TIMING": "0",
        "NT_EMULATOR_AUTO_SYNC": "1",  # the build that examples are for switches it on
    }
    try:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=build,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return 124, f"no end within {SECONDS} s"
    (build / "log.txt").open("a").write(f"$ {command}\n{done.stdout}\n")
    return done.returncode, done.stdout


def run_scenario(example: Path, arch: int, scenario: str, work: Path) -> tuple[Status, str]:
    """Builds and runs one scenario in a copy of its folder under `work`."""
    if not supports(example, arch):
        return "not for this architecture", ""
    build = work / f"{example.name}_{scenario}_{arch}" / "build"
    shutil.rmtree(build.parent, ignore_errors=True)
    shutil.copytree(example, build.parent)
    build.mkdir(exist_ok=True)
    steps = steps_of(recipe_of(example), arch, scenario)
    status, text = shell(steps["configure"], build, arch)
    if status != 0:
        refused = re.search(r"only|support|must be|requires", text)
        detail = first_error(text, r"SCENARIO|dav-|support")
        return ("not for this architecture" if refused else "not compiled"), detail
    status, text = shell("make", build, arch)
    if status != 0:
        return "not compiled", first_error(text, r"error:|undefined reference")
    return judge(steps, build, arch)


def judge(steps: dict[str, str], build: Path, arch: int) -> tuple[Status, str]:
    """Runs a built scenario and has the example compare its results."""
    if steps["data"]:
        status, text = shell(steps["data"], build, arch)
        if status != 0:
            return "wrong", "its data: " + first_error(text, r"Error")
    status, text = shell("./demo", build, arch)
    if status != 0 or "emulator:" in text:
        error = first_error(text, r"emulator:")
        return ("refused" if REFUSALS.search(error) else "wrong"), error
    if steps["verify"]:
        status, text = shell(steps["verify"], build, arch)
    if status != 0 or re.search(r"(?i)\bfail|\[error\]", text):
        return "wrong", "numbers: " + first_error(text, r"(?i)error|fail")
    if not re.search(r"(?i)test pass|\[success\]", text):
        return "not compared", "it prints what no one compares"
    return "right", ""


def examples(checkout: Path) -> Iterator[Path]:
    """Folders of the examples of the basic API, in order."""
    root = checkout / "examples/01_simd_cpp_api"
    for group in GROUPS:
        for listing in sorted((root / group).rglob("CMakeLists.txt")):
            if (listing.parent / "README_en.md").exists() and recipe_of(listing.parent):
                yield listing.parent


def run(checkout: Path, arch: int, work: Path, only: str) -> Iterator[Outcome]:
    """Every scenario whose name contains `only`."""
    commit = commit_of(checkout)
    for example in examples(checkout):
        for scenario in scenarios_of(example):
            name = f"{example.parent.name}/{example.name} {scenario}".strip()
            if only not in name:
                continue
            status: Status = "not for this architecture"
            detail = elsewhere(arch, name)
            if not detail:
                status, detail = run_scenario(example, arch, scenario, work)
            yield Outcome("asc-devkit examples", commit, arch, name, status, detail)
