"""Alerts the operator when a provider's usage report cannot be used, once a day for each model and issue."""

from billing.alerts.publish import raise_alert
from billing.ledger.ledger import Settlement
from billing.usage import UsageIssue

# A report that does not add up is flagged on its row only: some servers' reports never do.
ALERTED = (UsageIssue.UNREADABLE, UsageIssue.IMPLAUSIBLE, UsageIssue.UNWRITABLE)
_KIND = "provider.usage"
_FAULTS = {
    UsageIssue.UNREADABLE: "reports counts that are no numbers of tokens",
    UsageIssue.IMPLAUSIBLE: "reports more tokens than were sent or allowed",
    UsageIssue.UNWRITABLE: "reports values that the database refuses",
}


def alert_usage(settlement: Settlement) -> None:
    issue = settlement.usage.issue
    assert issue is not None
    model, provider = settlement.served_model, settlement.provider
    raise_alert(
        _KIND,
        f"Usage of {model} is counted here: it {_FAULTS[issue]}",
        f"Provider {provider} {_FAULTS[issue]} for {model}; the first such request is "
        f"{settlement.request_id}. RoutePlex counts these requests itself and marks them as estimated. "
        "Compare them with the provider's bill.",
        severity="critical",
        detail={"model": model, "provider": provider, "issue": issue, "request_id": settlement.request_id},
        once_key=f"{_KIND}.{issue}.{provider}.{model}.{settlement.settled_at:%Y-%m-%d}",
    )
