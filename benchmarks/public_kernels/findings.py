"""What was found wrong with scenarios of others, each judged by the public documents.

A finding holds only for the message it was made of: anything else that goes wrong with the same
scenario counts as the emulator's fault until someone has looked.
"""

from __future__ import annotations

import re

UNCLEARED = "adds to a result in global memory that nothing has cleared"
IN_PLACE = "a conversion to wider elements in place, which the rules for overlaps exclude"

# Scenario and message (regular expressions), and what is wrong.
FINDINGS = (
    (
        r"data_copy_l0c2gm [246]",
        r"race: Fixpipe .* reads FB",
        "no barrier between filling the Fixpipe buffer and Fixpipe; the vendor's own has one",
    ),
    (r"create_vec_index", r"race: DataCopy .* writes GM", "every block writes the same bytes"),
    (
        r"load_data_l12l0 14",
        r"out of bounds",
        "reads whole blocks of 16 rows of a matrix of 70",
    ),
    (r"cross_core_set_wait_flag [01]", r"numbers|nothing has written", UNCLEARED),
    (r"gm_by_pass_dcache|data_sync_barrier", r"numbers", "compares elements that it never writes"),
    (
        r"fixpipe_l0c2ub [12]",
        r"cross-core flag 8 of AIV 1 .* left set",
        "signals both vector cores, one of which never waits",
    ),
    (
        r"data_copy_ub2l1 1",
        r"race: DataCopy .* writes L1",
        "both vector cores write the same bytes",
    ),
    (
        r"data_copy_ub2l1 2",
        r"race: DataCopy .* writes UB",
        "fills a buffer again without waiting for the copy that reads it",
    ),
    (
        r"C=\d+ (half|bfloat16)",
        r"arch35.* race: DataCopy \(pipe MTE3\) writes L1 .* DataCopy \(pipe MTE3\)",
        "two copies of one pipe write the same bytes with no barrier between them",
    ),
    (
        r"data_copy_l0c2gm [246]",
        r"byte 1024 of FB",
        "counts the Fixpipe buffer in 128 bytes as a page says; dav-3510's header counts 64",
    ),
    (r"guide/fill", r"race: Fill .* writes L1", "both operands lie at one address of L1"),
    (r"mmad 2", r"race: Mmad", "no barrier between two products too small to keep their order"),
    (r"cross_core_set_wait_flag 2", r"dst overlaps src", IN_PLACE),
)
# Scenarios that the sources, but not their build, keep for one architecture.
ELSEWHERE = ((2201, r"element_wise_logic [23]", "its source has it for dav-3510 only"),)

# What the emulator says where it does not model what a kernel uses.
REFUSALS = re.compile(
    r"not modelled|not supported|not a supported combination|does not end|there is no path"
    r"|does not exist on|does not take"
)


def finding(scenario: str, message: str) -> str:
    """What is known to be wrong with a scenario that fails so; empty: nothing."""
    for name, text, what in FINDINGS:
        if re.search(name + "$", scenario) and re.search(text, message):
            return what
    return ""


def elsewhere(arch: int, scenario: str) -> str:
    """Why a scenario is not for an architecture that its build accepts; empty: it is."""
    for other, name, why in ELSEWHERE:
        if other == arch and re.search(name + "$", scenario):
            return why
    return ""
