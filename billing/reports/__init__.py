"""What an account sees of its ledger: exports, rollups by hour, usage reports."""
