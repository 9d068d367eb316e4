"""Checks the manifests: `python -m tools.k8s_check.check`, without a cluster.

Renders every overlay with components (kustomize.py), validates strictly against the Kubernetes schemas, and checks rules
that schemas cannot express (the rules_* modules). Prints each problem once, with the first combination that has it.

Failure policy: exits with 1 if there is a problem, and with 2 and installation instructions if kubectl or the schemas are
missing.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tools.k8s_check import rules_capacity, rules_network, rules_pods, rules_proxies, rules_scaling, rules_wiring
from tools.k8s_check.facts import Facts, read_facts
from tools.k8s_check.kustomize import CannotRender, Combination, KubectlMissing, all_combinations, find_kubectl, render
from tools.k8s_check.manifests import Manifests, Object
from tools.k8s_check.schemas import SchemasMissing, schema_problems

Rule = Callable[[Manifests, Facts], Iterator[str]]
RULES: tuple[Rule, ...] = (
    rules_pods.image_tags,
    rules_pods.hardening,
    rules_pods.resources,
    rules_pods.probes,
    rules_pods.volumes,
    rules_pods.drain,
    rules_wiring.selectors,
    rules_wiring.disruption_budgets,
    rules_wiring.service_ports,
    rules_wiring.references,
    rules_wiring.settings,
    rules_wiring.namespace,
    rules_proxies.proxies,
    rules_scaling.autoscalers,
    rules_scaling.alerts,
    rules_network.network_edges,
)


def rule_problems(manifests: Manifests, facts: Facts) -> list[str]:
    """Returns the problems that the rules find."""
    return [problem for rule in RULES for problem in rule(manifests, facts)]


class Checker:
    """Checks combinations; an object that several combinations share is validated once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._schema: dict[int, tuple[Object, list[str]]] = {}

    def problems(self, manifests: Manifests) -> list[str]:
        """Returns the problems; the rules run only on manifests that the schemas accept."""
        wrong = [problem for one in manifests.objects for problem in self._by_schema(one)]
        return wrong or rule_problems(manifests, self._facts)

    def _by_schema(self, one: Object) -> list[str]:
        # The object is stored with its result, so that its id is not reused.
        if id(one) not in self._schema:
            self._schema[id(one)] = (one, list(schema_problems(one)))
        return self._schema[id(one)][1]

    @property
    def documents(self) -> int:
        """Number of different objects seen."""
        return len(self._schema)


def check(combinations: Iterable[Combination], checker: Checker, facts: Facts) -> dict[str, list[Combination]]:
    """Returns every problem, with the combinations that have it."""
    kubectl, chosen = find_kubectl(), list(combinations)
    found: dict[str, list[Combination]] = {}
    with ThreadPoolExecutor(4) as pool:
        for combination, text in zip(chosen, pool.map(lambda one: render(kubectl, one), chosen), strict=True):
            manifests = Manifests.parse(text)
            problems = checker.problems(manifests)
            if not problems and not combination.components:
                problems = list(rules_capacity.fits(combination.overlay, manifests))
            for problem in problems:
                found.setdefault(problem, []).append(combination)
    return found


def main() -> int:
    """Runs the command; returns the exit status."""
    started, facts = time.monotonic(), read_facts()
    checker, chosen = Checker(facts), list(all_combinations())
    try:
        found = check(chosen, checker, facts)
    except (KubectlMissing, SchemasMissing, CannotRender) as error:
        print(error, file=sys.stderr)
        return 1 if isinstance(error, CannotRender) else 2
    for problem, where in found.items():
        print(f"{problem}\n    in {where[0]}" + (f" and {len(where) - 1} more" if len(where) > 1 else ""))
    seconds = time.monotonic() - started
    print(f"{len(chosen)} combinations, {checker.documents} different objects, {len(found)} problems, {seconds:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
