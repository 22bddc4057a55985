"""Does a plugin keep the contract? Checks for its author's own tests; each raises an `AssertionError` with the remedy.

    @pytest.mark.parametrize("check", trust_function_checks(), ids=str)
    def test_contract(check):
        check(MyTrustFunction)

They run on a few dozen rows of made-up evidence, on one thread, and say nothing of how good the scores are: in well under a
second where fitting is quick, in a few seconds for a small network, which they fit eight times a kind of domain.

No other room may import from here, but the command line, whose `check-plugin` makes the same checks: it is for tests, of plugins
and of the harness.
"""

from w2s_bench.testing.domains import check_domain
from w2s_bench.testing.evidence import MemoryEvidence, synthetic_evidence
from w2s_bench.testing.models import check_model
from w2s_bench.testing.objectives import check_objective
from w2s_bench.testing.readings import check_reading
from w2s_bench.testing.trust_functions import Check, check_trust_function, trust_function_checks

__all__ = [
    "Check",
    "MemoryEvidence",
    "check_domain",
    "check_model",
    "check_objective",
    "check_reading",
    "check_trust_function",
    "synthetic_evidence",
    "trust_function_checks",
]
