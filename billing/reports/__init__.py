"""An account's view of its ledger: exports, hourly rollups, usage reports."""
