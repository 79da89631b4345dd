"""What rules/policies.yaml allows: calls of a platform's accounts, of single ones, of all together.

Not here: what an account has of its own in the books (`accounts`), nor counting (`limiter`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huntaze_pipeline.delivery.limiter import EVERYBODY, Limits
from huntaze_pipeline.rulebook.policies import Limit, Policies, load_policies

STANDARD = Limits(10, 60.0)
"""For a platform that no policy names."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """The limits as written."""

    platforms: Mapping[str, Limits] = field(default_factory=dict)
    """Of each account, by its platform."""
    accounts: Mapping[str, Limits] = field(default_factory=dict)
    """Of single accounts, by id; they win over the platform's."""
    totals: Mapping[str, Limits] = field(default_factory=dict)
    """What all accounts of a platform share; under `EVERYBODY`, what all share."""

    def of(self, platform: str, account_id: str = "") -> Limits:
        """Return the limits of an account."""
        return self.accounts.get(account_id) or self.platforms.get(platform, STANDARD)


def read(rules_dir: Path) -> Quotas:
    """Read the policies; without a file every account has the standard limit.

    Raises:
        RuleError: the file holds faults.
    """
    if not (rules_dir / "policies.yaml").is_file():
        return Quotas()
    return ruled(load_policies(rules_dir))


def ruled(policies: Policies) -> Quotas:
    """Return what policies say."""
    file = policies.file
    shared = {**{name: policy.total for name, policy in file.platforms.items()},
              EVERYBODY: file.total}  # fmt: skip
    return Quotas(
        {name: _limits(policy.limit) for name, policy in file.platforms.items()},
        {name: _limits(own.limit) for name, own in file.accounts.items()},
        {name: _limits(total) for name, total in shared.items() if total is not None},
    )


def _limits(limit: Limit) -> Limits:
    return Limits(limit.count, limit.per.total_seconds())
