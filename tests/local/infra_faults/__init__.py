"""What is broken on purpose in the templates of infra/, one file for each group of checks.

An entry of FAULTS is what is broken (a function or several, which change a template), the check that has to find it, parts of what it has to say, and the
template if it is not the one with the functions. A new check of infra_checks.py needs an entry: test_infra.py fails without one.
"""

from infra_faults import access, cloudformation, events, monitoring, network

FAULTS = [*cloudformation.FAULTS, *events.FAULTS, *access.FAULTS, *network.FAULTS, *monitoring.FAULTS]
